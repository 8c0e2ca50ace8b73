use rustix::io::Errno;
use sandbar_policy::{LimitKey, Violation, Violations};
use wasmtime::ResourceLimiter;

/// Counts memory over all memories and tables of an instance, and keeps their number small.
pub(super) struct MemoryLimiter {
    max: u64,
    used: u64,
    peak: u64,
    violations: Violations,
}

/// What one element of a table takes on the host.
const TABLE_ELEMENT: usize = size_of::<usize>();

impl MemoryLimiter {
    pub(super) fn new(max: u64, violations: Violations) -> Self {
        Self {
            max,
            used: 0,
            peak: 0,
            violations,
        }
    }

    /// The most bytes that it has had.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let grown = self.used.saturating_add(desired.saturating_sub(current) as u64);
        if grown > self.max {
            self.violations.record(Violation::Limit {
                limit: format!("it asked for {grown} bytes of memory and may have {}", self.max),
                key: LimitKey::Memory,
            });
            wasmtime::bail!("memory limit");
        }
        self.used = grown;
        self.peak = self.peak.max(grown);
        Ok(true)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current, desired)
    }

    /// The machine has no more for it. What a memory may be by its own type is the component's affair.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        match error.is::<Errno>() {
            true => Err(error),
            false => Ok(()),
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(
            current.saturating_mul(TABLE_ELEMENT),
            desired.saturating_mul(TABLE_ELEMENT),
        )
    }

    /// Each has its globals, functions and elements on the host's side, which `complexity` bounds.
    fn instances(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}
