use std::sync::Arc;
use std::time::Duration;

use crate::{Clock, StepDurations};

/// Measures the steps of one micro-batch.
pub(crate) struct Stopwatch {
    clock: Arc<dyn Clock>,
    started: Duration,
    /// When the current step began.
    lap: Duration,
    durations: StepDurations,
}

impl Stopwatch {
    pub(crate) fn start(clock: &Arc<dyn Clock>) -> Self {
        let now = clock.elapsed();
        Self {
            clock: clock.clone(),
            started: now,
            lap: now,
            durations: StepDurations::default(),
        }
    }

    /// Begins the steps anew after an attempt that failed. Its time counts in the total only.
    pub(crate) fn restart_steps(&mut self) {
        self.lap = self.clock.elapsed();
        self.durations = StepDurations::default();
    }

    /// Ends a step: the time since the end of the one before is added to it.
    pub(crate) fn record(&mut self, step: impl FnOnce(&mut StepDurations) -> &mut Duration) {
        let now = self.clock.elapsed();
        *step(&mut self.durations) += now.saturating_sub(self.lap);
        self.lap = now;
    }

    /// The durations of all steps, with the total up to now.
    pub(crate) fn stop(mut self) -> StepDurations {
        self.durations.total = self.clock.elapsed().saturating_sub(self.started);
        self.durations
    }
}
