use std::time::Duration;

/// When a pipeline polls for new rows, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Polls at once, then again after every interval, and reads each time everything that is there. Ends
    /// when it is stopped. An interval is counted from the start of one poll to the start of the next; a
    /// poll that takes longer is followed by the next without a pause.
    Interval(Duration),
    /// Reads what exists at the start, in as many micro-batches as that takes, and ends.
    AvailableNow,
    /// Reads one micro-batch at most, and ends.
    Once,
}
