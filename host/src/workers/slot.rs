//! One slot: leases, runs, commits, again and again, on a thread of its own.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rand::RngExt as _;
use tracing::{debug, error, warn};

use super::invoke::{Invocation, Invoked, guest_input};
use super::outcome::{Attempt, Ended, FailureKind, MAX_MESSAGE, expired};
use super::pool::{Pool, PoolError};
use crate::broker::{BrokerError, Commit, Failure, Input, Lease, Step};
use crate::effects::{Committed, Context, Driver, DryRun, Journal, Limits, LiveRun, Seam};
use crate::explain::{Code, Coded as _};
use crate::packet::Digest;
use crate::plugins::{CompileError, Plugin};
use crate::task::nanos;
use crate::text::{chain, one_line};

/// How long a task waits whose plugin is not loaded.
const NOT_LOADED_DELAY: Duration = Duration::from_secs(5);
/// Pause after the broker could not lease.
const BROKER_DELAY: Duration = Duration::from_millis(500);

/// Runs until the pool stops.
pub(super) fn run(pool: &Pool, number: u32) {
    // No sockets: services have those of the host's threads. A thread that waits for nothing but
    // timers and other threads is woken by a futex, not through epoll.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(target: "gwasp::host", queue = %pool.queue, %error, "slot has no runtime");
            return;
        }
    };
    runtime.block_on(async {
        while let Some(lease) = next(pool, number).await {
            run_lease(pool, lease).await;
            pool.shared.stop.count_task();
        }
    });
}

/// The next task; none once the pool stops, or is not the one of its queue any more.
async fn next(pool: &Pool, number: u32) -> Option<Lease> {
    loop {
        let leased = tokio::select! {
            biased;
            () = pool.shared.stopping.cancelled() => return None,
            () = pool.retired.cancelled() => return None,
            leased = pool.broker().lease(&pool.queue, number) => leased,
        };
        match leased {
            Ok(lease) => return Some(lease),
            Err(BrokerError::Closed) => return None,
            Err(error) => {
                error!(target: "gwasp::host", queue = %pool.queue, code = error.code().as_str(), error = %chain(&error), "no lease");
                tokio::time::sleep(BROKER_DELAY).await;
            }
        }
    }
}

async fn run_lease(pool: &Pool, lease: Lease) {
    if let Some(deadline) = lease.policy.deadline
        && deadline < pool.now()
    {
        expire(pool, &lease).await;
        return;
    }
    let Some(plugin) = pool.shared.registry.get(&lease.plugin) else {
        debug!(target: "gwasp::task", task = %lease.task, plugin = %lease.plugin, "plugin not loaded; task waits");
        let due = pool.now().saturating_add(nanos(NOT_LOADED_DELAY));
        let version = lease.pinned.unwrap_or_default();
        let given_back = bare(&lease, version, Step::GiveBack { due });
        commit(pool, &lease, given_back).await;
        return;
    };
    // A run with a journal stays on the version that wrote it.
    let version = lease.pinned.map_or(plugin.digest, Digest::from_bytes);
    let _mark = pool.shared.registry.begin(&lease.plugin, version);
    // A host function that panics must not take the slot with it.
    let invoked = AssertUnwindSafe(execute(pool, &lease, &plugin, version))
        .catch_unwind()
        .await;
    // Of what ran, whatever the configuration says by now.
    let commit_of = match invoked {
        Ok(Ok(invoked)) => finished(pool, &lease, version, invoked),
        Ok(Err(ended)) => without_run(pool, &lease, version, ended),
        Err(_panic) => {
            let message = "a host function panicked: this is a defect of the host";
            without_run(
                pool,
                &lease,
                version,
                Ended::failed(FailureKind::Host, message),
            )
        }
    };
    if let Some(commit_of) = commit_of {
        commit(pool, &lease, commit_of).await;
    }
}

/// Ends a task whose deadline passed while it waited: what it would do is too late.
async fn expire(pool: &Pool, lease: &Lease) {
    let reason = expired("its deadline passed before it could run".to_owned());
    let version = lease.pinned.unwrap_or_default();
    let revoked = bare(lease, version, Step::Revoke { reason });
    commit(pool, lease, revoked).await;
}

