use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns of pipelines that share one bound on memory: a pipeline reads and commits a micro-batch in its turn, and holds
/// nothing large between two of them.
///
/// Each says how much a micro-batch of its own may take at most, and all that have a turn together never take more than
/// the bound. Turns are given in the order in which they were asked for, so that a pipeline with much to read does not
/// keep one with little waiting for longer than a micro-batch of each.
#[derive(Clone, Debug)]
pub struct Turns {
    free: Arc<Semaphore>,
    total: u32,
}

/// The size in which memory is counted.
const UNIT: u64 = 1 << 20;

impl Turns {
    /// Turns within a bound of memory in bytes, of which whole MiB count.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        Self {
            free: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// The bound, in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.total) * UNIT
    }

    /// Waits for a turn that may take so many bytes; more than the bound counts as the bound. It ends when the permit is
    /// dropped.
    pub async fn take(&self, bytes: u64) -> Turn {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // Nobody closes it.
        Turn {
            _permit: self
                .free
                .clone()
                .acquire_many_owned(units.min(self.total))
                .await
                .ok(),
        }
    }
}

/// A turn that was given. It ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn turns_stay_within_the_bound_and_come_in_their_order() {
        let turns = Turns::new(10 * UNIT + 5);
        assert_eq!(turns.bytes(), 10 * UNIT);
        let first = turns.take(6 * UNIT).await;
        let mut large = Box::pin(turns.take(7 * UNIT));
        assert!(large.as_mut().now_or_never().is_none());
        // It would fit, but the large one was there before.
        let mut small = Box::pin(turns.take(1));
        assert!(small.as_mut().now_or_never().is_none());
        drop(first);
        let _large = large.await;
        let _small = small.await;
    }

    #[tokio::test]
    async fn who_needs_more_than_there_is_has_its_turn_alone() {
        let turns = Turns::new(2 * UNIT);
        let all = turns.take(u64::MAX).await;
        assert!(turns.take(1).now_or_never().is_none());
        drop(all);
        assert!(turns.take(1).now_or_never().is_some());
    }
}
