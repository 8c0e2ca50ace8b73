use arrow_schema::Schema;
use sandbar_pipeline::{CommitRecord, Sink, SinkCheck, SinkError, SinkState};

use crate::engine::Table;
use crate::history::refuse_rollback;
use crate::log::read_commits;
use crate::txn::{has_domain_metadata, last_committed};
use crate::{DeltaOptions, DeltaSink, OffsetStorage};

/// Commits of others that are looked through for those of the pipeline.
const LOOK_BACK: u64 = 1000;
/// Commits that are read at once.
const CHUNK: u64 = 32;

impl DeltaSink {
    /// As [`SinkFactory::check`](sandbar_pipeline::SinkFactory::check).
    pub(crate) async fn check(options: DeltaOptions, schema: &Schema) -> Result<SinkCheck, SinkError> {
        let mut sink = Self::open(options, schema).await?;
        if sink.last_committed().await?.is_some() {
            sink.verify().await?;
        }
        Ok(SinkCheck {
            revision: sink.table_version(),
            carries_offset: sink.carries_offset(),
            added_columns: sink.added_columns(),
        })
    }

    /// As [`SinkFactory::state`](sandbar_pipeline::SinkFactory::state). Commits of others in between are passed over, up
    /// to 1,000 of them.
    pub(crate) async fn inspect(
        options: &DeltaOptions,
        limit: usize,
    ) -> Result<Option<SinkState>, SinkError> {
        let table = Table::new(options)?;
        let Some(snapshot) = table.load(None).await? else {
            return Ok(None);
        };
        let version = snapshot.version();
        let carries_offset = options.progress == OffsetStorage::Table && has_domain_metadata(&snapshot);
        let pipeline = options.pipeline.clone();
        let last = table
            .run(move |table| last_committed(table, &snapshot, &pipeline))
            .await??;
        let rolled_back = match &last {
            Some(last) => match refuse_rollback(&table, &options.pipeline, version, last.batch).await {
                Err(SinkError::RolledBack(rollback)) => Some(rollback),
                outcome => outcome.map(|()| None)?,
            },
            None => None,
        };
        let commits = match last {
            Some(_) => history(&table, &options.pipeline, version, limit).await?,
            None => Vec::new(),
        };
        Ok(Some(SinkState {
            revision: version,
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
                        revision: entry.version,
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
