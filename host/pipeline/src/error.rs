use std::time::Duration;

use crate::{BatchId, CheckpointOwner, Offset};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a source says, or what happened to it. Sorted by what someone can do about it.
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
    /// The host stopped the source: a trap, an exhausted limit, a refused capability, a broken promise.
    #[error("{0}")]
    Sandbox(#[source] Cause),
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
    #[error("the commit of batch {batch} has an unknown outcome: {source}")]
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
    /// What the table says of this pipeline can't be understood.
    #[error("the table's record of this pipeline is damaged: {0}")]
    Damaged(String),
    /// The table is not the one any more that the pipeline was writing: it was removed, replaced or cut back while
    /// the pipeline ran. Nothing was committed.
    #[error("the table {table} {what}")]
    TableChanged {
        /// Where the table lies.
        table: String,
        /// What happened to it, and what to do.
        what: String,
    },
    /// Another writer turned the table back (RESTORE): rows of committed micro-batches are out of it, though it
    /// still names these as committed. Nothing was committed since.
    #[error("{0}")]
    RolledBack(Box<Rollback>),
    /// The table or its store failed. Nothing was committed.
    #[error("{context}: {source}")]
    Store {
        /// What was tried, on what.
        context: String,
        /// Why it failed.
        #[source]
        source: Cause,
    },
}

/// What another writer took out of the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the table {table} was turned back by another writer ({operation}, version {version}): the rows of {} are no \
     longer in it; `sandbar reset --to-offset '{}'` reads them again, `sandbar reset --to-offset '{}'` goes on \
     without them",
    batches(*first, *last),
    start.shown(),
    end.shown()
)]
pub struct Rollback {
    /// Where the table lies.
    pub table: String,
    /// What the other writer calls what it did.
    pub operation: String,
    /// The table's version that did it.
    pub version: u64,
    /// The first micro-batch whose rows are out.
    pub first: BatchId,
    /// The last one.
    pub last: BatchId,
    /// The offset before the first of these rows.
    pub start: Offset,
    /// The offset behind the last of them.
    pub end: Offset,
}

fn batches(first: BatchId, last: BatchId) -> String {
    match first == last {
        true => format!("batch {first}"),
        false => format!("batches {first} to {last}"),
    }
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
         own; name another one under [checkpoint], or remove {file} if the location is to be taken over with its notes",
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
    #[error("checkpoint file {path}: {source}")]
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
    /// A file there is not what belongs there.
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
    #[error("{0}")]
    Source(#[from] SourceError),
    /// The table failed.
    #[error("{0}")]
    Sink(#[from] SinkError),
    /// The checkpoint location failed.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// A batch is in the table, but nothing knows its end offset.
    #[error(
        "batch {batch} is in the table, but its end offset is not in the checkpoint location (offsets/{batch} {state}); \
         restore the location, or say where to go on with `sandbar reset --to-offset JSON`"
    )]
    OffsetUnknown {
        /// The last committed batch.
        batch: BatchId,
        /// What is wrong with its entry.
        state: &'static str,
    },
    /// The last micro-batch came from another source: this one's rows at that offset are other rows.
    #[error(
        "batch {batch} of the pipeline in the table was read from another source: {difference}; give this pipeline \
         another name and checkpoint location to read the source from its beginning, or, if it goes on where the other \
         one ended, say so with `sandbar reset FILE --to-offset '{}'`",
        offset.shown()
    )]
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
    /// The source breaks the contract.
    #[error("the source breaks its contract: {0}")]
    Contract(String),
    /// One micro-batch holds more than the operator allows.
    #[error(
        "the micro-batch up to {} has more than {max} bytes; raise `max_bytes_per_batch` under [trigger], or lower \
         `max_rows_per_batch` there",
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

#[cfg(test)]
mod tests {
    use super::PipelineError;
    use crate::Offset;

    #[test]
    fn offsets_in_messages_are_short_and_harmless() {
        let offset = Offset::from(serde_json::Value::from(format!(
            "\u{9b}2J{}",
            "x".repeat(1 << 20)
        )));
        let errors = [
            PipelineError::TooManyBytes {
                end: offset.clone(),
                max: 7,
            },
            PipelineError::Stuck { rows: 3, offset },
        ];
        for error in errors {
            let said = error.to_string();
            assert!(said.contains("\"\u{fffd}2Jxxx") && said.contains('…'), "{said}");
            assert!(
                said.len() < 600 && !said.chars().any(char::is_control),
                "{said:?}"
            );
        }
    }
}
