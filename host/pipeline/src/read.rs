use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::keys::SeenKeys;
use crate::passed::{Passed, goes_back};
use crate::{
    Batch, Batches, Offset, Partition, PipelineError, ProgressSink, ReadLimit, Sink, Source, SourceError,
    SourceUsage, Stage, StageSummary,
};

/// Batches that may wait between the readers and the stage. Together with one in each reader's hand it
/// bounds what is in memory.
const QUEUED_BATCHES: usize = 2;

pub(crate) type StagedOf<K> = <<K as Sink>::Stage as Stage>::Staged;

/// Rows of one micro-batch, written but not visible.
pub(crate) struct StagedRows<K: Sink> {
    pub(crate) staged: Option<StagedOf<K>>,
    pub(crate) summary: StageSummary,
    pub(crate) end: Offset,
    pub(crate) usage: SourceUsage,
}

/// Rows of one micro-batch, all read and not all written yet.
pub(crate) struct ReadRows<K: Sink> {
    stage: Option<K::Stage>,
    rows: u64,
    end: Offset,
    usage: SourceUsage,
}

impl<K: Sink> ReadRows<K> {
    /// Nothing, behind `end`.
    pub(crate) fn nothing(end: Offset) -> Self {
        Self {
            stage: None,
            rows: 0,
            end,
            usage: SourceUsage::default(),
        }
    }

    /// Writes what is left. Dropped half way, it may leave files that nobody knows.
    pub(crate) async fn finish(self) -> Result<StagedRows<K>, PipelineError> {
        let (staged, summary) = match self.stage {
            Some(stage) => {
                let (staged, summary) = stage.finish().await?;
                (Some(staged), summary)
            }
            None => (None, StageSummary::default()),
        };
        Ok(StagedRows {
            staged,
            summary: StageSummary {
                rows: self.rows,
                ..summary
            },
            end: self.end,
            usage: self.usage,
        })
    }
}

/// Reads all parts, `parallelism` at once, into one stage.
pub(crate) async fn read_range<S: Source, K: Sink>(
    source: &Arc<S>,
    sink: &mut K,
    end: Offset,
    partitions: Vec<Partition>,
    parallelism: usize,
    limit: ReadLimit,
    progress: &dyn ProgressSink,
) -> Result<ReadRows<K>, PipelineError> {
    let mut staging = Staging::new(SeenKeys::new(source.key(false), &source.schema()), sink, progress);
    let workers = parallelism.clamp(1, partitions.len().max(1));
    let parts = Arc::new(std::sync::Mutex::new(partitions.into_iter()));
    let (sender, mut receiver) = mpsc::channel(QUEUED_BATCHES);
    // Dropped on every way out, which ends the readers and what they hold.
    let mut readers = JoinSet::new();
    for _ in 0..workers {
        readers.spawn(read_parts(source.clone(), parts.clone(), sender.clone()));
    }
    drop(sender);
    while let Some(batch) = receiver.recv().await {
        let batch = batch?;
        // Looked at before anything is written.
        let rows = staging.rows.saturating_add(count_rows(&batch));
        if let Some(most) = limit.max_rows.filter(|most| rows > *most) {
            return Err(PipelineError::Contract(format!(
                "the range up to {} has more than the {most} rows that latest-offset was limited to",
                end.shown()
            )));
        }
        let bytes = staging.bytes.saturating_add(count_bytes(&batch));
        if let Some(most) = limit.max_bytes.filter(|most| bytes > *most) {
            return Err(PipelineError::TooManyBytes { end, most });
        }
        staging.add(batch).await?;
    }
    while let Some(reader) = readers.join_next().await {
        reader.map_err(|e| SourceError::Host(Box::new(e)))?;
    }
    Ok(staging.end_at(end))
}

