use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arrow_schema::{Schema, SchemaRef};
use delta_kernel::SnapshotRef;
use delta_kernel::snapshot::CheckpointWriteResult;
use sandbar_pipeline::{BatchId, CommitReceipt, Committed, MicroBatch, Sink, SinkError, with_causes};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::commit::{Commit, Known};
use crate::engine::Table;
use crate::footing::Footing;
use crate::history::refuse_rollback;
use crate::layout::TableLayout;
use crate::stage::{DeltaStage, DeltaStaged};
use crate::txn::{has_domain_metadata, last_committed};
use crate::{DeltaOptions, OffsetStorage};

/// Versions between two log checkpoints, where the table does not say another number.
const LOG_CHECKPOINT_INTERVAL: u64 = 100;

/// The longest wait for files that are being removed.
const MAX_CLOSING_TIME: Duration = Duration::from_secs(10);

/// Appends the micro-batches of one pipeline to one Delta table, each exactly once.
pub struct DeltaSink {
    options: DeltaOptions,
    source: SchemaRef,
    table: Table,
    known_table: Known,
    layout: Arc<TableLayout>,
    /// Distinguishes this process's commits from those of others.
    id: String,
    commits: u64,
    /// The last batch in the table, by the last read or commit. A commit must still find it there: numbers may
    /// have gaps, so the batch's own number is not enough.
    last_known_batch: Option<BatchId>,
    checksum_written: bool,
    log_checkpoint: Option<JoinHandle<Option<SnapshotRef>>>,
    /// Every encoder holds the sender as long as it is at work.
    encoders: (Sender<()>, Receiver<()>),
}

impl DeltaSink {
    /// Opens the table for rows of this schema. Writes nothing: a missing table is created by the first commit,
    /// together with its rows.
    ///
    /// # Errors
    /// [`SinkError::Schema`] when the table can't take such rows or no table can; [`SinkError::LacksColumns`] when it
    /// only lacks columns and is not to get them; [`SinkError::Store`] when the table can't be read.
    pub async fn open(options: DeltaOptions, schema: &Schema) -> Result<Self, SinkError> {
        let table = Table::new(&options)?;
        let mut known_table = Known::default();
        read_afresh(&table, &mut known_table).await?;
        let source: SchemaRef = Arc::new(schema.clone());
        let layout = make_layout(&table, known_table.snapshot.as_ref(), &source, &options).await?;
        Ok(Self {
            id: Uuid::new_v4().to_string(),
            options,
            source,
            table,
            known_table,
            layout,
            commits: 0,
            last_known_batch: None,
            checksum_written: false,
            log_checkpoint: None,
            encoders: channel(1),
        })
    }

    /// The columns that the table gets with the next rows.
    pub(crate) fn added_columns(&self) -> Vec<String> {
        self.layout.added_columns().map(str::to_owned).collect()
    }

