use std::future::Future;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::{BatchId, Committed, MicroBatch, Rollback, Sink, SinkError};

/// A place that takes the rows of pipelines: opens sinks, and describes what is there without writing.
///
/// All calls name the pipeline, so that one factory can serve several pipelines that write to one place.
pub trait SinkFactory: Send + Sync + 'static {
    /// The sink of one pipeline.
    type Sink: Sink;

    /// Opens the sink for rows of this schema. Writes no rows.
    ///
    /// # Errors
    /// [`SinkError::Schema`] or [`SinkError::LacksColumns`] when the place can't take such rows;
    /// [`SinkError::NotExclusive`] when its store can't keep two writers apart; [`SinkError::Store`] when it can't be read.
    fn open(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> impl Future<Output = Result<Self::Sink, SinkError>> + Send;

    /// Checks whether a run could write rows of this schema. Writes no rows.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`SinkError::RolledBack`] when a run would refuse to go on.
    fn check(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> impl Future<Output = Result<SinkCheck, SinkError>> + Send;

    /// Reads the state of a pipeline, with its newest commits, `limit` at most. `None` when there is nothing yet.
    ///
    /// # Errors
    /// [`SinkError::Store`] when the place can't be read, [`SinkError::Damaged`] when its record of the pipeline can't be
    /// understood.
    fn state(
        &self,
        pipeline: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Option<SinkState>, SinkError>> + Send;

    /// Reads rows as any reader sees them, `limit` at most, in no particular order. `None` when there is nothing yet.
    ///
    /// # Errors
    /// [`SinkError::Store`] when the place can't be read.
    fn first_rows(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Vec<RecordBatch>>, SinkError>> + Send;

    /// Checks whether a new table could hold the values of rows; `before` is the number of rows before these.
    ///
    /// # Errors
    /// A message for people that names the column, the row, counted from 1, and the value that it could not hold.
    fn check_rows(&self, rows: &RecordBatch, before: u64) -> Result<(), String> {
        let _ = (rows, before);
        Ok(())
    }
}

/// The result of [`SinkFactory::check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkCheck {
    /// The current revision; `None` when there is nothing yet and the first commit would create it.
    pub revision: Option<u64>,
    /// Whether the sink carries the end offset, or will.
    pub carries_offset: bool,
    /// The columns that what is there lacks, and that the first commit with rows would add.
    pub added_columns: Vec<String>,
}

/// What a sink knows of one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkState {
    /// The current revision.
    pub revision: u64,
    /// Whether the sink can carry the end offset.
    pub carries_offset: bool,
    /// The last micro-batch of the pipeline.
    pub last: Option<Committed>,
    /// Why a run would refuse to go on: another writer turned the table back. See [`SinkError::RolledBack`].
    pub rolled_back: Option<Box<Rollback>>,
    /// The pipeline's commits, newest first, as far as they are known.
    pub commits: Vec<CommitRecord>,
}

/// One commit of a pipeline, from the history of its sink.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRecord {
    /// The revision that it made.
    pub revision: u64,
    /// Milliseconds since 1970, by the clock of the writer.
    pub timestamp: Option<i64>,
    /// The micro-batch that it brought.
    pub batch: MicroBatch,
}

impl SinkState {
    /// The number of the last micro-batch, 0 for none.
    pub fn last_batch(&self) -> BatchId {
        self.last.as_ref().map_or(0, |last| last.batch)
    }
}
