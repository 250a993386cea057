//! Threads for kernels.
//!
//! Kernels take their turn, in the order of asking: at most so many run at once, each on threads
//! of its own, and a place is free only when its threads have ended. Who stops waiting cancels
//! the computation, which ends within a tenth of a second.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gwasp_kernels::work::{CancelToken, Work};
use tokio::sync::{Semaphore, oneshot};

use crate::config::KernelsConfig;

/// Where kernels run, and how much of the machine each may have. Clones share their places.
#[derive(Clone, Debug)]
pub struct KernelThreads {
    places: Arc<Semaphore>,
    /// As many as there are cores where it is none.
    threads: Option<NonZeroUsize>,
    max_bytes: usize,
    time_limit: Duration,
}

/// Why a kernel gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum KernelStopped {
    /// It took too long.
    #[error(
        "it was not done within {0:?}, its wait for a turn included; `timeout` under [kernels] \
         in the configuration sets how long it may take"
    )]
    TimeLimit(Duration),
    /// The host failed.
    #[error(transparent)]
    Fault(#[from] KernelFault),
}

/// What the host, and not the input, is to blame for.
#[derive(Debug, thiserror::Error)]
pub enum KernelFault {
    /// The system gave no thread.
    #[error(
        "the system gave it no thread; raise the limit on those of the user who runs gwasp, or \
         lower `concurrency` under [queues] in the configuration"
    )]
    NoThread(#[source] std::io::Error),
    /// It panicked.
    #[error("it panicked, a defect of the host; please report it with what the host's log says")]
    Panicked,
}

impl KernelThreads {
    /// Makes as many places as the configuration allows.
    pub fn new(config: &KernelsConfig) -> Self {
        Self {
            places: Arc::new(Semaphore::new(usize::from(config.concurrency.get()))),
            threads: config.threads.map(NonZeroUsize::from),
            max_bytes: usize::try_from(config.memory.0).unwrap_or(usize::MAX),
            time_limit: config.timeout,
        }
    }

    /// Runs a kernel and waits for it. A dropped wait cancels it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        kernel: impl FnOnce(&Work<'_>) -> T + Send + 'static,
    ) -> Result<T, KernelStopped> {
        let answer = tokio::time::timeout(self.time_limit, self.in_turn(kernel)).await;
        answer.unwrap_or(Err(KernelStopped::TimeLimit(self.time_limit)))
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        kernel: impl FnOnce(&Work<'_>) -> T + Send + 'static,
    ) -> Result<T, KernelStopped> {
        // Nobody closes the semaphore: there is always a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (answer, answered) = oneshot::channel();
        let cancel = CancelOnDrop(CancelToken::new());
        let (token, max_bytes) = (cancel.0.clone(), self.max_bytes);
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = self.threads.unwrap_or_else(cores);
        std::thread::Builder::new()
            .name("kernel".to_owned())
            .spawn(move || {
                let told = AtomicU8::new(0);
                let work = Work {
                    threads,
                    cancel: token,
                    max_bytes,
                    progress: Some(&|fraction| tell(&told, fraction)),
                };
                let result = kernel(&work);
                drop(place);
                // Nobody waits for it any more where this fails.
                drop(answer.send(result));
            })
            .map_err(KernelFault::NoThread)?;
        Ok(answered.await.map_err(|_gone| KernelFault::Panicked)?)
    }
}

/// Tells each tenth once.
fn tell(told: &AtomicU8, fraction: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped: 0 to 10"
    )]
    let tenths = (10.0 * fraction.clamp(0.0, 1.0)) as u8;
    if tenths > 0 && told.fetch_max(tenths, Ordering::Relaxed) < tenths {
        tracing::debug!(target: "gwasp::plugin", percent = tenths * 10, "kernel");
    }
}

/// Cancels a computation whose answer nobody waits for.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{KernelFault, KernelStopped, KernelThreads};
    use crate::config::{ByteSize, KernelsConfig};

    fn threads(timeout: Duration) -> KernelThreads {
        KernelThreads::new(&KernelsConfig {
            timeout,
            memory: ByteSize(1_000),
            ..KernelsConfig::default()
        })
    }

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_kernel_runs_within_its_memory_and_answers() {
        let answer = threads(LONG).run(|work| work.max_bytes).await;
        assert!(matches!(answer, Ok(1_000)), "{answer:?}");
    }

    /// Waits until the computation is told to stop.
    fn until_cancelled(work: &super::Work<'_>) {
        while !work.cancel.is_cancelled() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_dropped_cancels_the_kernel_and_frees_its_place() {
        let threads = threads(LONG);
        let (began, begun) = mpsc::channel();
        let waiting = threads.run(move |work| {
            began.send(()).unwrap();
            until_cancelled(work);
        });
        let seen = tokio::task::spawn_blocking(move || begun.recv());
        tokio::select! {
            answer = waiting => panic!("{answer:?}"),
            seen = seen => seen.unwrap().unwrap(),
        }
        // The only place is free once the first kernel has ended.
        assert!(threads.run(|_work| ()).await.is_ok());
    }

    #[tokio::test]
    async fn a_kernel_that_takes_too_long_is_cancelled() {
        let answer = threads(Duration::from_millis(1)).run(until_cancelled).await;
        assert!(
            matches!(answer, Err(KernelStopped::TimeLimit(_))),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn a_kernel_that_panics_takes_nothing_with_it() {
        let threads = threads(LONG);
        let answer = threads.run(|_work| -> u8 { panic!("for the test") }).await;
        assert!(
            matches!(answer, Err(KernelStopped::Fault(KernelFault::Panicked))),
            "{answer:?}"
        );
        assert!(threads.run(|_work| ()).await.is_ok());
    }
}
