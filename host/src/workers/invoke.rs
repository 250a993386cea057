//! One invocation: a fresh sandbox, one call, and what came of it.

use std::pin::pin;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use wasmtime::{Store, UpdateDeadline};

use super::outcome::{Ended, Stopped};
use crate::broker::{Input, PacketRecord, Revocation};
use crate::effects::bindings::PluginPre;
use crate::effects::bindings::gwasp::plugin::types;
use crate::effects::{Leg, Run, Seam};
use crate::packet::{Digest, unix_nanos};
use crate::plugins::Ticker;
use crate::task::tick_of;

/// Bytes that a guest may pass to the host in one call, results included.
pub(super) const MAX_PASSED: usize = 8 << 20;

/// How long a request that is under way is awaited after the host was told to give back what
/// runs.
const REQUEST_GRACE: Duration = Duration::from_secs(3);

/// How long a run that is to be revoked may go on until its next call of the host.
const REVOKE_GRACE: Duration = Duration::from_secs(1);

/// What is run, and within which limits.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// Handler's name inside the plugin.
    pub handler: &'a str,
    /// What it is run on.
    pub input: types::Input,
    /// Time in the slot.
    pub timeout: Duration,
    /// Time that is left until its task's deadline; no wait puts that off.
    pub deadline: Option<Duration>,
    /// Linear memory in bytes.
    pub memory: usize,
    /// Ends it early: the task is given back.
    pub cancelled: &'a CancellationToken,
    /// Ends it early: the task is to be revoked.
    pub revocation: Revocation,
}

/// What an invocation left.
#[derive(Debug)]
pub struct Invoked {
    /// How it ended.
    pub ended: Ended,
    /// Its journal and lines.
    pub leg: Leg,
    /// CPU time of the thread.
    pub cpu: Duration,
    /// The most linear memory that it had, in bytes.
    pub memory: usize,
}

impl Invocation<'_> {
    /// Runs it on this thread.
    pub async fn run(self, pre: &PluginPre<Run>, seam: Seam, ticker: &Ticker) -> Invoked {
        let began = thread_cpu();
        let mut store = Store::new(pre.engine(), Run::new(seam, self.memory));
        store.limiter(|run| &mut run.limits);
        store.set_hostcall_fuel(MAX_PASSED);
        let timeout = self.timeout;
        let hold = store.data().seam.hold();
        hold.begin(timeout, self.deadline);
        let cancelled = self.cancelled.clone();
        let revocation = self.revocation.clone();
        store.epoch_deadline_callback(move |_| {
            if cancelled.is_cancelled() {
                return Err(Stopped::Cancelled.into());
            }
            if let Some(age) = revocation.age() {
                if age >= REVOKE_GRACE {
                    return Err(Stopped::Revoked.into());
                }
                hold.end();
            }
            // Guest code has nothing under way, and nothing of its own to clean up.
            if let Some(passed) = hold.passed() {
                return Err(Stopped::by(passed, timeout).into());
            }
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_epoch_deadline(1);
        let running = ticker.running();
        let ended = self.call(pre, &mut store).await;
        drop(running);
        let run = store.into_data();
        let memory = run.limits.peak();
        let leg = run.seam.finish().await;
        Invoked {
            ended,
            leg,
            cpu: thread_cpu().saturating_sub(began),
            memory,
        }
    }

    /// Epochs stop guest code; the waits here stop a guest that waits for the host. A request
    /// that is under way is not torn: it is awaited for a while, and its answer noted.
    async fn call(self, pre: &PluginPre<Run>, store: &mut Store<Run>) -> Ended {
        let timeout = self.timeout;
        let cancelled = self.cancelled;
        let hold = store.data().seam.hold();
        let mut call = pin!(async {
            let plugin = pre.instantiate_async(&mut *store).await?;
            plugin
                .call_handle(&mut *store, self.handler, &self.input)
                .await
        });
        let stopped = tokio::select! {
            biased;
            result = &mut call => return Ended::of(result),
            passed = hold.until_passed() => Stopped::by(passed, timeout),
            () = cancelled.cancelled() => Stopped::Cancelled,
            () = self.revocation.asked() => Stopped::Revoked,
        };
        let is_under_way = hold.end();
        if matches!(stopped, Stopped::Revoked) && !is_under_way {
            let grace = tokio::time::sleep(REVOKE_GRACE);
            tokio::select! {
                result = &mut call => return Ended::of(result),
                () = grace => {}
            }
        } else if is_under_way {
            let grace = async {
                cancelled.cancelled().await;
                tokio::time::sleep(REQUEST_GRACE).await;
            };
            tokio::select! {
                // The request itself ends after its service's time limit.
                _ended = &mut call => {}
                () = grace => {}
            }
        }
        Ended::of(Err(stopped.into()))
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A task's input as the guest sees it.
pub fn guest_input(input: &Input) -> types::Input {
    match input {
        Input::Packet(record) => types::Input::Packet(guest_packet(record)),
        Input::Args(args) => match tick_of(args) {
            Some(tick) => types::Input::Tick(datetime(unix_nanos(tick))),
            None => types::Input::Call(args.to_vec()),
        },
    }
}

fn guest_packet(record: &PacketRecord) -> types::Packet {
    let packet = &record.packet;
    types::Packet {
        source: packet.source.clone(),
        key: packet.key.clone(),
        id: packet.id.clone(),
        role: packet.role.clone(),
        flags: packet.flags.clone(),
        digest: Digest::from_bytes(packet.digest).to_string(),
        sent: packet.sent.map(datetime),
        received: datetime(packet.received),
        content_type: packet.content_type.clone(),
        headers: packet.headers.clone(),
        payload: packet.payload.to_vec(),
    }
}

fn datetime(nanos: i64) -> types::Datetime {
    const BILLION: i64 = 1_000_000_000;
    types::Datetime {
        seconds: u64::try_from(nanos.div_euclid(BILLION)).unwrap_or(0),
        nanoseconds: u32::try_from(nanos.rem_euclid(BILLION)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{guest_input, types};
    use crate::broker::{Input, NewPacket, PacketRecord, PacketSeq};
    use crate::packet::Digest;

    #[test]
    fn what_the_host_says_of_a_packet_is_apart_from_its_senders_headers() {
        let payload = Bytes::from_static(b"{}");
        let digest = Digest::of(&payload);
        let headers = vec![("role".to_owned(), "utility".to_owned())];
        let packet = NewPacket {
            source: "gcn".to_owned(),
            key: "igwn.gwalert".to_owned(),
            id: "1".to_owned(),
            identity: [1; 32],
            digest: *digest.as_bytes(),
            role: "test".to_owned(),
            received: 2_500_000_000,
            sent: Some(1_000_000_001),
            content_type: "application/json".to_owned(),
            headers: headers.clone(),
            flags: vec!["odd-ivorn".to_owned()],
            payload,
        };
        let record = PacketRecord {
            seq: PacketSeq(1),
            packet,
        };
        let types::Input::Packet(packet) = guest_input(&Input::Packet(Arc::new(record))) else {
            panic!("no packet");
        };
        assert_eq!((packet.role.as_str(), packet.headers), ("test", headers));
        assert_eq!((packet.flags.len(), packet.digest), (1, digest.to_string()));
        let sent = packet.sent.map(|sent| (sent.seconds, sent.nanoseconds));
        assert_eq!(sent, Some((1, 1)));
        assert_eq!(packet.received.nanoseconds, 500_000_000);
    }
}
