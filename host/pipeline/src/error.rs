use std::time::Duration;

use crate::{BatchId, CheckpointOwner, ComponentId, Offset, Remedy, ResetEffect};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error with its causes, each text once: foreign errors often repeat that of their cause.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        cause = error.source();
    }
    text
}

/// An answer of a source that is an error, or what happened to the source. Sorted by what someone can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The configuration is wrong.
    #[error("invalid options: {0}")]
    InvalidOptions(String),
    /// The remote refuses the credentials.
    #[error("the remote refuses the credentials: {0}")]
    Unauthorized(String),
    /// The same call may work later.
    #[error("{message}")]
    Unavailable {
        /// What happened, with the request.
        message: String,
        /// The pause that the remote asked for.
        retry_after: Option<Duration>,
    },
    /// What the remote sent is not what the schema promises.
    #[error("the remote sent something unexpected: {0}")]
    Malformed(String),
    /// The position is gone at the remote.
    #[error("the position is gone at the remote: {0}")]
    OffsetLost(String),
    /// A fault in the source.
    #[error("the source failed: {0}")]
    Internal(String),
    /// The sandbox stopped the source: a trap, an exhausted limit, a refused capability, a breach of the contract.
    #[error(transparent)]
    Sandbox(Cause),
}

/// What went wrong with the table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Another runner committed since this one asked the table. Nothing of ours is visible.
    #[error(
        "another runner owns the pipeline {pipeline:?}: it committed batch {batch} while this one was at work; stop one of the two"
    )]
    Superseded {
        /// The pipeline's name.
        pipeline: String,
        /// The last batch that is there.
        batch: BatchId,
    },
    /// The commit may or may not have happened, and the table could not be read to find out.
    #[error("the commit of batch {batch} has an unknown outcome")]
    Unknown {
        /// The batch in question.
        batch: BatchId,
        /// What hid the outcome.
        #[source]
        source: Cause,
    },
    /// The table can't take these rows: a type without a mapping, a missing column, a foreign schema.
    #[error("{0}")]
    Schema(String),
    /// The table could take these rows if it had some columns more, and is not to get them. Nothing was committed.
    #[error(
        "the table {table} can't take this source: it has no {}",
        columns_named(columns)
    )]
    LacksColumns {
        /// Where the table lies.
        table: String,
        /// The columns that it lacks; at least one.
        columns: Vec<String>,
    },
    /// What the table says of this pipeline can't be understood.
    #[error("the table's record of this pipeline is damaged: {0}")]
    Damaged(String),
    /// The stage wrote another number of rows than it was given. Nothing was committed.
    #[error("{read} rows of a micro-batch were read and {written} were written; nothing was committed")]
    RowCount {
        /// Rows that were handed to the stage.
        read: u64,
        /// Rows that it wrote, by its own count.
        written: u64,
    },
    /// A micro-batch would go into more files than it may have. Nothing was committed.
    #[error("a micro-batch of more than {max}")]
    TooManyFiles {
        /// The bound, such as `10000 files`.
        max: String,
    },
    /// The store of the table gives one name to two writers, so that two runners could both commit.
    #[error(
        "{place}: this store has no conditional put (If-None-Match: *): {reason}; two runners of a pipeline could both \
         commit, so that rows come twice or get lost"
    )]
    NotExclusive {
        /// Where the table lies.
        place: String,
        /// How that is known.
        reason: String,
    },
    /// The table is not the one any more that the pipeline was writing: it was removed, replaced or cut back while
    /// the pipeline ran. Nothing was committed.
    #[error("the table {table} {what}")]
    TableChanged {
        /// Where the table lies.
        table: String,
        /// What happened to it.
        what: String,
    },
    /// Another writer turned the table back (RESTORE): rows of committed micro-batches are out of it, though it
    /// still names these as committed. Nothing was committed since.
    #[error("{0}")]
    RolledBack(Box<Rollback>),
    /// The table or its store failed. Nothing was committed.
    #[error("{context}")]
    Store {
        /// What was tried, on what.
        context: String,
        /// Why it failed.
        #[source]
        source: Cause,
    },
}

/// The rows that another writer took out of the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the table {table} was turned back by another writer ({operation}, version {version}): the rows of {} are no \
     longer in it",
    batches(*first, *last)
)]
pub struct Rollback {
    /// Where the table lies.
    pub table: String,
    /// The other writer's name for the operation, such as `RESTORE`.
    pub operation: String,
    /// The table's version that did it.
    pub version: u64,
    /// The first micro-batch whose rows are out.
    pub first: BatchId,
    /// The last one.
    pub last: BatchId,
    /// The offset before the first of these rows.
    pub start: Offset,
    /// The offset after the last of them.
    pub end: Offset,
}

fn batches(first: BatchId, last: BatchId) -> String {
    match first == last {
        true => format!("batch {first}"),
        false => format!("batches {first} to {last}"),
    }
}

fn columns_named(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| format!("{name:?}")).collect();
    let kind = if columns.len() == 1 { "column" } else { "columns" };
    format!("{kind} {}", names.join(", "))
}

