use std::sync::atomic::{AtomicU64, Ordering};

use sandbar_policy::{LimitKey, Violation};

/// What one instance used of the network.
#[derive(Debug, Default)]
pub struct HttpUsage {
    requests: AtomicU64,
    response_bytes: AtomicU64,
    since_batch: AtomicU64,
}

impl HttpUsage {
    /// Requests, and bytes of response bodies, since the last call of this function.
    pub fn take(&self) -> (u64, u64) {
        self.since_batch.store(0, Ordering::Relaxed);
        (
            self.requests.swap(0, Ordering::Relaxed),
            self.response_bytes.swap(0, Ordering::Relaxed),
        )
    }

    /// Begins a call into the instance. Each has a count of requests of its own; `read` and the first `next` have one
    /// together, and so has each further record batch.
    pub fn begin_call(&self, call: &str) {
        if call != "next" {
            self.since_batch.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.response_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_request(&self, max: u64) -> Result<(), Violation> {
        if self.since_batch.fetch_add(1, Ordering::Relaxed) >= max {
            return Err(Violation::Limit {
                limit: format!("it made more than {max} HTTP requests for one batch"),
                key: LimitKey::RequestsPerBatch,
            });
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
