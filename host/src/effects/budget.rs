//! What one run may ask of the host.

use super::function::{Class, Function};
use super::seam::SeamError;

/// Limits of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls of host functions.
    pub calls: u32,
    /// Lines of log; what is beyond is counted, not kept.
    pub log_lines: u32,
    /// Bytes of log.
    pub log_bytes: usize,
    /// External effects.
    pub external: u32,
    /// Bytes of values and arguments that wait for the outcome.
    pub committed_bytes: u32,
    /// Heavy computations.
    pub kernels: u32,
    /// Bytes of new blobs; they are on disk at once, and a run that drops them may go on.
    pub blob_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 10_000,
            log_lines: 1_000,
            log_bytes: 256 << 10,
            external: 1_000,
            committed_bytes: 16 << 20,
            kernels: 100,
            blob_bytes: 128 << 20,
        }
    }
}

/// What is left of the limits.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limits: Limits,
    left: Limits,
    log_lines_dropped: u32,
}

impl Budget {
    /// A full budget.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            left: limits,
            log_lines_dropped: 0,
        }
    }

    /// Takes one call of `function`.
    ///
    /// # Errors
    /// [`SeamError::Limit`], which ends the run.
    pub(super) fn take(&mut self, function: &Function) -> Result<(), SeamError> {
        self.left.calls = self.left.calls.checked_sub(1).ok_or(SeamError::Limit {
            what: "calls of host functions",
            limit: self.limits.calls,
        })?;
        if function.class == Class::External {
            self.left.external = self.left.external.checked_sub(1).ok_or(SeamError::Limit {
                what: "external effects",
                limit: self.limits.external,
            })?;
        }
        Ok(())
    }

    /// Takes `len` bytes that wait for the outcome.
    ///
    /// # Errors
    /// [`SeamError::Limit`], which ends the run.
    pub(super) fn take_committed(&mut self, len: usize) -> Result<(), SeamError> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let left = self.left.committed_bytes.checked_sub(len);
        self.left.committed_bytes = left.ok_or(SeamError::Limit {
            what: "bytes of values and arguments",
            limit: self.limits.committed_bytes,
        })?;
        Ok(())
    }

    /// Takes a heavy computation.
    ///
    /// # Errors
    /// [`SeamError::Limit`], which ends the run.
    pub(super) fn take_kernel(&mut self) -> Result<(), SeamError> {
        let left = self.left.kernels.checked_sub(1);
        self.left.kernels = left.ok_or(SeamError::Limit {
            what: "heavy computations",
            limit: self.limits.kernels,
        })?;
        Ok(())
    }

    /// Takes a new blob of `len` bytes.
    ///
    /// # Errors
    /// [`SeamError::Limit`], which ends the run.
    pub(super) fn take_blob(&mut self, len: usize) -> Result<(), SeamError> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let left = self.left.blob_bytes.checked_sub(len);
        self.left.blob_bytes = left.ok_or(SeamError::Limit {
            what: "bytes of new blobs",
            limit: self.limits.blob_bytes,
        })?;
        Ok(())
    }

    /// Whether a line of `len` bytes is still within the budget.
    pub(super) fn take_log_line(&mut self, len: usize) -> bool {
        let fits = self.left.log_lines > 0 && self.left.log_bytes >= len;
        if fits {
            self.left.log_lines -= 1;
            self.left.log_bytes -= len;
        } else {
            self.log_lines_dropped = self.log_lines_dropped.saturating_add(1);
        }
        fits
    }

    /// Lines that were not kept.
    pub const fn log_lines_dropped(&self) -> u32 {
        self.log_lines_dropped
    }
}
