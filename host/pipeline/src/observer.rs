use std::time::Duration;

use crate::{BatchId, Offset, SourceUsage};

/// Where a running pipeline reports to.
///
/// Called from the pipeline's own task: an implementation must not block.
pub trait PipelineObserver: Send + Sync + 'static {
    /// The pipeline knows where it stands and begins.
    fn started(&self, last: BatchId, offset: &Offset) {
        let _ = (last, offset);
    }

    /// Rows were read and handed to the stage; they are not committed yet.
    fn rows_staged(&self, rows: u64) {
        let _ = rows;
    }

    /// A micro-batch is in the table.
    fn committed(&self, report: &BatchReport);

    /// A look found nothing new.
    fn nothing_new(&self, offset: &Offset) {
        let _ = offset;
    }

    /// Something is unavailable and will be tried again after a pause.
    fn retrying(&self, failures: u32, pause: Duration, message: &str) {
        let _ = (failures, pause, message);
    }
}

/// What is known of one micro-batch after its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchReport {
    /// Its number.
    pub batch: BatchId,
    /// The offset before its first row.
    pub start: Offset,
    /// The offset behind its last row.
    pub end: Offset,
    /// The newest offset known, where the source can tell; `end` lags behind it.
    pub latest: Option<Offset>,
    /// Rows in it.
    pub rows: u64,
    /// Data files and their size in bytes.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// The version of the table that holds it.
    pub table_version: u64,
    /// What reading it cost.
    pub usage: SourceUsage,
    /// Where the time went.
    pub times: StepDurations,
}

/// How long each step of a micro-batch took, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepDurations {
    /// Finding out what to read.
    pub plan: Duration,
    /// Reading and staging, which overlap.
    pub read: Duration,
    /// Of it, encoding and writing data files.
    pub encode: Duration,
    /// The commit, with the offset log's entry where there is one.
    pub commit: Duration,
    /// Telling the source.
    pub acknowledge: Duration,
    /// All of it.
    pub total: Duration,
}
