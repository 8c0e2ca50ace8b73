use std::sync::Arc;
use std::time::Duration;

use crate::Schedule;

/// When a pipeline polls for new rows, and when it ends.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Polls at once, then again after every interval, and reads each time everything that is there. Ends
    /// when it is stopped. An interval is counted from the start of one poll to the start of the next; a
    /// poll that takes longer is followed by the next without a pause.
    Interval(Duration),
    /// Polls at the times of the schedule and reads each time everything that is there. It does not poll at the start,
    /// but waits for the first time. Times that pass during a poll are left out. Ends when it is stopped, or when the
    /// schedule has no further time.
    Schedule(Arc<dyn Schedule>),
    /// Reads what exists at the start, in as many micro-batches as that takes, and ends.
    AvailableNow,
    /// Reads one micro-batch at most, and ends.
    Once,
}
