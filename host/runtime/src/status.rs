use sandbar_pipeline::{
    BatchId, CheckpointLocation, CommitRecord, ComponentId, Offset, OnProbation, PipelineError, ReadLimit,
    RefusedVersion, SinkFactory, Source, SourceError, SwapNote, SwapRecord,
};
use serde::Serialize;

use crate::config::PipelineFile;
use crate::location::MissingFolder;
use crate::{Runtime, RuntimeError};

/// Where a pipeline stands.
#[derive(Debug, Serialize)]
pub struct PipelineStatus {
    /// Its name.
    pub pipeline: String,
    /// Where its table lies.
    pub table: String,
    /// The table's version; `None` when there is no table yet.
    pub table_version: Option<u64>,
    /// The last committed micro-batch, 0 for none.
    pub batch: BatchId,
    /// Its end offset, where known.
    pub offset: Option<Offset>,
    /// The newest offset at the source, where it answers.
    pub latest: Option<Offset>,
    /// How far `offset` lies behind `latest`, where both are numbers or differ in one number.
    pub lag: Option<i64>,
    /// Why `latest` is not known.
    pub latest_error: Option<String>,
    /// Why a run would refuse to go on: another writer turned the table back.
    pub rolled_back: Option<String>,
    /// The component that would read next.
    pub component: Option<ComponentId>,
    /// The last micro-batches, newest first.
    pub batches: Vec<PastBatch>,
    /// The swaps of the component, oldest first, as far as the checkpoint location holds them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swaps: Vec<SwapRecord>,
    /// Versions that failed, which are not swapped in again by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedVersion>,
    /// The version on probation, if one is at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probation: Option<OnProbation>,
}

/// One micro-batch of the table's history.
#[derive(Debug, Serialize)]
pub struct PastBatch {
    /// Its number.
    pub batch: BatchId,
    /// The offset before its first row.
    pub start: Offset,
    /// The offset after its last row.
    pub end: Offset,
    /// Its rows.
    pub rows: u64,
    /// The table's version that brought it.
    pub table_version: u64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The component that read it.
    pub component: ComponentId,
    /// Why it was another one than for the micro-batch before, where a swap is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapNote>,
}

impl Runtime {
    /// Returns where a pipeline stands, with its last `limit` micro-batches. Asks the source what is newest;
    /// that it does not answer is part of the status.
    ///
    /// # Errors
    /// [`RuntimeError::Config`] when the table's location can't be one; [`RuntimeError::Sink`],
    /// [`RuntimeError::Checkpoint`] and [`RuntimeError::Run`] when the table or the checkpoint location can't be read.
    pub async fn status(&self, file: &PipelineFile, limit: usize) -> Result<PipelineStatus, RuntimeError> {
        self.check_process()?;
        let state = self
            .table_of(file)
            .await?
            .state(&file.config().name, limit)
            .await?;
        let mut status = PipelineStatus {
            pipeline: file.config().name.clone(),
            table: file.table_location(),
            table_version: state.as_ref().map(|state| state.revision),
            batch: 0,
            offset: None,
            latest: None,
            lag: None,
            latest_error: None,
            rolled_back: None,
            component: None,
            batches: vec![],
            swaps: vec![],
            refused: vec![],
            probation: None,
        };
        if let Some(record) = self.look_at_checkpoint(file).await?.load_versions().await? {
            (status.swaps, status.refused, status.probation) =
                (record.swaps, record.refused, record.probation);
        }
        if let Some(state) = state {
            if let Some(last) = state.last {
                status.batch = last.batch;
                status.offset = match last.end {
                    Some(end) => Some(end),
                    None => self.logged_offset(file, last.batch, last.fingerprint).await?,
                };
            }
            status.rolled_back = state
                .rolled_back
                .map(|rollback| format!("{rollback}{}", (self.remedy_words())(&rollback.remedies())));
            status.batches = state.commits.into_iter().map(past_batch).collect();
        }
        match self.ask_source(file, &mut status).await {
            Ok(latest) => status.latest = latest,
            Err(e) => status.latest_error = Some(self.explain(&e)),
        }
        if let (Some(offset), Some(latest)) = (&status.offset, &status.latest) {
            status.lag = offset.lag(latest);
        }
        Ok(status)
    }

    /// The checkpoint location for whoever only looks.
    async fn look_at_checkpoint(&self, file: &PipelineFile) -> Result<CheckpointLocation, RuntimeError> {
        let (location, clock) = (file.checkpoint_location(), self.clock());
        let found = tokio::task::spawn_blocking(move || {
            crate::location::checkpoint(&location, MissingFolder::Leave, clock)
        });
        let found = found.await.map_err(|e| SourceError::Sandbox(Box::new(e)))??;
        Ok(found.location)
    }

    async fn logged_offset(
        &self,
        file: &PipelineFile,
        batch: BatchId,
        fingerprint: Option<u64>,
    ) -> Result<Option<Offset>, RuntimeError> {
        let location = self.look_at_checkpoint(file).await?;
        match location.load_end(batch, fingerprint).await {
            Ok(entry) => Ok(Some(entry.end)),
            Err(PipelineError::OffsetUnknown { .. }) => Ok(None),
            Err(source) => Err(RuntimeError::Run {
                name: file.config().name.clone(),
                source,
            }),
        }
    }

    async fn ask_source(
        &self,
        file: &PipelineFile,
        status: &mut PipelineStatus,
    ) -> Result<Option<Offset>, RuntimeError> {
        let open = self.open_to_look(file).await?;
        status.component = Some(open.connector().id().clone());
        let location = &open.parts.checkpoint.location;
        location.admit(&open.owner(), status.batch > 0).await?;
        let start = match &status.offset {
            Some(offset) => offset.clone(),
            None => open.source.initial_offset().await?,
        };
        Ok(open
            .source
            .latest_offset(&start, None, ReadLimit::default())
            .await?)
    }
}

fn past_batch(record: CommitRecord) -> PastBatch {
    let batch = record.batch;
    PastBatch {
        batch: batch.batch,
        start: batch.start,
        end: batch.end,
        rows: batch.rows,
        table_version: record.revision,
        timestamp: record.timestamp,
        component: batch.component,
        swap: batch.swap,
    }
}
