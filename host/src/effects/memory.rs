//! What a sandbox may take of memory, and how much it took.

use wasmtime::ResourceLimiter;

/// Elements of all tables of a run.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The guest asked for more memory than its queue gives.
#[derive(Debug, thiserror::Error)]
#[error(
    "the handler needs {wanted} bytes of memory; its queue gives {limit} (`memory` in [queues.NAME])"
)]
pub struct OutOfMemory {
    wanted: usize,
    limit: usize,
}

/// Limits of a run's linear memory and tables.
#[derive(Debug)]
pub struct MemoryLimits {
    limit: usize,
    peak: usize,
}

impl MemoryLimits {
    /// Limits linear memory to `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { limit, peak: 0 }
    }

    /// The most linear memory that the run had, in bytes.
    pub const fn peak(&self) -> usize {
        self.peak
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limit {
            return Err(OutOfMemory {
                wanted: desired,
                limit: self.limit,
            }
            .into());
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
