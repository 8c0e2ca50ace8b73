use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::schema::StructField;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};
use delta_kernel::{KernelError, SnapshotRef};
use object_store::path::Path;
use sandbar_pipeline::{Backoff, BatchId, MicroBatch, SinkError, with_causes};

use crate::engine::{ENGINE_INFO, Table, committer};
use crate::error::{kernel_error, store_error};
use crate::footing::{Footing, discard, find_staged, withdraw};
use crate::layout::{TableLayout, already_exists};
use crate::log::read_commits;
use crate::stage::DeltaStaged;
use crate::txn::{Note, Progress, app_id, domain, end_id, has_domain_metadata, last_committed, to_json};

/// Commits of others that may get in the way of one of ours.
const MAX_ATTEMPTS: u32 = 50;
/// The first and the longest pause after a commit of somebody else.
const MIN_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// One micro-batch on its way into the log.
pub(crate) struct Commit {
    staged: Option<DeltaStaged>,
    /// How to create the table if it is missing.
    layout: Arc<TableLayout>,
    pub(crate) pipeline: String,
    pub(crate) batch: BatchId,
    /// The batch that must be the last one in the table, 0 for none.
    pub(crate) after: BatchId,
    version: i64,
    /// The answer that the pipeline got from [`Sink::carries_offset`](sandbar_pipeline::Sink::carries_offset).
    carries_offset: bool,
    /// For the domain metadata, wherever the table can have it: what it says is never older than the `txn`.
    progress: String,
    /// Tells the offset log's entry of this batch from those of other attempts.
    fingerprint: i64,
    note: String,
    /// `<sink>/<number>`: names this process, and this commit of it.
    pub(crate) run: String,
}

/// The table as it was after a sink's last read or commit.
#[derive(Default)]
pub(crate) struct Known {
    /// `None` while the table does not exist.
    pub(crate) snapshot: Option<SnapshotRef>,
    /// `None` where there is no snapshot, or nothing was asked for since the table appeared.
    pub(crate) footing: Option<Footing>,
}

/// How one attempt ended, as far as it is known.
enum Attempt {
    Committed(u64, Option<SnapshotRef>),
    /// Somebody else made the version that we wanted to make.
    Conflict,
    /// An error, which says nothing about whether the commit is in the log.
    Failed(SinkError),
}

/// A micro-batch that is in the table.
pub(crate) struct Done {
    pub(crate) version: u64,
    pub(crate) snapshot: Option<SnapshotRef>,
}

impl Commit {
    pub(crate) fn new(
        staged: Option<DeltaStaged>,
        layout: Arc<TableLayout>,
        batch: &MicroBatch,
        after: BatchId,
        carries_offset: bool,
        run: String,
    ) -> Result<Self, SinkError> {
        let note = Note {
            batch: batch.clone(),
            run: run.clone(),
        };
        let progress = Progress {
            batch: batch.batch,
            end: batch.end.clone(),
            component: batch.component.clone(),
            source: batch.source.clone(),
        };
        let version = match i64::try_from(batch.batch) {
            Ok(version) if batch.batch > after => version,
            _ => {
                return Err(SinkError::Damaged(format!(
                    "there can't be a batch {} after batch {after}",
                    batch.batch
                )));
            }
        };
        Ok(Self {
            staged: staged.filter(|staged| !staged.adds.is_empty()),
            layout,
            pipeline: batch.pipeline.clone(),
            batch: batch.batch,
            after,
            version,
            // 63 bits always fit.
            fingerprint: batch.end.fingerprint().cast_signed(),
            carries_offset,
            progress: to_json(&progress)?,
            note: to_json(&note)?,
            run,
        })
    }

    /// Commits, or finds out why not. `known` is the table as far as it is known; it is kept up to date whatever the
    /// outcome.
    pub(crate) async fn run(self, table: &Table, known: &mut Known) -> Result<Done, SinkError> {
        Arc::new(self).attempts(table, known).await
    }

