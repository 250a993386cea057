//! How a long computation is run: on how many threads, watched and stopped by whom, and within
//! how much memory.
//!
//! Work is cut into blocks that do not depend on the number of threads, and results are put
//! together in the order of the blocks: the outcome has the same bits on one thread and on many.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Asks a running computation to stop. Clones are one and the same token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the stop; there is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The computation was stopped by its [`CancelToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// More memory is needed than is allowed or available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes are needed, {allowed} are allowed: raise the memory limit")]
pub struct OutOfMemory {
    /// Bytes that would be in use.
    pub needed: usize,
    /// Bytes that may be in use.
    pub allowed: usize,
}

/// Called with the finished fraction, in `[0, 1]`; from any thread, not necessarily in order.
pub type Progress<'a> = &'a (dyn Fn(f64) + Sync);

/// The conditions under which a computation runs.
#[derive(Clone)]
pub struct Work<'a> {
    /// Threads to use, the calling one among them.
    pub threads: NonZeroUsize,
    /// Stops the computation.
    pub cancel: CancelToken,
    /// Most bytes that may be allocated at once.
    pub max_bytes: usize,
    /// Told how far the computation is.
    pub progress: Option<Progress<'a>>,
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("threads", &self.threads)
            .field("cancel", &self.cancel)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Work<'_> {
    /// One thread, 1 GiB, nobody watching.
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            cancel: CancelToken::new(),
            max_bytes: 1 << 30,
            progress: None,
        }
    }
}

impl Work<'_> {
    /// Refuses a computation that would need more than `max_bytes`.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn check_memory(&self, needed: usize) -> Result<(), OutOfMemory> {
        if needed > self.max_bytes {
            return Err(OutOfMemory {
                needed,
                allowed: self.max_bytes,
            });
        }
        Ok(())
    }

    /// Refuses to go on once the token is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn check_cancel(&self) -> Result<(), Cancelled> {
        if self.cancel.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Computes `block(state, k)` for `k` in `0..n_blocks` and returns the results in order.
    ///
    /// Each thread makes its own `state` and takes the next free block until none is left. The
    /// token is looked at before every block, so a block should take milliseconds.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub(crate) fn run<S, T: Send>(
        &self,
        n_blocks: usize,
        state: impl Fn() -> S + Sync,
        block: impl Fn(&mut S, usize) -> T + Sync,
    ) -> Result<Vec<T>, Cancelled> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(n_blocks));
        let worker = || {
            let (mut state, mut mine) = (state(), Vec::new());
            while !self.cancel.is_cancelled() {
                let k = next.fetch_add(1, Ordering::Relaxed);
                if k >= n_blocks {
                    break;
                }
                mine.push((k, block(&mut state, k)));
            }
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(mine);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.get().min(n_blocks) {
                scope.spawn(worker);
            }
            worker();
        });
        self.check_cancel()?;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|&(k, _)| k);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }

    pub(crate) fn report(&self, fraction: f64) {
        if let Some(progress) = self.progress {
            progress(fraction.clamp(0.0, 1.0));
        }
    }
}

/// A vector of `len` copies of `value`, or the size that could not be had.
///
/// # Errors
/// [`OutOfMemory`] when the allocator refuses.
pub(crate) fn filled<T: Clone>(len: usize, value: T) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    let needed = len.saturating_mul(size_of::<T>());
    if vector.try_reserve_exact(len).is_err() {
        return Err(OutOfMemory { needed, allowed: 0 });
    }
    vector.resize(len, value);
    Ok(vector)
}

/// Makes room for `more` elements: by doubling, but not beyond `most` unless they need it.
///
/// # Errors
/// [`OutOfMemory`] when the allocator refuses.
pub(crate) fn reserve_within<T>(
    vector: &mut Vec<T>,
    more: usize,
    most: usize,
) -> Result<(), OutOfMemory> {
    let wanted = vector.len().saturating_add(more);
    if wanted <= vector.capacity() {
        return Ok(());
    }
    let doubled = vector.capacity().saturating_mul(2).max(4);
    let room = doubled.min(most).max(wanted);
    let refused = |_| OutOfMemory {
        needed: room.saturating_mul(size_of::<T>()),
        allowed: 0,
    };
    let more = room - vector.len();
    vector.try_reserve_exact(more).map_err(refused)
}

/// The first `len` elements of an iterator.
///
/// # Errors
/// [`OutOfMemory`] when the allocator refuses.
pub(crate) fn gathered<T>(
    len: usize,
    elements: impl Iterator<Item = T>,
) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    reserve_within(&mut vector, len, len)?;
    vector.extend(elements.take(len));
    Ok(vector)
}

#[cfg(test)]
mod tests;
