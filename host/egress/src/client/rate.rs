use std::time::Duration;

use tokio::sync::Mutex;

/// Spreads requests evenly: at most so many per second, over all instances.
pub(super) struct Rate {
    gap: Duration,
    next: Mutex<Option<tokio::time::Instant>>,
}

impl Rate {
    /// Anything below one request in a thousand seconds counts as that.
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            gap: Duration::from_secs_f64(1.0 / per_second.max(0.001)),
            next: Mutex::new(None),
        }
    }

    pub(super) async fn wait(&self) {
        let now = tokio::time::Instant::now();
        let mut next = self.next.lock().await;
        let slot = next.map_or(now, |next| next.max(now));
        *next = Some(slot + self.gap);
        drop(next);
        tokio::time::sleep_until(slot).await;
    }
}
