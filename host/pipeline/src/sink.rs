use std::future::Future;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::{BatchId, ComponentId, MicroBatch, Offset, SinkError, SourceIdentity};

/// The last micro-batch that the sink holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number; at least 1.
    pub batch: BatchId,
    /// Its end offset, when the sink can carry one ([`Sink::carries_offset`]).
    pub end: Option<Offset>,
    /// The end offset's [`fingerprint`](Offset::fingerprint), where the sink does not carry the offset itself. The
    /// offset log's entry must have the same: an entry of that number may be another attempt's, when entries
    /// were lost and claimed anew, or an old copy of the checkpoint location came back.
    pub fingerprint: Option<u64>,
    /// Who read it, where the sink knows.
    pub component: Option<ComponentId>,
    /// What was read, where the sink knows.
    pub source: Option<SourceIdentity>,
}

/// The result of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CommitReceipt {
    /// The revision of the sink that holds the batch: a number that grows with each change of what it holds, such as
    /// the version of a table.
    pub revision: u64,
}

/// What a stage wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Rows written. The pipeline compares them with the rows that it read, and commits nothing if they differ.
    pub rows: u64,
    /// Files written.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Time of encoding and writing.
    pub encode: Duration,
}

/// Where rows go: a table that takes a micro-batch whole or not at all.
///
/// The table may be written by others at the same time; only one runner of *this* pipeline may get through.
/// So a commit goes in only if the last batch of the pipeline in the table is still the one that this sink
/// returned or committed last. That comparison is the sink's duty, on the very state that it commits on.
///
/// The number alone is not enough. Where the offset log gives numbers out, two runners that start from one batch
/// have numbers of their own, and a number whose runner died before its commit is left out: batch 8 may
/// follow batch 6.
pub trait Sink: Send {
    /// Rows written but not yet visible.
    type Stage: Stage;

    /// Whether the table itself carries the end offset. If not, the pipeline keeps an offset log.
    fn carries_offset(&self) -> bool;

    /// Reads the table afresh and returns the last micro-batch of this pipeline in it.
    ///
    /// # Errors
    /// [`SinkError::Store`] when the table can't be read, [`SinkError::Damaged`] when its record of this pipeline can't
    /// be understood.
    fn last_committed(&mut self) -> impl Future<Output = Result<Option<Committed>, SinkError>> + Send;

    /// Finds out whether the rows that [`Sink::last_committed`] speaks of are still there, as far as that can be known
    /// from what was done to the table since. To be asked at a start: what happens later, a commit notices.
    ///
    /// # Errors
    /// [`SinkError::RolledBack`] when another writer turned the table back. It stays so until a micro-batch is
    /// committed by someone who knows: [`Pipeline::reset`](crate::Pipeline::reset) does not ask.
    fn verify(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Prepares for rows of this schema, from the next [`Sink::stage`] on.
    ///
    /// # Errors
    /// [`SinkError::Schema`] or [`SinkError::LacksColumns`] when the table can't take such rows, [`SinkError::Store`] when
    /// it can't be read. The sink then goes on with the schema that it has.
    fn prepare(&mut self, schema: &SchemaRef) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Begins to write rows. Nothing of it is visible before [`Sink::commit`].
    ///
    /// # Errors
    /// [`SinkError::Schema`] or [`SinkError::LacksColumns`] when the table can't take the source's schema any more,
    /// [`SinkError::TableChanged`] when it is gone.
    fn stage(&mut self) -> impl Future<Output = Result<Self::Stage, SinkError>> + Send;

    /// Makes the staged rows and the progress visible in one step, or neither.
    ///
    /// `staged` is `None` for a batch without rows that moves the offset.
    ///
    /// # Errors
    /// [`SinkError::Superseded`] when another runner committed since [`Sink::last_committed`] or this sink's
    /// own last commit, [`SinkError::TableChanged`] when the table is gone or another one, and
    /// [`SinkError::RolledBack`] when someone turned it back, with nothing of ours visible. On [`SinkError::Unknown`] the caller
    /// has to ask [`Sink::last_committed`] before it goes on.
    /// Every other error means that nothing was committed.
    fn commit(
        &mut self,
        staged: Option<<Self::Stage as Stage>::Staged>,
        batch: &MicroBatch,
    ) -> impl Future<Output = Result<CommitReceipt, SinkError>> + Send;

    /// Waits for work that goes on beside, such as clean-ups. Nothing is lost without it.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Rows on their way into the table.
///
/// Dropping a stage without [`Stage::finish`] leaves at worst files that no reader sees.
pub trait Stage: Send + 'static {
    /// Finished files, ready for the commit.
    type Staged: Send + 'static;

    /// Adds rows, in the source's schema.
    ///
    /// # Errors
    /// [`SinkError::Schema`] when they have another schema or a value that the table can't hold, [`SinkError::Store`] when
    /// they can't be written.
    fn write(&mut self, rows: RecordBatch) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Closes the files. They are durable when this returns.
    ///
    /// # Errors
    /// As [`Stage::write`], whose errors may show here only.
    fn finish(self) -> impl Future<Output = Result<(Self::Staged, WriteStats), SinkError>> + Send;
}
