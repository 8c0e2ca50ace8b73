use std::sync::Arc;
use std::time::Duration;

use sandbar_pipeline::{Backoff, BatchId, SinkError};

use crate::commit::{Commit, Known};
use crate::engine::Table;
use crate::error::store_error;
use crate::log::read_commits;
use crate::txn::last_committed;

/// How often the table is read to find the outcome of a commit.
const MAX_READS: u32 = 5;

/// Finding out whether a commit is in the log after an attempt that ended in a conflict or an error.
impl Commit {
    /// Reads the table anew and returns the version that holds this commit, `None` when none does.
    ///
    /// `first_unseen_version` is the first version that was not known when the commit was tried.
    pub(crate) async fn resolve(
        &self,
        table: &Table,
        known: &mut Known,
        first_unseen_version: u64,
    ) -> Result<Option<u64>, SinkError> {
        let mut backoff = Backoff::new(Duration::from_millis(40), Duration::from_millis(320));
        loop {
            let found = self.resolve_once(table, known, first_unseen_version).await;
            match found {
                Err(SinkError::Store { .. }) if backoff.failures() + 1 < MAX_READS => {
                    backoff.pause(table.clock.as_ref()).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn resolve_once(
        &self,
        table: &Table,
        known: &mut Known,
        first_unseen_version: u64,
    ) -> Result<Option<u64>, SinkError> {
        let now = match (&known.footing, known.snapshot.clone()) {
            (Some(footing), Some(snapshot)) => footing.reload(table, snapshot).await?,
            (_, snapshot) => match table.load(snapshot).await? {
                Some(now) => now,
                None => return Ok(None),
            },
        };
        known.snapshot = Some(Arc::clone(&now));
        let version = now.version();
        let pipeline = self.pipeline.clone();
        let last = table
            .run(move |table| last_committed(table, &now, &pipeline))
            .await??;
        let found = last.map_or(0, |last| last.batch);
        if found <= self.after {
            return Ok(None);
        }
        let entries = read_commits(table, first_unseen_version..=version).await?;
        if entries.iter().any(Option::is_none) {
            return Err(store_error(self.failed(table), "a part of the log is gone"));
        }
        for entry in entries.into_iter().flatten() {
            let Some(note) = entry.note else { continue };
            if note.run == self.run {
                return Ok(Some(entry.version));
            }
            let sink = |run: &str| run.split('/').next().map(str::to_owned);
            let earlier = note.batch.batch == self.batch && sink(&note.run) == sink(&self.run);
            if earlier {
                return Err(SinkError::Unknown {
                    batch: self.batch,
                    source:
                        "an earlier commit of this process, given up as failed, is in the table after all"
                            .into(),
                });
            }
        }
        Err(self.superseded(found))
    }

    /// The last batch in the table is not the one that ours follows.
    pub(crate) fn unexpected_predecessor(&self, table: &Table, last: BatchId) -> SinkError {
        if last > self.after {
            return self.superseded(last);
        }
        SinkError::TableChanged {
            table: table.root.to_string(),
            what: format!(
                "lost micro-batches while the pipeline was writing it: batch {} was to follow batch {}, but the last \
                 one in it is {last}; was it put back from an older copy? Nothing was committed; a new start goes on \
                 after batch {last}",
                self.batch, self.after
            ),
        }
    }

    fn superseded(&self, last: BatchId) -> SinkError {
        SinkError::Superseded {
            pipeline: self.pipeline.clone(),
            batch: last,
        }
    }
}
