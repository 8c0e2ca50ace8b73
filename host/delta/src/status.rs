use arrow_schema::Schema;
use sandbar_pipeline::{Committed, MicroBatch, SinkError};

use crate::engine::Table;
use crate::history::refuse_rollback;
use crate::log::read_commits;
use crate::txn::{has_domain_metadata, last_committed};
use crate::{DeltaOptions, DeltaSink};

/// Commits of others that are looked through for those of the pipeline.
const LOOK_BACK: u64 = 1000;
/// Commits that are read at once.
const CHUNK: u64 = 32;

/// What a table says of one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct TableState {
    /// The table's version.
    pub version: u64,
    /// Whether the table can carry the end offset.
    pub carries_offset: bool,
    /// The last micro-batch of the pipeline.
    pub last: Option<Committed>,
    /// What a run would refuse to go on with: another writer turned the table back. See
    /// [`SinkError::RolledBack`].
    pub rolled_back: Option<String>,
    /// The pipeline's commits, newest first, as far as the log still has them.
    pub commits: Vec<CommitRecord>,
}

/// One commit of a pipeline, from the table's history.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRecord {
    /// The table's version that it made.
    pub version: u64,
    /// Milliseconds since 1970, by the clock of the writer.
    pub timestamp: Option<i64>,
    /// What it brought.
    pub batch: MicroBatch,
}

/// What [`DeltaSink::check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableCheck {
    /// The table's version; `None` when the table does not exist and would be created.
    pub version: Option<u64>,
    /// Whether the table carries the end offset, or will.
    pub carries_offset: bool,
}

impl DeltaSink {
    /// Tells whether rows of this schema fit the table, or a new one. Writes nothing.
    ///
    /// # Errors
    /// As [`DeltaSink::open`], and [`SinkError::RolledBack`] when a run would refuse to go on.
    pub async fn check(options: DeltaOptions, schema: &Schema) -> Result<TableCheck, SinkError> {
        let mut sink = Self::open(options, schema).await?;
        if sandbar_pipeline::Sink::last_committed(&mut sink).await?.is_some() {
            sandbar_pipeline::Sink::verify(&mut sink).await?;
        }
        Ok(TableCheck {
            version: sink.table_version(),
            carries_offset: sandbar_pipeline::Sink::carries_offset(&sink),
        })
    }

    /// Reads what the table knows of the pipeline, with its newest `limit` commits. Writes nothing. `None` when
    /// the table does not exist.
    ///
    /// Commits of others in between are passed over, up to 1,000 of them.
    ///
    /// # Errors
    /// [`SinkError::Store`] when the table can't be read, [`SinkError::Damaged`] when what it says of the
    /// pipeline can't be understood.
    pub async fn inspect(options: &DeltaOptions, limit: usize) -> Result<Option<TableState>, SinkError> {
        let table = Table::new(options)?;
        let Some(snapshot) = table.load(None).await? else {
            return Ok(None);
        };
        let version = snapshot.version();
        let carries_offset =
            options.progress == crate::OffsetStorage::Table && has_domain_metadata(&snapshot);
        let pipeline = options.pipeline.clone();
        let last = table
            .run(move |table| last_committed(table, &snapshot, &pipeline))
            .await??;
        let rolled_back = match &last {
            Some(last) => match refuse_rollback(&table, &options.pipeline, version, last.batch).await {
                Err(e @ SinkError::RolledBack(_)) => Some(e.to_string()),
                outcome => outcome.map(|()| None)?,
            },
            None => None,
        };
        let commits = match last {
            Some(_) => history(&table, &options.pipeline, version, limit).await?,
            None => Vec::new(),
        };
        Ok(Some(TableState {
            version,
            carries_offset,
            last,
            rolled_back,
            commits,
        }))
    }
}

async fn history(
    table: &Table,
    pipeline: &str,
    newest: u64,
    limit: usize,
) -> Result<Vec<CommitRecord>, SinkError> {
    let mut found = Vec::new();
    let mut above = newest + 1;
    let oldest = above.saturating_sub(LOOK_BACK + limit as u64);
    while above > oldest && found.len() < limit {
        let below = above.saturating_sub(CHUNK).max(oldest);
        for entry in read_commits(table, (below..above).rev()).await? {
            // The log was cleaned up to here.
            let Some(entry) = entry else { return Ok(found) };
            match entry.note {
                Some(note) if note.batch.pipeline == pipeline && found.len() < limit => {
                    found.push(CommitRecord {
                        version: entry.version,
                        timestamp: entry.timestamp,
                        batch: note.batch,
                    })
                }
                _ => {}
            }
        }
        above = below;
    }
    Ok(found)
}
