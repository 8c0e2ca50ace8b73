use crate::pipeline::{Interrupt, Pipeline};
use crate::retry::Backoff;
use crate::{BatchId, CheckpointOwner, Offset, PipelineError, Sink, Source};

/// Where a pipeline goes on, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The last committed micro-batch, 0 for none.
    pub batch: BatchId,
    /// Where the next one starts.
    pub offset: Offset,
    /// The file of the progress note that the source could take up, where no micro-batch tells where to start.
    pub note: Option<String>,
}

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Finds out where the next micro-batch starts. Writes nothing.
    ///
    /// The table says it; only where it holds nothing of this pipeline, the source does.
    ///
    /// # Errors
    /// [`PipelineError::OtherSource`] when another source read the last micro-batch;
    /// [`CheckpointError::Foreign`](crate::CheckpointError::Foreign) when the checkpoint location is another
    /// pipeline's; the table, the checkpoint location or the source fails.
    pub async fn find_start(&mut self) -> Result<Start, PipelineError> {
        match self.look_up_start().await {
            Ok(start) => Ok(start),
            Err(Interrupt::Failed(e)) => Err(e),
            Err(Interrupt::Stopped) => Err(PipelineError::Stopped),
        }
    }

    pub(crate) async fn look_up_start(&mut self) -> Result<Start, Interrupt> {
        let last = self.sink.last_committed().await?;
        let owner = self.owner();
        self.location_claimed = self.checkpoint.admit(&owner, last.is_some()).await?;
        let Some(last) = last else {
            let mut backoff = Backoff::new(self.options.retry);
            let offset = loop {
                match self.source.initial_offset().await {
                    Ok(offset) => break offset,
                    Err(e) => self.pause_after(&mut backoff, e).await?,
                }
            };
            let note = self.checkpoint.note_file().await?;
            return Ok(Start {
                batch: 0,
                offset,
                note,
            });
        };
        self.sink.verify().await?;
        let batch = last.batch;
        let (offset, source, component) = match last.end {
            Some(end) => (end, last.source, last.component),
            None => {
                let entry = self.checkpoint.load_end(batch, last.fingerprint).await?;
                (entry.end, entry.source, Some(entry.component))
            }
        };
        let now = self.source.identity();
        if let Some(difference) = now.difference(self.source.component(), source.as_ref(), component.as_ref())
        {
            return Err(PipelineError::OtherSource {
                batch,
                difference,
                offset: Box::new(offset),
            }
            .into());
        }
        Ok(Start {
            batch,
            offset,
            note: None,
        })
    }

    /// Whose the checkpoint location is from the first committed micro-batch on.
    pub(crate) fn owner(&self) -> CheckpointOwner {
        CheckpointOwner {
            pipeline: self.options.name.clone(),
            table: self.options.table.clone(),
        }
    }

    /// Says where a start without a committed micro-batch begins, if that is not the beginning.
    pub(crate) fn report_note(&self, start: &Start) {
        if let Some(note) = &start.note {
            tracing::warn!(
                pipeline = %self.options.name,
                "starts at {} because of the progress note {note}; remove that file to start from the beginning",
                start.offset.shown()
            );
        }
    }
}