    /// The table's version as this sink knows it; `None` while the table does not exist.
    pub fn table_version(&self) -> Option<u64> {
        self.known_table
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.version())
    }

    async fn finish_log_checkpoint(&mut self) {
        if let Some(log_checkpoint) = self.log_checkpoint.take() {
            let written = log_checkpoint.await.ok().flatten();
            self.adopt(written).await;
        }
    }

    /// Goes on from a state of the table with a log checkpoint: reading and committing from an older state
    /// carries all commits since the last one along.
    async fn adopt(&mut self, checkpointed: Option<SnapshotRef>) {
        let Some(checkpointed) = checkpointed else { return };
        if self.table_version() == Some(checkpointed.version()) {
            self.known_table.snapshot = Some(checkpointed);
            return;
        }
        let (Some(footing), Some(snapshot)) = (&self.known_table.footing, self.known_table.snapshot.clone())
        else {
            return;
        };
        match footing.reload(&self.table, snapshot).await {
            Ok(snapshot) => self.known_table.snapshot = Some(snapshot),
            // What is wrong will be wrong at the next commit.
            Err(e) => tracing::debug!(error = %with_causes(&e), "the log checkpoint is not used yet"),
        }
    }

    async fn adopt_finished_log_checkpoint(&mut self) {
        if self.log_checkpoint.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_log_checkpoint().await;
        }
    }

    /// Without a checksum file each read of the progress reads all commits since the last log checkpoint.
    async fn write_checksum_once(&mut self) {
        let Some(snapshot) = self
            .known_table
            .snapshot
            .clone()
            .filter(|_| !self.checksum_written)
        else {
            return;
        };
        self.checksum_written = true;
        let written = self
            .table
            .run(move |table| {
                snapshot
                    .write_checksum(table.engine.as_ref())
                    .map(|(_, after)| after)
            })
            .await;
        match written {
            Ok(Ok(snapshot)) => self.known_table.snapshot = Some(snapshot),
            Ok(Err(e)) => tracing::debug!(error = %e, "no checksum file for the table"),
            Err(e) => tracing::debug!(error = %with_causes(&e), "no checksum file for the table"),
        }
    }

    /// Begins a log checkpoint beside the next micro-batch when one is due. A failure is only logged: the rows
    /// are in the table.
    fn start_log_checkpoint(&mut self, snapshot: SnapshotRef) {
        let interval = snapshot
            .table_properties()
            .checkpoint_interval
            .map_or(LOG_CHECKPOINT_INTERVAL, |interval| interval.get());
        let version = snapshot.version();
        if version == 0 || !version.is_multiple_of(interval) || self.log_checkpoint.is_some() {
            return;
        }
        self.log_checkpoint =
            Some(self.table.spawn(
                move |table| match snapshot.checkpoint(table.engine.as_ref(), None) {
                    Ok((CheckpointWriteResult::Written, after)) => Some(after),
                    Ok((CheckpointWriteResult::AlreadyExists, _)) => None,
                    Err(e) => {
                        tracing::warn!(table = %table.root, version, error = %e, "no log checkpoint");
                        None
                    }
                },
            ));
    }

    /// Commits in the name of another sink from now on.
    #[cfg(test)]
    pub(crate) fn take_identity(&mut self, other: &Self) {
        self.id.clone_from(&other.id);
        self.commits = other.commits;
    }

    /// A caller that asks where the pipeline stands takes the table as it is, whatever it was before.
    async fn refresh(&mut self) -> Result<(), SinkError> {
        if let (Some(footing), Some(snapshot)) = (&self.known_table.footing, &self.known_table.snapshot)
            && footing.version == snapshot.version()
            && let Ok(now) = footing.reload(&self.table, Arc::clone(snapshot)).await
        {
            if now.version() != footing.version {
                self.known_table.footing = Some(Footing::learn(&self.table, &now).await?);
            }
            self.known_table.snapshot = Some(now);
            return Ok(());
        }
        read_afresh(&self.table, &mut self.known_table).await
    }

    async fn refresh_layout(&mut self) -> Result<(), SinkError> {
        if !self.layout.is_for(self.known_table.snapshot.as_ref()) {
            self.layout = make_layout(
                &self.table,
                self.known_table.snapshot.as_ref(),
                &self.source,
                &self.options,
            )
            .await?;
        }
        Ok(())
    }
}

impl Sink for DeltaSink {
    type Stage = DeltaStage;

    /// For a missing table: whether the one that will be created does.
    fn carries_offset(&self) -> bool {
        let wanted = self.options.progress == OffsetStorage::Table;
        wanted
            && self
                .known_table
                .snapshot
                .as_ref()
                .is_none_or(|snapshot| has_domain_metadata(snapshot))
    }

    async fn last_committed(&mut self) -> Result<Option<Committed>, SinkError> {
        self.adopt_finished_log_checkpoint().await;
        self.refresh().await?;
        let Some(snapshot) = self.known_table.snapshot.clone() else {
            self.last_known_batch = Some(0);
            return Ok(None);
        };
        let pipeline = self.options.pipeline.clone();
        let last = self
            .table
            .run(move |table| last_committed(table, &snapshot, &pipeline))
            .await??;
        self.last_known_batch = Some(last.as_ref().map_or(0, |last| last.batch));
        Ok(last)
    }

