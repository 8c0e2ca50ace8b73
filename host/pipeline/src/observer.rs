use std::sync::Arc;
use std::time::Duration;

use crate::batch_writer::StagedBatch;
use crate::{BatchId, CommitReceipt, ComponentId, MicroBatch, Offset, Sink, SourceUsage, SwapEvent};

/// Receives the reports of a running pipeline.
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

    /// A poll found nothing new.
    fn nothing_new(&self, offset: &Offset) {
        let _ = offset;
    }

    /// Another version of the component took over, was promoted, or went again.
    fn swapped(&self, event: &SwapEvent) {
        let _ = event;
    }

    /// Something is unavailable and will be tried again after a pause.
    fn retrying(&self, failures: u32, pause: Duration, message: &str) {
        let _ = (failures, pause, message);
    }
}

/// An observer that ignores every report.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopObserver;

impl NoopObserver {
    /// One to hand over.
    pub fn shared() -> Arc<dyn PipelineObserver> {
        Arc::new(Self)
    }
}

impl PipelineObserver for NoopObserver {
    fn committed(&self, _: &BatchReport) {}
}

/// The report of one micro-batch after its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchReport {
    /// Its number.
    pub batch: BatchId,
    /// The offset before its first row.
    pub start: Offset,
    /// The offset after its last row.
    pub end: Offset,
    /// The newest offset known, from a source that knows it; `end` lags behind it.
    pub latest: Option<Offset>,
    /// The component that read it.
    pub component: ComponentId,
    /// Rows in it.
    pub rows: u64,
    /// Number of data files that it added.
    pub files: u64,
    /// Size of these files, in bytes.
    pub bytes: u64,
    /// The revision of the sink that holds it.
    pub revision: u64,
    /// The cost of reading it.
    pub usage: SourceUsage,
    /// The durations of its steps.
    pub durations: StepDurations,
}

/// How long each step of a micro-batch took, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepDurations {
    /// Planning.
    pub plan: Duration,
    /// Reading and staging, which overlap.
    pub read: Duration,
    /// Of it, encoding and writing data files.
    pub encode: Duration,
    /// The commit, with the offset log's entry where there is one.
    pub commit: Duration,
    /// The acknowledgement to the source.
    pub acknowledge: Duration,
    /// All of it.
    pub total: Duration,
}

impl BatchReport {
    pub(crate) fn new<K: Sink>(
        batch: MicroBatch,
        receipt: CommitReceipt,
        staged: StagedBatch<K>,
        latest: Option<&Offset>,
        durations: StepDurations,
    ) -> Self {
        Self {
            batch: batch.batch,
            start: batch.start,
            end: batch.end,
            latest: latest.cloned(),
            component: batch.component,
            rows: batch.rows,
            files: staged.stats.files,
            bytes: staged.stats.bytes,
            revision: receipt.revision,
            usage: staged.usage,
            durations: StepDurations {
                encode: staged.stats.encode,
                ..durations
            },
        }
    }
}
