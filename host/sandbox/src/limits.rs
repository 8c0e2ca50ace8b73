use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use wasmtime::ResourceLimiter;

/// What one instance of a component may use. Every partition is read by an instance of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of all its linear memories together.
    pub memory: u64,
    /// Processor time of one call.
    pub cpu: Duration,
    /// Wall-clock time of one call, waiting included.
    pub deadline: Duration,
    /// Bytes that cross the wall in one call; so the size of one batch.
    pub batch: u64,
    /// Bytes of one HTTP response body.
    pub response_body: u64,
    /// Bytes of the body of one HTTP request.
    pub request_body: u64,
    /// Requests in flight at once, over all instances of a pipeline.
    pub requests_in_flight: u32,
    /// Requests per second over all instances of a pipeline; `None` for no limit.
    pub requests_per_second: Option<f64>,
    /// Handles that it may hold, and host resources.
    pub handles: u32,
    /// Bytes of log messages of a pipeline in one minute; further ones are dropped.
    pub log: u64,
    /// Bytes of stack.
    pub stack: u64,
    /// Batches without a row, one after the other.
    pub empty_batches: u32,
    /// Bytes of the component itself, looked at before it is compiled.
    pub component_size: u64,
    /// Time for compiling it.
    pub compile_time: Duration,
    /// Memory for compiling it, where that is done by a [`Compiler`](crate::Compiler) of its own.
    pub compile_memory: u64,
    /// HTTP requests for one batch, redirects and retries included; or those of one other call.
    pub requests_per_batch: u64,
    /// Bytes of the headers of one HTTP response.
    pub response_headers: u64,
    /// Headers of one HTTP response.
    pub response_header_count: u32,
    /// Bytes of an offset. Each commit holds up to three of them.
    pub offset: u64,
    /// Time of one HTTP request, from its turn to the end of the response's body.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            cpu: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
            batch: 64 << 20,
            response_body: 64 << 20,
            request_body: 16 << 20,
            requests_in_flight: 32,
            requests_per_second: None,
            handles: 256,
            log: 1 << 20,
            stack: 512 << 10,
            empty_batches: 1_000,
            component_size: 64 << 20,
            compile_time: Duration::from_secs(120),
            compile_memory: 4 << 30,
            requests_per_batch: 10_000,
            response_headers: 64 << 10,
            response_header_count: 100,
            offset: 64 << 10,
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// Why the host will fail the call that is under way, whatever the component makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    Limit {
        limit: String,
        key: &'static str,
    },
    Refused {
        what: String,
        remedy: String,
    },
    Forbidden {
        what: String,
        why: String,
    },
    Credential(String),
    /// A remote did what no honest one does.
    Remote(String),
    /// Trying again would not help.
    Unreachable {
        what: String,
        why: String,
    },
    Contract(String),
}

/// Where every capability of one instance notes a violation. The first one counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Violations(Arc<Mutex<Option<Violation>>>);

impl Violations {
    pub(crate) fn note(&self, violation: Violation) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(violation);
    }

    pub(crate) fn take(&self) -> Option<Violation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Counts memory over all memories and tables of an instance, and keeps their number small.
pub(crate) struct MemoryLimiter {
    most: u64,
    used: u64,
    pub(crate) peak: u64,
    violations: Violations,
}

/// What one element of a table takes on the host.
const TABLE_ELEMENT: usize = size_of::<usize>();

impl MemoryLimiter {
    pub(crate) fn new(most: u64, violations: Violations) -> Self {
        Self {
            most,
            used: 0,
            peak: 0,
            violations,
        }
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let grown = self.used.saturating_add(desired.saturating_sub(current) as u64);
        if grown > self.most {
            self.violations.note(Violation::Limit {
                limit: format!("it asked for {grown} bytes of memory and may have {}", self.most),
                key: "memory",
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

    /// Each has its globals, functions and elements on the host's side, which `parts` bounds.
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