    async fn verify(&mut self) -> Result<(), SinkError> {
        let (Some(version), Some(last)) = (self.table_version(), self.last_known_batch) else {
            return Ok(());
        };
        refuse_rollback(&self.table, &self.options.pipeline, version, last).await
    }

    async fn prepare(&mut self, schema: &SchemaRef) -> Result<(), SinkError> {
        if *schema != self.source {
            let snapshot = self.known_table.snapshot.as_ref();
            self.layout = make_layout(&self.table, snapshot, schema, &self.options).await?;
            self.source = Arc::clone(schema);
        }
        Ok(())
    }

    async fn stage(&mut self) -> Result<DeltaStage, SinkError> {
        self.adopt_finished_log_checkpoint().await;
        if let Some(footing) = &self.known_table.footing
            && self.table.run(Table::lacks_folder).await?
        {
            return Err(footing.removed(&self.table));
        }
        self.refresh_layout().await?;
        let now = self
            .options
            .clock
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let stamp = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        Ok(DeltaStage::start(
            &self.table,
            Arc::clone(&self.layout),
            Arc::clone(&self.source),
            stamp,
            self.encoders.0.clone(),
        ))
    }

    async fn commit(
        &mut self,
        staged: Option<DeltaStaged>,
        batch: &MicroBatch,
    ) -> Result<CommitReceipt, SinkError> {
        // The answer that the pipeline got. Reading the table may change it.
        let carries_offset = self.carries_offset();
        self.adopt_finished_log_checkpoint().await;
        self.write_checksum_once().await;
        self.commits += 1;
        let layout = Arc::clone(&self.layout);
        // A caller that never asked means that the numbers have no gap.
        let after = self.last_known_batch.unwrap_or(batch.batch.saturating_sub(1));
        let run = format!("{}/{}", self.id, self.commits);
        let commit = Commit::new(staged, layout, batch, after, carries_offset, run)?;
        let done = commit.run(&self.table, &mut self.known_table).await?;
        self.last_known_batch = Some(batch.batch);
        // A table that this sink created is known from its beginning.
        self.checksum_written |= done.version == 0;
        if let Some(snapshot) = done.snapshot {
            self.start_log_checkpoint(snapshot);
        }
        Ok(CommitReceipt {
            revision: done.version,
        })
    }

    /// Waits for what goes on beside: a log checkpoint, and stages that were dropped and remove what they began.
    /// Without it the table is read a little slower until the next log checkpoint, and unfinished files stay.
    async fn close(&mut self) {
        self.finish_log_checkpoint().await;
        let (busy, mut idle) = std::mem::replace(&mut self.encoders, channel(1));
        drop(busy);
        let removed = async { while idle.recv().await.is_some() {} };
        // A store that does not answer must not hold up an end.
        tokio::select! {
            () = removed => {}
            () = self.table.clock.sleep(MAX_CLOSING_TIME) => tracing::warn!(table = %self.table.root, "unfinished files stay"),
        }
    }
}

async fn read_afresh(table: &Table, known: &mut Known) -> Result<(), SinkError> {
    known.snapshot = table.load(None).await?;
    known.footing = match &known.snapshot {
        Some(snapshot) => Some(Footing::learn(table, snapshot).await?),
        None => None,
    };
    Ok(())
}

async fn make_layout(
    table: &Table,
    snapshot: Option<&SnapshotRef>,
    source: &SchemaRef,
    options: &DeltaOptions,
) -> Result<Arc<TableLayout>, SinkError> {
    let (snapshot, source, options) = (snapshot.cloned(), Arc::clone(source), options.clone());
    table
        .run(move |table| TableLayout::new(table, snapshot.as_ref(), &source, &options))
        .await?
        .map(Arc::new)
}
