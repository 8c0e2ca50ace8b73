use crate::batch_writer::StagedBatch;
use crate::pipeline::{Pipeline, Position};
use crate::stopwatch::Stopwatch;
use crate::{
    BatchReport, CheckpointError, CommitReceipt, MicroBatch, Offset, OffsetEntry, PipelineError, ReadLimit,
    Sink, Source, SourceError, with_causes,
};

/// Numbers of the offset log that are tried for one batch. Each crash between an entry and its commit takes one.
const MAX_TAKEN: u64 = 10_000;

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Commits a micro-batch without rows whose end is `to`, so that the next one starts there.
    ///
    /// The source is asked first whether it can go on from there: an offset that it does not understand would
    /// stop every run after this one. A remote that does not answer at the moment is no hindrance.
    ///
    /// # Errors
    /// [`PipelineError::Source`] when the source refuses the offset; [`PipelineError::Sink`] and
    /// [`PipelineError::Checkpoint`] when the sink or the checkpoint location fails, or another runner is at work.
    pub async fn reset(&mut self, to: Offset) -> Result<BatchReport, PipelineError> {
        self.forget_position();
        match self.source.latest_offset(&to, None, ReadLimit::default()).await {
            Ok(_) | Err(SourceError::Unavailable { .. }) => {}
            Err(e) => return Err(e.into()),
        }
        let last = self.sink.last_committed().await?;
        self.checkpoint.admit(&self.owner(), last.is_some()).await?;
        let position = Position {
            batch: last.as_ref().map_or(0, |last| last.batch),
            // Where a batch started is for people only; a lost offset must not stand in the way of a reset.
            offset: last.and_then(|last| last.end).unwrap_or_else(|| to.clone()),
            component: None,
            source: None,
        };
        let mut watch = Stopwatch::start(&self.clock);
        let mut staged = StagedBatch::<K>::empty(to, &*self.source);
        let (batch, receipt) = self.commit(&position, &mut staged).await?;
        watch.record(|durations| &mut durations.commit);
        Ok(BatchReport::new(batch, receipt, staged, None, watch.stop()))
    }

    /// Commits staged rows after `position`, with the offset log's entry where the table can't carry the offset.
    pub(crate) async fn commit(
        &mut self,
        position: &Position,
        staged: &mut StagedBatch<K>,
    ) -> Result<(MicroBatch, CommitReceipt), PipelineError> {
        let mut batch = MicroBatch {
            pipeline: self.options.name.clone(),
            batch: position.batch + 1,
            start: position.offset.clone(),
            end: staged.end.clone(),
            rows: staged.stats.rows,
            component: staged.reader.component.clone(),
            source: Some(staged.reader.source.clone()),
            swap: self.succession.note.clone(),
        };
        let logged = !self.sink.carries_offset();
        if logged {
            self.claim_offset_entry(&mut batch).await?;
        }
        let receipt = self.sink.commit(staged.staged.take(), &batch).await?;
        self.succession.note = None;
        if logged {
            // The next batch prunes too: a location that is slow must not hold up a stop.
            tokio::select! {
                biased;
                () = self.stop.stopped() => {}
                pruned = self.checkpoint.prune_entries(batch.batch) => if let Err(e) = pruned {
                    tracing::warn!(pipeline = %self.options.name, error = %with_causes(&e), "old entries of the offset log stay");
                },
            }
        }
        staged.usage.add(&self.source.take_usage());
        Ok((batch, receipt))
    }

    /// Writes the offset log's entry, under the first free number: see [`OffsetEntry`].
    async fn claim_offset_entry(&self, batch: &mut MicroBatch) -> Result<(), PipelineError> {
        let first = batch.batch;
        while batch.batch - first < MAX_TAKEN {
            if self.checkpoint.claim_entry(&OffsetEntry::of(batch)).await? {
                return Ok(());
            }
            batch.batch += 1;
        }
        Err(CheckpointError::Location {
            location: self.checkpoint.to_string(),
            reason: format!(
                "offsets/{first} and the {MAX_TAKEN} numbers after it are said to be taken, though batch {} is the \
                 last one in the table; remove the entries after that one if they are there, or else ask the \
                 location's keeper why it refuses new ones",
                first - 1
            ),
        }
        .into())
    }

    /// Acknowledges an offset. A source that can't note it is no failure: the next start acknowledges it again.
    pub(crate) async fn acknowledge(&mut self, end: &Offset) -> Result<(), PipelineError> {
        self.claim_location().await?;
        match self.source.commit(end).await {
            Ok(()) => Ok(()),
            Err(e @ SourceError::Sandbox(_)) => Err(e.into()),
            Err(e) => {
                tracing::warn!(pipeline = %self.options.name, error = %with_causes(&e), "the source could not note its progress");
                Ok(())
            }
        }
    }

    /// Writes down whose the checkpoint location is, once a micro-batch is in the table and before the source saves a
    /// note of it. A location that is away is no failure: nothing but advice lies there, and the next batch tries again.
    async fn claim_location(&mut self) -> Result<(), PipelineError> {
        if self.location_claimed {
            return Ok(());
        }
        match self.checkpoint.claim(&self.owner()).await {
            Ok(()) => self.location_claimed = true,
            Err(e @ CheckpointError::Foreign { .. }) => return Err(e.into()),
            Err(e) => {
                tracing::warn!(pipeline = %self.options.name, error = %with_causes(&e), "the checkpoint location does not say whose it is");
            }
        }
        Ok(())
    }
}
