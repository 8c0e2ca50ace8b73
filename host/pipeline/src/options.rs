use crate::{BatchId, BatchReport, Offset, Probation, ReadLimit, RetryPolicy, Trigger};

/// The settings of a pipeline besides its source and sink.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PipelineOptions {
    /// Names the pipeline in the table.
    pub name: String,
    /// Names the table in the checkpoint location, spelled in one way only. See [`CheckpointOwner`](crate::CheckpointOwner).
    pub table: String,
    /// When [`Pipeline::run`](crate::Pipeline::run) polls for rows.
    pub trigger: Trigger,
    /// How much one micro-batch may take.
    pub limit: ReadLimit,
    /// Partitions read at once; at least 1.
    pub parallelism: usize,
    /// How often, and after which pauses, an unavailable remote is tried again.
    pub retry: RetryPolicy,
    /// How long a version that took over has to prove itself.
    pub probation: Probation,
}

impl PipelineOptions {
    /// A pipeline of this name that writes to this table: it reads what exists, without a limit, one partition at a
    /// time, and tries again as by default.
    pub fn new(name: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            table: table.into(),
            trigger: Trigger::AvailableNow,
            limit: ReadLimit::default(),
            parallelism: 1,
            retry: RetryPolicy::default(),
            probation: Probation::default(),
        }
    }

    /// Sets the trigger.
    #[must_use]
    pub fn with_trigger(self, trigger: Trigger) -> Self {
        Self { trigger, ..self }
    }

    /// Sets the limit of one micro-batch.
    #[must_use]
    pub fn with_limit(self, limit: ReadLimit) -> Self {
        Self { limit, ..self }
    }

    /// Sets the number of partitions that are read at once.
    #[must_use]
    pub fn with_parallelism(self, parallelism: usize) -> Self {
        Self { parallelism, ..self }
    }

    /// Sets the probation of versions that take over.
    #[must_use]
    pub fn with_probation(self, probation: Probation) -> Self {
        Self { probation, ..self }
    }

    /// Sets the retry policy.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }
}

/// What a run achieved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Micro-batches committed by this run.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// The last committed micro-batch of the pipeline, 0 for none.
    pub last_batch: BatchId,
    /// The sink's revision after this run's last commit, if it made one.
    pub revision: Option<u64>,
    /// Where the next micro-batch starts; `None` when the run was stopped before that was known.
    pub offset: Option<Offset>,
    /// Whether it ended because it was asked to stop.
    pub stopped: bool,
}

/// The outcome of [`Pipeline::step`](crate::Pipeline::step).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum StepOutcome {
    /// A micro-batch was committed.
    Committed(Box<BatchReport>),
    /// There is nothing to read after this offset.
    NothingNew(Offset),
    /// A stop was asked for. Nothing was committed.
    Stopped,
}

/// How a [`Reader`](crate::Reader) reads.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// The most that one reading may take. No limit by default.
    pub limit: ReadLimit,
    /// Partitions of a range that are read at once; at least 1, which is the default.
    pub parallelism: usize,
    /// Batches of a range that may wait for the caller, 2 by default, beside one in the hand of each reading
    /// partition. With 0 nothing is read before it is asked for, and partitions are read one after the other.
    pub read_ahead: usize,
    /// Whether a range may have more rows than the limit, which the source was asked to keep. `false` by default, so that
    /// such a range is refused.
    pub allow_more_rows: bool,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            limit: ReadLimit::default(),
            parallelism: 1,
            read_ahead: 2,
            allow_more_rows: false,
        }
    }
}

impl ReaderOptions {
    /// Sets the limit.
    #[must_use]
    pub fn with_limit(self, limit: ReadLimit) -> Self {
        Self { limit, ..self }
    }

    /// Sets the number of partitions that are read at once.
    #[must_use]
    pub fn with_parallelism(self, parallelism: usize) -> Self {
        Self { parallelism, ..self }
    }

    /// Sets the number of batches that may wait for the caller.
    #[must_use]
    pub fn with_read_ahead(self, read_ahead: usize) -> Self {
        Self { read_ahead, ..self }
    }

    /// Takes ranges with more rows than the limit too, for a caller that only wants the first ones.
    #[must_use]
    pub fn allowing_more_rows(self) -> Self {
        Self {
            allow_more_rows: true,
            ..self
        }
    }
}