    async fn attempts(self: &Arc<Self>, table: &Table, known: &mut Known) -> Result<Done, SinkError> {
        let mut first_unseen_version = known.snapshot.as_ref().map_or(0, |s| s.version() + 1);
        let mut backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE).with_jitter(seed_of(&self.run));
        for _ in 0..MAX_ATTEMPTS {
            if let Err(e) = self.stand(table, known).await {
                return Err(self.give_up(table, e).await);
            }
            let (last, tried) = {
                let (commit, base) = (Arc::clone(self), known.snapshot.clone());
                let attempt = table.run(move |table| commit.check_and_try(table, base)).await;
                attempt.unwrap_or_else(|broken| Ok((0, Some(Attempt::Failed(broken)))))
            }?;
            let failure = match (last, tried) {
                (_, Some(Attempt::Committed(version, after))) => {
                    return self.landed(table, known, version, after).await;
                }
                (_, Some(Attempt::Conflict)) => None,
                (_, Some(Attempt::Failed(e))) => Some(e),
                (last, None) => {
                    return Err(self
                        .give_up(table, self.unexpected_predecessor(table, last))
                        .await);
                }
            };
            if failure.is_none() {
                backoff.pause(table.clock.as_ref()).await;
            }
            match self.resolve(table, known, first_unseen_version).await {
                Ok(Some(version)) => {
                    return Ok(Done {
                        version,
                        snapshot: known.snapshot.clone(),
                    });
                }
                Ok(None) => {}
                Err(e @ (SinkError::Superseded { .. } | SinkError::Unknown { .. })) => return Err(e),
                Err(e @ SinkError::TableChanged { .. }) => {
                    return Err(match failure {
                        Some(_) => self.take_back(table, first_unseen_version, e).await,
                        None => self.give_up(table, e).await,
                    });
                }
                Err(hidden) => {
                    tracing::warn!(
                        batch = self.batch,
                        error = failure.as_ref().map(|e| with_causes(e)),
                        "a commit failed, and so did the search for it"
                    );
                    return Err(SinkError::Unknown {
                        batch: self.batch,
                        source: Box::new(hidden),
                    });
                }
            }
            first_unseen_version = known.snapshot.as_ref().map_or(0, |s| s.version() + 1);
            if let Some(error) = failure {
                return Err(error);
            }
        }
        Err(store_error(
            self.failed(table),
            format!("other writers were faster {MAX_ATTEMPTS} times"),
        ))
    }

    /// Makes sure that the table is still the one that the commit builds on.
    async fn stand(&self, table: &Table, known: &mut Known) -> Result<(), SinkError> {
        let Some(snapshot) = known.snapshot.clone() else {
            // There is nothing yet but what was staged.
            return find_staged(table, self.files()).await;
        };
        let footing = match &mut known.footing {
            Some(footing) => footing,
            None => {
                find_staged(table, self.files()).await?;
                known.footing.insert(Footing::learn(table, &snapshot).await?)
            }
        };
        let now = footing
            .stand(table, Arc::clone(&snapshot), &self.pipeline)
            .await?;
        if !Arc::ptr_eq(&now, &snapshot) {
            // It was away, or was put back: so its files may be gone.
            find_staged(table, self.files()).await?;
            known.snapshot = Some(now);
        }
        Ok(())
    }

    /// The commit is in the log. Whether that is still a log is what is left to be known.
    async fn landed(
        &self,
        table: &Table,
        known: &mut Known,
        version: u64,
        after: Option<SnapshotRef>,
    ) -> Result<Done, SinkError> {
        let whole = match &mut known.footing {
            Some(footing) => footing.bears(table, version).await,
            // A new table is as whole as its files are.
            None => find_staged(table, self.files()).await,
        };
        if let Err(e @ SinkError::TableChanged { .. }) = whole {
            return Err(self.take_back(table, version, e).await);
        }
        if let Some(after) = &after
            && let Ok(footing) = Footing::after_commit(known.footing.as_ref(), table, after).await
        {
            known.footing = Some(footing);
        }
        known.snapshot = after.clone().or(known.snapshot.take());
        Ok(Done {
            version,
            snapshot: after,
        })
    }

    /// Takes the log entry back that was put where no table is any more, with its data files. Whatever else has that
    /// version's name by now stays.
    async fn take_back(&self, table: &Table, version: u64, error: SinkError) -> SinkError {
        let gone = match self.is_at(table, version).await {
            Ok(true) => withdraw(table, version).await,
            Ok(false) => true,
            Err(_) => false,
        };
        match error {
            error if gone => self.give_up(table, error).await,
            SinkError::TableChanged { table, what } => SinkError::TableChanged {
                table,
                what: format!(
                    "{what}. The log entry of version {version}, which was on its way, is left there"
                ),
            },
            error => error,
        }
    }

    /// Removes the data files where there is no table for them any more.
    async fn give_up(&self, table: &Table, error: SinkError) -> SinkError {
        if let SinkError::TableChanged { .. } = error {
            discard(table, self.files()).await;
        }
        error
    }

    /// Whether it is what made this version.
    async fn is_at(&self, table: &Table, version: u64) -> Result<bool, SinkError> {
        let entries = read_commits(table, [version]).await?;
        let mut notes = entries.into_iter().flatten().filter_map(|entry| entry.note);
        Ok(notes.any(|note| note.run == self.run))
    }

    /// The data files that it adds.
    fn files(&self) -> &[Path] {
        self.staged.as_ref().map_or(&[], |staged| &staged.files)
    }

    /// Compares the last committed batch with ours and commits on the very same state of the table. Blocks.
    fn check_and_try(
        &self,
        table: &Table,
        base: Option<SnapshotRef>,
    ) -> Result<(BatchId, Option<Attempt>), SinkError> {
        let last = match &base {
            Some(snapshot) => last_committed(table, snapshot, &self.pipeline)?.map_or(0, |last| last.batch),
            None => 0,
        };
        if last != self.after {
            return Ok((last, None));
        }
        let attempt = match base {
            Some(snapshot) => {
                let added = match &self.staged {
                    Some(staged) => staged.layout.files_fit(&snapshot)?,
                    None => Vec::new(),
                };
                if self.carries_offset && !has_domain_metadata(&snapshot) {
                    return Err(SinkError::Schema(format!(
                        "the table {} appeared while a micro-batch was at work, and can't carry the offset; \
                         start the pipeline again",
                        table.root
                    )));
                }
                self.append(table, snapshot, added)
            }
            None => {
                table.create_log_folder()?;
                self.create(table)
            }
        };
        let attempt = attempt.unwrap_or_else(|e| self.failure(table, e));
        Ok((last, Some(attempt)))
    }

    /// Appends to the table, which gets these columns in the same commit.
    fn append(
        &self,
        table: &Table,
        snapshot: SnapshotRef,
        added: Vec<StructField>,
    ) -> Result<Attempt, KernelError> {
        let (info, schema) = Note::commit_info(&self.note)?;
        let has_domain = has_domain_metadata(&snapshot);
        let mut builder = snapshot
            .update_table(UpdateTableOperation::StreamingUpdate, ENGINE_INFO, true)
            .with_transaction_id(app_id(&self.pipeline), self.version)
            .with_commit_info(info, schema);
        if !self.carries_offset {
            builder = builder.with_transaction_id(end_id(&self.pipeline), self.fingerprint);
        }
        if has_domain {
            builder = builder.with_domain_metadata(domain(&self.pipeline), self.progress.clone());
        }
        // A commit that changes the schema is none.
        if self.staged.is_some() && added.is_empty() {
            builder = builder.with_blind_append();
        }
        for column in added {
            builder = builder.add_column(column);
        }
        let mut transaction = builder.build(table.engine.as_ref(), committer())?;
        for add in self.staged.iter().flat_map(|staged| &staged.adds) {
            transaction.add_files(Box::new(ArrowEngineData::new(add.clone())));
        }
        Ok(self.attempt(table, transaction.commit(table.engine.as_ref())?))
    }

    /// Creates the table with the rows in it, in one commit.
    fn create(&self, table: &Table) -> Result<Attempt, KernelError> {
        let layout = self.staged.as_ref().map_or(&self.layout, |staged| &staged.layout);
        let Some(creation) = layout.creation() else {
            return Err(KernelError::generic("the table is gone"));
        };
        let (info, schema) = Note::commit_info(&self.note)?;
        let mut builder = creation
            .builder(&table.root)
            .with_transaction_id(app_id(&self.pipeline), self.version)
            .with_commit_info(info, schema);
        builder = match self.carries_offset {
            true => builder.with_domain_metadata(domain(&self.pipeline), self.progress.clone()),
            false => builder.with_transaction_id(end_id(&self.pipeline), self.fingerprint),
        };
        let mut transaction = match builder.build(table.engine.as_ref(), committer()) {
            Ok(transaction) => transaction,
            Err(e) => return already_exists(e).map(|()| Attempt::Conflict),
        };
        for add in self.staged.iter().flat_map(|staged| &staged.adds) {
            transaction.add_files(Box::new(ArrowEngineData::new(add.clone())));
        }
        Ok(self.attempt(table, transaction.commit(table.engine.as_ref())?))
    }

    pub(crate) fn failed(&self, table: &Table) -> String {
        format!("can't commit batch {} to the table {}", self.batch, table.root)
    }

    fn attempt<S>(&self, table: &Table, result: CommitResult<S>) -> Attempt {
        match result {
            CommitResult::Committed(done) => {
                Attempt::Committed(done.commit_version(), done.post_commit_snapshot().cloned())
            }
            CommitResult::Conflicted(_) => Attempt::Conflict,
            CommitResult::Retryable(failed) => self.failure(table, failed.error),
        }
    }

    fn failure(&self, table: &Table, error: KernelError) -> Attempt {
        Attempt::Failed(kernel_error(self.failed(table), error))
    }
}

/// A seed that differs from one commit to the next, so that two writers in each other's way pause for different times.
fn seed_of(run: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    hasher.finish()
}