/// What went wrong with the checkpoint location.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The location's text is not a location.
    #[error("checkpoint location {location:?}: {reason}")]
    Location {
        /// As it was given.
        location: String,
        /// Why not.
        reason: String,
    },
    /// The location's folder can't be created, and its name is not why.
    #[error("checkpoint location {location:?}: {reason}")]
    Folder {
        /// As it was given.
        location: String,
        /// Why not.
        reason: String,
    },
    /// The location is another pipeline's.
    #[error(
        "checkpoint location {location:?} belongs to the pipeline {:?} with the table {}: each pipeline needs a location of its \
         own",
        owner.pipeline, owner.table
    )]
    Foreign {
        /// As it was given.
        location: String,
        /// The file that says so.
        file: String,
        /// Whose it is.
        owner: Box<CheckpointOwner>,
    },
    /// A file there can't be read or written.
    #[error("checkpoint file {path}")]
    Store {
        /// The file, with its location.
        path: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// The source wants to save a note that is none.
    #[error("the progress note is refused: {reason}")]
    Note {
        /// Why.
        reason: String,
    },
    /// A file there is not what belongs there. The text names the remedy: that of a note passes through the source.
    #[error(
        "checkpoint file {path} is damaged: {reason}; restore it, or remove it and use `sandbar reset --to-offset`"
    )]
    Damaged {
        /// The file, with its location.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a pipeline stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The source failed, and retries were of no use or not allowed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The table failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The checkpoint location failed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A batch is in the table, but nothing knows its end offset.
    #[error(
        "batch {batch} is in the table, but its end offset is not in the checkpoint location (offsets/{batch} {state})"
    )]
    OffsetUnknown {
        /// The last committed batch.
        batch: BatchId,
        /// What is wrong with its entry.
        state: &'static str,
    },
    /// The last micro-batch came from another source: this one's rows at that offset are other rows.
    #[error("batch {batch} of the pipeline in the table was read from another source: {difference}")]
    OtherSource {
        /// The last committed batch.
        batch: BatchId,
        /// What differs, in words.
        difference: String,
        /// Where the other source ended.
        offset: Box<Offset>,
    },
    /// It was stopped before it knew what was asked.
    #[error("stopped")]
    Stopped,
    /// Another version of the component is on probation. One at a time.
    #[error("{} {} took over and is still on probation", version.name, version.version)]
    OnProbation {
        /// The version that reads.
        version: ComponentId,
    },
    /// The version took over before, and failed.
    #[error("{} {} ({}) failed before: {reason}", version.name, version.version, version.digest)]
    RefusedVersion {
        /// The version.
        version: Box<ComponentId>,
        /// Why it failed.
        reason: String,
    },
    /// A version failed its probation, and the one before it can't go on where it ended.
    #[error(
        "{} {} failed its probation ({failure}), and {} can't go on where it ended: {source}",
        version.name, version.version, previous.version
    )]
    NoWayBack {
        /// The version that failed.
        version: Box<ComponentId>,
        /// Why it failed.
        failure: String,
        /// The version before it.
        previous: Box<ComponentId>,
        /// Why that one can't go on.
        source: Box<PipelineError>,
    },
    /// The source breaks the contract.
    #[error("the source breaks its contract: {0}")]
    Contract(String),
    /// One micro-batch holds more than the operator allows.
    #[error(
        "the micro-batch up to {} has more than {max} bytes",
        end.shown()
    )]
    TooManyBytes {
        /// Where it was to end.
        end: Offset,
        /// Bytes of Arrow rows that it may have.
        max: u64,
    },
    /// Rows were read, but the offset did not move.
    #[error(
        "the source breaks its contract: it read {rows} rows but its end offset is the start offset {}",
        offset.shown()
    )]
    Stuck {
        /// Rows that it gave.
        rows: u64,
        /// Where it stands.
        offset: Offset,
    },
}

impl SinkError {
    /// What an operator can do about it; nothing where that depends on the cause.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::RolledBack(rollback) => rollback.remedies(),
            Self::TableChanged { .. } => vec![Remedy::RestoreTable, Remedy::CheckStatusAndRestart],
            Self::TooManyFiles { .. } => vec![Remedy::PartitionByFewerValues, Remedy::SmallerMicroBatches],
            Self::LacksColumns { .. } => vec![Remedy::AddColumns],
            Self::NotExclusive { .. } => vec![Remedy::UseExclusiveStore, Remedy::DeclareSingleWriter],
            _ => vec![],
        }
    }
}

impl Rollback {
    /// What an operator can do about it.
    pub fn remedies(&self) -> Vec<Remedy> {
        let reset = |to: &Offset, effect| Remedy::ResetOffset {
            to: Some(to.clone()),
            effect,
        };
        vec![
            reset(&self.start, ResetEffect::ReadAgain),
            reset(&self.end, ResetEffect::GoOnWithout),
        ]
    }
}

impl CheckpointError {
    /// What an operator can do about it; nothing where that depends on the cause.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Foreign { file, .. } => vec![
                Remedy::MoveCheckpointLocation,
                Remedy::RemoveOwner { file: file.clone() },
            ],
            _ => vec![],
        }
    }
}

impl PipelineError {
    /// What an operator can do about it; nothing where that depends on the cause.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Sink(e) => e.remedies(),
            Self::Checkpoint(e) => e.remedies(),
            Self::OffsetUnknown { .. } => vec![
                Remedy::RestoreCheckpointLocation,
                Remedy::ResetOffset {
                    to: None,
                    effect: ResetEffect::Chosen,
                },
            ],
            Self::OtherSource { offset, .. } => vec![
                Remedy::RenamePipeline,
                Remedy::ResetOffset {
                    to: Some(Offset::clone(offset)),
                    effect: ResetEffect::TakeOver,
                },
            ],
            Self::RefusedVersion { .. } => vec![Remedy::SwapAgain],
            Self::NoWayBack { .. } => vec![
                Remedy::ConfigureWorkingVersion,
                Remedy::ResetOffset {
                    to: None,
                    effect: ResetEffect::Chosen,
                },
            ],
            Self::TooManyBytes { .. } => vec![
                Remedy::Raise("trigger.max_bytes_per_batch"),
                Remedy::Lower("trigger.max_rows_per_batch"),
            ],
            _ => vec![],
        }
    }
}

#[cfg(test)]
mod tests;