/// Runs the handler; an error is an end that came before it began.
async fn execute(
    pool: &Pool,
    lease: &Lease,
    plugin: &Plugin,
    version: Digest,
) -> Result<Invoked, Ended> {
    let unable = |kind, error: &dyn Error| Ended::failed(kind, &chain(error));
    let pre = pool.load(plugin, version).map_err(|error| match error {
        PoolError::Load {
            source: CompileError::GivenUp,
            ..
        } => Ended::GivenBack {
            delay: Duration::ZERO,
        },
        PoolError::Gone { .. } => unable(FailureKind::Version, &error),
        error => unable(FailureKind::Host, &error),
    })?;
    let journal =
        Journal::read(&lease.journal).map_err(|error| unable(FailureKind::Journal, &error))?;
    let driver = driver(pool, lease, version, journal.is_dry())?;
    let context = Context {
        plugin: lease.plugin.clone(),
        handler: lease.handler.clone(),
        grant: pool.grant(&lease.plugin),
    };
    let seam = Seam::new(context, driver, Limits::default(), journal);
    let invocation = Invocation {
        handler: &lease.handler,
        input: guest_input(&lease.input),
        timeout: Duration::from_millis(lease.policy.timeout_ms),
        deadline: lease.policy.deadline.map(|deadline| until(pool, deadline)),
        memory: pool.config.memory_bytes(),
        cancelled: &pool.shared.stop.now,
        revocation: lease.revocation.clone(),
    };
    Ok(invocation.run(&pre, seam, &pool.shared.ticker).await)
}

/// Who answers a run: the world, or in shadow mode nobody. A run never mixes the two: one whose
/// journal `is_dry` goes on so, and one that began live waits until its plugin is live again.
fn driver(
    pool: &Pool,
    lease: &Lease,
    version: Digest,
    is_dry: Option<bool>,
) -> Result<Driver, Ended> {
    let world = &pool.shared.world;
    match (pool.is_shadow(&lease.plugin), is_dry) {
        (true, Some(false)) => {
            debug!(target: "gwasp::task", task = %lease.task, plugin = %lease.plugin, "the run began live and its plugin is in shadow mode; task waits");
            Err(Ended::GivenBack {
                delay: NOT_LOADED_DELAY,
            })
        }
        (true, None) | (_, Some(true)) => {
            Ok(Driver::Dry(Arc::new(DryRun::shadow(world, lease.task))))
        }
        (false, None | Some(false)) => Ok(Driver::Live(Arc::new(LiveRun {
            world: Arc::clone(world),
            http: Arc::clone(&world.http.borrow()),
            task: lease.task,
            token: lease.token,
            version,
            is_asked: lease.is_asked,
        }))),
    }
}

/// The commit that ends a lease under which nothing ran, or nobody knows what; the whole journal
/// stays.
fn without_run(pool: &Pool, lease: &Lease, version: Digest, ended: Ended) -> Option<Commit> {
    let step = heeding(lease, ended.step(&attempt(pool, lease, u32::MAX))?);
    Some(bare(lease, *version.as_bytes(), step))
}

/// The commit that ends a leg.
fn finished(pool: &Pool, lease: &Lease, version: Digest, invoked: Invoked) -> Option<Commit> {
    let Invoked {
        ended, leg, cpu, ..
    } = invoked;
    if leg.log_lines_dropped > 0 {
        warn!(
            target: "gwasp::plugin",
            plugin = %lease.plugin, handler = %lease.handler, dropped = leg.log_lines_dropped,
            "lines of log beyond the budget were dropped"
        );
    }
    let ended = if leg.is_fenced {
        Ended::Fenced
    } else {
        ended.explained_by(leg.panic)
    };
    if matches!(ended, Ended::Fenced) {
        warn!(target: "gwasp::task", task = %lease.task, "lease lost; nothing written");
    }
    let keep = leg.keep_for_retry;
    let step = heeding(lease, ended.step(&attempt(pool, lease, keep))?);
    let mut journal = leg.journal;
    if matches!(step, Step::Retry { .. }) {
        journal.retain(|entry| entry.seq < keep);
    }
    let is_parked = matches!(step, Step::Park { .. });
    let succeeded = matches!(step, Step::Succeed { .. });
    let Committed { kv, spawns, blobs } = leg.committed;
    let mut called = Vec::new();
    if let Some(parking) = leg.parking {
        if is_parked {
            called = parking.called;
        } else {
            // It does not wait after all.
            journal.retain(|entry| Some(entry.seq) != parking.seq);
        }
    }
    Some(Commit {
        cpu: u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX),
        journal,
        kv: if succeeded { kv } else { Vec::new() },
        spawns: if succeeded { spawns } else { called },
        blobs,
        keep,
        is_shadow: leg.is_shadow,
        ..bare(lease, *version.as_bytes(), step)
    })
}

