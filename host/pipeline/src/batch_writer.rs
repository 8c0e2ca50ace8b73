use crate::{
    Batch, ComponentId, Offset, PipelineError, Sink, SinkError, Source, SourceIdentity, SourceUsage, Stage,
    WriteStats,
};

type StagedOf<K> = <<K as Sink>::Stage as Stage>::Staged;

/// Rows of one micro-batch on their way into the sink. The stage is begun with the first row, so that a micro-batch
/// without rows leaves no file.
pub(crate) struct BatchWriter<K: Sink> {
    stage: Option<K::Stage>,
    rows: u64,
    usage: SourceUsage,
    reader: SourceReading,
}

/// Who reads a micro-batch, and what. Taken when it is read: by the time of its commit another version may be there.
#[derive(Clone)]
pub(crate) struct SourceReading {
    pub(crate) component: ComponentId,
    pub(crate) source: SourceIdentity,
}

impl SourceReading {
    pub(crate) fn of<S: Source>(source: &S) -> Self {
        Self {
            component: source.component().clone(),
            source: source.identity(),
        }
    }
}

/// Rows of one micro-batch, written but not visible.
pub(crate) struct StagedBatch<K: Sink> {
    /// `None` for a micro-batch without rows.
    pub(crate) staged: Option<StagedOf<K>>,
    pub(crate) stats: WriteStats,
    pub(crate) end: Offset,
    pub(crate) usage: SourceUsage,
    pub(crate) reader: SourceReading,
}

impl<K: Sink> BatchWriter<K> {
    pub(crate) fn new<S: Source>(source: &S) -> Self {
        Self {
            reader: SourceReading::of(source),
            stage: None,
            rows: 0,
            usage: SourceUsage::default(),
        }
    }

    /// Hands a batch to the stage and returns its number of rows.
    pub(crate) async fn write(&mut self, sink: &mut K, batch: Batch) -> Result<u64, SinkError> {
        self.usage.add(&batch.usage);
        let rows = batch.num_rows();
        for part in batch.rows.into_iter().filter(|part| part.num_rows() > 0) {
            let stage = match &mut self.stage {
                Some(stage) => stage,
                None => self.stage.insert(sink.stage().await?),
            };
            stage.write(part).await?;
        }
        self.rows = self.rows.saturating_add(rows);
        Ok(rows)
    }

    /// Writes what is left. If it is dropped half way, files may remain that no commit names.
    ///
    /// # Errors
    /// [`SinkError::RowCount`] when the stage did not write as many rows as it was given; the stage fails.
    pub(crate) async fn finish(self, end: Offset) -> Result<StagedBatch<K>, PipelineError> {
        let (staged, stats) = match self.stage {
            Some(stage) => {
                let (staged, stats) = stage.finish().await?;
                (Some(staged), stats)
            }
            None => (None, WriteStats::default()),
        };
        if stats.rows != self.rows {
            let (read, written) = (self.rows, stats.rows);
            return Err(SinkError::RowCount { read, written }.into());
        }
        Ok(StagedBatch {
            staged,
            stats,
            end,
            usage: self.usage,
            reader: self.reader,
        })
    }
}

impl<K: Sink> StagedBatch<K> {
    /// No rows, up to `end`.
    pub(crate) fn empty<S: Source>(end: Offset, source: &S) -> Self {
        Self {
            reader: SourceReading::of(source),
            staged: None,
            stats: WriteStats::default(),
            end,
            usage: SourceUsage::default(),
        }
    }
}
