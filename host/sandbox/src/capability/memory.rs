use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use sandbar_policy::{LimitKey, Violation, Violations};
use wasmtime::ResourceLimiter;

/// What one element of a table takes on the host.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// The memory of one instance: its own, and what the host holds for it.
#[derive(Clone)]
pub(crate) struct MemoryAccount(Arc<Account>);

struct Account {
    max: u64,
    used: AtomicU64,
    peak: AtomicU64,
    violations: Violations,
}

/// Bytes that the host holds for an instance. They are given back when it is dropped.
pub(crate) struct MemoryShare {
    account: MemoryAccount,
    bytes: u64,
}

/// More was asked for than the limit allows, which is recorded.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

impl MemoryAccount {
    pub(crate) fn new(max: u64, violations: Violations) -> Self {
        Self(Arc::new(Account {
            max,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            violations,
        }))
    }

    /// The most bytes that it has had.
    pub(crate) fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Records that the instance went beyond another limit.
    pub(crate) fn record(&self, violation: Violation) {
        self.0.violations.record(violation);
    }

    /// A share of no bytes yet.
    pub(crate) fn share(&self) -> MemoryShare {
        MemoryShare {
            account: self.clone(),
            bytes: 0,
        }
    }

    fn take(&self, bytes: u64) -> Result<(), OutOfMemory> {
        let Account {
            max,
            used,
            peak,
            violations,
        } = &*self.0;
        let grown = used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if grown > *max {
            used.fetch_sub(bytes, Ordering::Relaxed);
            violations.record(Violation::Limit {
                limit: format!("it asked for {grown} bytes of memory and may have {max}"),
                key: LimitKey::Memory,
            });
            return Err(OutOfMemory);
        }
        peak.fetch_max(grown, Ordering::Relaxed);
        Ok(())
    }
}

impl MemoryShare {
    /// Takes more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let bytes = bytes as u64;
        self.account.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.account.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Counts memory over all memories and tables of an instance, and keeps their number small.
pub(super) struct MemoryLimiter(pub(super) MemoryAccount);

impl MemoryLimiter {
    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        match self.0.take(desired.saturating_sub(current) as u64) {
            Ok(()) => Ok(true),
            Err(OutOfMemory) => wasmtime::bail!("memory limit"),
        }
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

    /// Core instances. componentize-py makes 44 of them when it leaves WASI out. Each has its globals, functions and elements on
    /// the host's side, which `complexity` bounds.
    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}
