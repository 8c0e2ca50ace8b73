use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::keys::SeenKeys;
use crate::visited_offsets::{VisitedOffsets, goes_back};
use crate::{
    Batch, Batches, Offset, Partition, PipelineError, PipelineObserver, ReadLimit, Sink, Source, SourceError,
    SourceUsage, Stage, WriteStats,
};

/// Batches that may wait between the readers and the stage. Together with one in each reader's hand it
/// bounds what is in memory.
const QUEUED_BATCHES: usize = 2;

pub(crate) type StagedOf<K> = <<K as Sink>::Stage as Stage>::Staged;

/// Rows of one micro-batch, written but not visible.
pub(crate) struct StagedBatch<K: Sink> {
    pub(crate) staged: Option<StagedOf<K>>,
    pub(crate) summary: WriteStats,
    pub(crate) end: Offset,
    pub(crate) usage: SourceUsage,
}

/// Rows of one micro-batch, all read and not all written yet.
pub(crate) struct ReadOutcome<K: Sink> {
    stage: Option<K::Stage>,
    rows: u64,
    end: Offset,
    usage: SourceUsage,
}

impl<K: Sink> ReadOutcome<K> {
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
    pub(crate) async fn finish(self) -> Result<StagedBatch<K>, PipelineError> {
        let (staged, summary) = match self.stage {
            Some(stage) => {
                let (staged, summary) = stage.finish().await?;
                (Some(staged), summary)
            }
            None => (None, WriteStats::default()),
        };
        Ok(StagedBatch {
            staged,
            summary: WriteStats {
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
    observer: &dyn PipelineObserver,
) -> Result<ReadOutcome<K>, PipelineError> {
    let mut writer = BatchWriter::new(SeenKeys::new(source.key(false), &source.schema()), sink, observer);
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
        let rows = writer.rows.saturating_add(count_rows(&batch));
        if let Some(max) = limit.max_rows.filter(|max| rows > *max) {
            return Err(PipelineError::Contract(format!(
                "the range up to {} has more than the {max} rows that latest-offset was limited to",
                end.shown()
            )));
        }
        let bytes = writer.bytes.saturating_add(count_bytes(&batch));
        if let Some(max) = limit.max_bytes.filter(|max| bytes > *max) {
            return Err(PipelineError::TooManyBytes { end, max });
        }
        writer.add(batch).await?;
    }
    while let Some(reader) = readers.join_next().await {
        reader.map_err(|e| SourceError::Sandbox(Box::new(e)))?;
    }
    Ok(writer.end_at(end))
}

/// Reads on from `start` until the limit is reached or nothing is left.
pub(crate) async fn read_sequential<S: Source, K: Sink>(
    source: &Arc<S>,
    sink: &mut K,
    start: &Offset,
    limit: ReadLimit,
    visited: &VisitedOffsets,
    observer: &dyn PipelineObserver,
) -> Result<ReadOutcome<K>, PipelineError> {
    let mut writer = BatchWriter::new(SeenKeys::new(source.key(true), &source.schema()), sink, observer);
    let mut within = VisitedOffsets::new(start);
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
        if reached != end && reached != *start && (visited.contains(&reached) || !within.insert(&reached)) {
            return Err(goes_back(&end, &reached));
        }
        // A batch that would go over a limit is read again by the next micro-batch, from `end`.
        let bytes = count_bytes(&batch);
        let over = limit.max_rows.is_some_and(|max| writer.rows + rows > max)
            || limit
                .max_bytes
                .is_some_and(|max| writer.bytes.saturating_add(bytes) > max);
        if writer.rows > 0 && over {
            break;
        }
        writer.add(batch).await?;
        end = reached;
        if limit.max_rows.is_some_and(|max| writer.rows >= max) {
            break;
        }
    }
    drop(batches);
    Ok(writer.end_at(end))
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
struct BatchWriter<'a, K: Sink> {
    sink: &'a mut K,
    stage: Option<K::Stage>,
    observer: &'a dyn PipelineObserver,
    rows: u64,
    bytes: u64,
    usage: SourceUsage,
    keys: Option<SeenKeys>,
}

impl<'a, K: Sink> BatchWriter<'a, K> {
    fn new(keys: Option<SeenKeys>, sink: &'a mut K, observer: &'a dyn PipelineObserver) -> Self {
        Self {
            keys,
            sink,
            stage: None,
            observer,
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
            self.observer.rows_staged(rows);
        }
        Ok(())
    }

    fn end_at(self, end: Offset) -> ReadOutcome<K> {
        ReadOutcome {
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
