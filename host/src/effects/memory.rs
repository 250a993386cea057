//! What a sandbox may take of memory, and how much it took.

use wasmtime::ResourceLimiter;

/// Elements of all tables of a run.
const MAX_TABLE_ELEMENTS: usize = 100_000;
/// A component of Rust has one core module and a few adapters; one of Python some dozens. Where
/// there is no pool, nothing else bounds their number.
const MAX_INSTANCES: usize = 40;
const MAX_TABLES: usize = 20;
const MAX_MEMORIES: usize = 4;

/// The guest asked for more memory than its queue gives.
#[derive(Debug, thiserror::Error)]
#[error(
    "the handler needs {wanted} bytes of memory; its queue gives {limit} (`memory` in [queues.NAME])"
)]
pub struct OutOfMemory {
    wanted: usize,
    limit: usize,
}

#[cfg(test)]
impl OutOfMemory {
    /// One that a test needs.
    pub(crate) const fn of_test() -> Self {
        Self {
            wanted: 2,
            limit: 1,
        }
    }
}

/// Limits of a run's linear memories and tables, which a component may have several of.
#[derive(Debug)]
pub struct MemoryLimits {
    limit: usize,
    taken: usize,
    table_elements: usize,
}

impl MemoryLimits {
    /// Limits linear memory to `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            table_elements: 0,
        }
    }

    /// The most linear memory that the run had, in bytes; it never gives any back.
    pub const fn peak(&self) -> usize {
        self.taken
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.taken.saturating_add(desired.saturating_sub(current));
        if wanted > self.limit {
            return Err(OutOfMemory {
                wanted,
                limit: self.limit,
            }
            .into());
        }
        self.taken = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if wanted > MAX_TABLE_ELEMENTS {
            return Ok(false);
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit() {
        let mut limits = MemoryLimits::new(100);
        assert!(limits.memory_growing(0, 60, None).unwrap());
        assert!(limits.memory_growing(0, 40, None).unwrap());
        let error = limits.memory_growing(40, 41, None).unwrap_err();
        assert!(error.to_string().contains("needs 101 bytes"), "{error}");
        assert_eq!(limits.peak(), 100);
    }

    #[test]
    fn several_tables_share_one_limit() {
        let mut limits = MemoryLimits::new(0);
        assert!(limits.table_growing(0, MAX_TABLE_ELEMENTS, None).unwrap());
        assert!(!limits.table_growing(0, 1, None).unwrap());
    }
}