/// A task that a person wants to end does so, unless it succeeded before. The journal stays: it
/// says what was done.
fn heeding(lease: &Lease, step: Step) -> Step {
    match (step, lease.revocation.reason()) {
        (step @ Step::Succeed { .. }, _) | (step, None) => step,
        (_, Some(reason)) => Step::Revoke {
            reason: reason.clone(),
        },
    }
}

fn bare(lease: &Lease, version: [u8; 32], step: Step) -> Commit {
    Commit::bare(lease.task, lease.token, version, step)
}

/// Commits, again and again while the broker may come back, unless told to stop at once. What it
/// does not take because it is too large sets the task aside.
async fn commit(pool: &Pool, lease: &Lease, mut commit: Commit) {
    loop {
        match pool.broker().commit(vec![commit.clone()]).await.pop() {
            Some(Ok(())) => return report(lease, &commit),
            Some(Err(BrokerError::Full { .. } | BrokerError::Unavailable { .. })) => {
                warn!(target: "gwasp::task", task = %lease.task, "the broker keeps nothing just now; trying again");
                let now = &pool.shared.stop.now;
                let pause = tokio::time::sleep(BROKER_DELAY);
                if now.run_until_cancelled(pause).await.is_none() {
                    warn!(target: "gwasp::task", task = %lease.task, "outcome not kept; the task is run again at the next start");
                    return;
                }
            }
            Some(Err(error @ BrokerError::TooLarge { .. }))
                if !matches!(commit.step, Step::Fail { .. }) =>
            {
                let failure = Failure {
                    kind: FailureKind::Limit.as_str().to_owned(),
                    message: one_line(&chain(&error), MAX_MESSAGE),
                    detail: None,
                };
                commit = bare(lease, commit.version, Step::Fail { failure });
            }
            Some(Err(error)) => {
                pool.shared.stop.heed(&error);
                error!(target: "gwasp::task", task = %lease.task, code = error.code().as_str(), error = %chain(&error), "outcome not kept");
                return;
            }
            None => return,
        }
    }
}

/// Tells what became of a task, once it is on disk.
fn report(lease: &Lease, commit: &Commit) {
    let shadow = commit.is_shadow.then_some(true);
    let packet_id = match &lease.input {
        Input::Packet(record) => record.packet.id.as_str(),
        Input::Args(_) => "",
    };
    let handler = format_args!("{}.{}", lease.plugin, lease.handler);
    let cpu_us = commit.cpu / 1_000;
    let (task, queue, attempt) = (lease.task, &lease.queue, lease.attempt);
    let version = Digest::from_bytes(commit.version).short();
    // A macro's level is a constant: each step has its own.
    macro_rules! tell {
        ($level:ident, $failure:expr, $state:literal, $what:literal) => {{
            let (kind, error) = (&$failure.kind, one_line(&$failure.message, MAX_MESSAGE));
            let code = Code::of_failure(kind, &$failure.message).map(Code::as_str);
            $level!(target: "gwasp::task", %task, %handler, %queue, attempt, %version, cpu_us, packet_id, shadow, state = $state, kind, code, %error, $what);
        }};
    }
    match &commit.step {
        Step::Succeed { .. } => {
            debug!(target: "gwasp::task", %task, %handler, %queue, attempt, %version, cpu_us, packet_id, shadow, state = "SUCCESS", "task succeeded");
        }
        Step::GiveBack { .. } | Step::Note => {
            debug!(target: "gwasp::task", %task, %handler, %queue, attempt, %version, packet_id, shadow, "task given back");
        }
        Step::Park { on } => {
            debug!(target: "gwasp::task", %task, %handler, %queue, attempt, %version, cpu_us, packet_id, shadow, state = "PARKED", ?on, "task waits");
        }
        Step::Retry { failure, .. } => {
            tell!(warn, failure, "RETRY", "task failed, to be tried again");
        }
        Step::Fail { failure } => tell!(error, failure, "FAILURE", "task set aside"),
        Step::Revoke { reason } => tell!(warn, reason, "REVOKED", "task revoked"),
    }
}

/// The time from now to `moment`; none where that has passed.
fn until(pool: &Pool, moment: i64) -> Duration {
    let left = moment.saturating_sub(pool.now());
    Duration::from_nanos(u64::try_from(left).unwrap_or(0))
}

fn attempt<'a>(pool: &Pool, lease: &'a Lease, keep: u32) -> Attempt<'a> {
    Attempt {
        policy: &lease.policy,
        number: lease.attempt,
        now: pool.now(),
        jitter: rand::rng().random(),
        keep,
    }
}
