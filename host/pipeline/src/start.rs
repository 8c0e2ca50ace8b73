use crate::pipeline::{Interrupt, Pipeline, Position, refuse_other_source};
use crate::retry::Retries;
use crate::{BatchId, CheckpointOwner, Offset, PipelineError, Sink, Source};

/// Where a pipeline goes on, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The last committed micro-batch, 0 for none.
    pub batch: BatchId,
    /// Where the next one starts.
    pub offset: Offset,
    /// The file of the progress note that the source could take up, where no micro-batch says where to start.
    pub note: Option<String>,
}

/// A start with all that is known of the last micro-batch.
pub(crate) struct FoundStart {
    pub(crate) position: Position,
    /// As [`Start::note`].
    pub(crate) note: Option<String>,
}

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Finds out where the next micro-batch starts. Writes nothing.
    ///
    /// The table says it; only where it holds nothing of this pipeline, the source does.
    ///
    /// # Errors
    /// [`PipelineError::OtherSource`] when another source read the last micro-batch;
    /// [`CheckpointError::Foreign`](crate::CheckpointError::Foreign) when the checkpoint location is another
    /// pipeline's; [`PipelineError::OffsetUnknown`] when the end of the last micro-batch is not known;
    /// [`PipelineError::Stopped`] when a stop came first; the errors of the table, the checkpoint location or the
    /// source when one of them fails.
    pub async fn find_start(&mut self) -> Result<Start, PipelineError> {
        match self.look_up_start().await {
            Ok(found) => Ok(Start {
                batch: found.position.batch,
                offset: found.position.offset,
                note: found.note,
            }),
            Err(Interrupt::Failed(e)) => Err(e),
            Err(Interrupt::Stopped | Interrupt::Successor) => Err(PipelineError::Stopped),
        }
    }

    pub(crate) async fn look_up_start(&mut self) -> Result<FoundStart, Interrupt> {
        let last = self.sink.last_committed().await?;
        let owner = self.owner();
        self.location_claimed = self.checkpoint.admit(&owner, last.is_some()).await?;
        let Some(last) = last else {
            let mut retries = Retries::new(self.options.retry);
            let offset = loop {
                match self.source.initial_offset().await {
                    Ok(offset) => break offset,
                    Err(e) => self.pause_after(&mut retries, e).await?,
                }
            };
            let position = Position {
                batch: 0,
                offset,
                component: None,
                source: None,
            };
            let note = self.checkpoint.note_file().await?;
            return Ok(FoundStart { position, note });
        };
        self.sink.verify().await?;
        let batch = last.batch;
        let position = match last.end {
            Some(offset) => Position {
                batch,
                offset,
                component: last.component,
                source: last.source,
            },
            None => {
                let entry = self.checkpoint.load_end(batch, last.fingerprint).await?;
                Position {
                    batch,
                    offset: entry.end,
                    component: Some(entry.component),
                    source: entry.source,
                }
            }
        };
        refuse_other_source(&*self.source, &position)?;
        Ok(FoundStart { position, note: None })
    }

    /// Whose the checkpoint location is from the first committed micro-batch on.
    pub(crate) fn owner(&self) -> CheckpointOwner {
        CheckpointOwner {
            pipeline: self.options.name.clone(),
            table: self.options.table.clone(),
        }
    }

    /// Says where a start without a committed micro-batch begins, if that is not the beginning.
    pub(crate) fn report_note(&self, start: &FoundStart) {
        if let Some(note) = &start.note {
            tracing::warn!(
                pipeline = %self.options.name,
                "starts at {} because of the progress note {note}; remove that file to start from the beginning",
                start.position.offset.shown()
            );
        }
    }
}