/// Reads on from `start` until the limit is reached or nothing is left.
pub(crate) async fn read_sequential<S: Source, K: Sink>(
    source: &Arc<S>,
    sink: &mut K,
    start: &Offset,
    limit: ReadLimit,
    passed: &Passed,
    progress: &dyn ProgressSink,
) -> Result<ReadRows<K>, PipelineError> {
    let mut staging = Staging::new(SeenKeys::new(source.key(true), &source.schema()), sink, progress);
    let mut within = Passed::from(start);
    let mut end = start.clone();
    let mut batches = source.read_from(start, limit).await?;
    while let Some(batch) = batches.next().await? {
        // A source that never has to wait must still leave room for a stop.
        tokio::task::coop::consume_budget().await;
        let Some(reached) = batch.end.clone() else {
            return Err(PipelineError::Contract(
                "a batch of read-from has no end offset".into(),
            ));
        };
        let rows = count_rows(&batch);
        if rows > 0 && reached == end {
            return Err(PipelineError::Stuck { rows, offset: end });
        }
        // That it comes back to where it began is told when it ends there.
        if reached != end && reached != *start && (passed.has(&reached) || !within.by(&reached)) {
            return Err(goes_back(&end, &reached));
        }
        // A batch that would go over a limit is read again by the next micro-batch, from `end`.
        let bytes = count_bytes(&batch);
        let over = limit.max_rows.is_some_and(|most| staging.rows + rows > most)
            || limit
                .max_bytes
                .is_some_and(|most| staging.bytes.saturating_add(bytes) > most);
        if staging.rows > 0 && over {
            break;
        }
        staging.add(batch).await?;
        end = reached;
        if limit.max_rows.is_some_and(|most| staging.rows >= most) {
            break;
        }
    }
    drop(batches);
    Ok(staging.end_at(end))
}

async fn read_parts<S: Source>(
    source: Arc<S>,
    parts: Arc<std::sync::Mutex<std::vec::IntoIter<Partition>>>,
    sender: mpsc::Sender<Result<Batch, SourceError>>,
) {
    let next = || parts.lock().ok().and_then(|mut parts| parts.next());
    while let Some(part) = next() {
        if let Err(e) = read_part(&*source, &part, &sender).await {
            let _ = sender.send(Err(e)).await;
            return;
        }
    }
}

async fn read_part<S: Source>(
    source: &S,
    part: &Partition,
    sender: &mpsc::Sender<Result<Batch, SourceError>>,
) -> Result<(), SourceError> {
    let mut batches = source.read(part).await?;
    while let Some(batch) = batches.next().await? {
        if sender.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A stage that is begun with the first row, so that a micro-batch without rows leaves no file.
struct Staging<'a, K: Sink> {
    sink: &'a mut K,
    stage: Option<K::Stage>,
    progress: &'a dyn ProgressSink,
    rows: u64,
    bytes: u64,
    usage: SourceUsage,
    keys: Option<SeenKeys>,
}

impl<'a, K: Sink> Staging<'a, K> {
    fn new(keys: Option<SeenKeys>, sink: &'a mut K, progress: &'a dyn ProgressSink) -> Self {
        Self {
            keys,
            sink,
            stage: None,
            progress,
            rows: 0,
            bytes: 0,
            usage: SourceUsage::default(),
        }
    }

    async fn add(&mut self, batch: Batch) -> Result<(), PipelineError> {
        self.usage.add(&batch.usage);
        let rows = count_rows(&batch);
        self.bytes = self.bytes.saturating_add(count_bytes(&batch));
        for part in batch.rows.into_iter().filter(|b| b.num_rows() > 0) {
            if let Some(keys) = &mut self.keys {
                keys.check(&part)?;
            }
            let stage = match &mut self.stage {
                Some(stage) => stage,
                None => self.stage.insert(self.sink.stage().await?),
            };
            stage.write(part).await?;
        }
        if rows > 0 {
            self.rows = self.rows.saturating_add(rows);
            self.progress.rows_staged(rows);
        }
        Ok(())
    }

    fn end_at(self, end: Offset) -> ReadRows<K> {
        ReadRows {
            stage: self.stage,
            rows: self.rows,
            end,
            usage: self.usage,
        }
    }
}

fn count_rows(batch: &Batch) -> u64 {
    batch.rows.iter().map(|b| b.num_rows() as u64).sum()
}

/// What the rows take in memory: each value counted once, and at least what they came in.
fn count_bytes(batch: &Batch) -> u64 {
    let columns = batch.rows.iter().flat_map(RecordBatch::columns);
    let bytes = columns.map(|column| match column.to_data().get_slice_memory_size() {
        Ok(bytes) => bytes as u64,
        Err(_) => column.get_array_memory_size() as u64,
    });
    bytes.fold(0, u64::saturating_add).max(batch.usage.arrow_bytes)
}
