//! A newer version of the component takes over between two micro-batches, and has to prove itself.

use std::sync::Arc;

use crate::pipeline::{Interrupt, Pipeline, Standing, refuse_other_source};
use crate::succession::{Offer, Proving, Successor, SwapEvent, SwapNote, Takeover};
use crate::{Offset, PipelineError, ReadLimit, Sink, Source, SourceError, VersionRecord, with_causes};

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Takes the version that waits over, if one does. One that is refused changes nothing.
    pub(crate) async fn take_over(&mut self, standing: &mut Standing) -> Result<(), Interrupt> {
        let Some(Offer { successor, answer }) = self.succession.waiting.take() else {
            return Ok(());
        };
        let began = self.clock.elapsed();
        let from = self.source.component().clone();
        if let Err(refused) = self.prepare_takeover(&successor, standing).await {
            let _ = answer.send(Err(refused));
            return Ok(());
        }
        let to = successor.version.component.clone();
        self.succession.note = Some(SwapNote {
            from: from.clone(),
            by: successor.order.by,
            reason: successor.order.reason,
            rolled_back: false,
        });
        self.succession.proving = Some(Proving {
            previous: std::mem::replace(&mut self.source, successor.source),
            batches_left: self.options.probation.batches.max(1),
            ends: began.saturating_add(self.options.probation.time),
        });
        let acknowledged = self.acknowledge_committed(standing).await;
        let takeover = Takeover {
            from,
            to,
            after_batch: standing.position.batch,
            offset: standing.position.offset.clone(),
            pause: self.clock.elapsed().saturating_sub(began),
        };
        if self.has_turns()
            && let Some(proving) = &self.succession.proving
        {
            proving.previous.rest().await;
        }
        self.observer.swapped(&SwapEvent::TookOver(takeover.clone()));
        // Whoever asked may have gone away meanwhile.
        let _ = answer.send(Ok(takeover));
        match acknowledged {
            Ok(()) => Ok(()),
            Err(e) => self.roll_back(standing, e).await,
        }
    }

    /// Everything that a takeover needs and that can fail, up to the record that makes it durable.
    async fn prepare_takeover(
        &mut self,
        successor: &Successor<S>,
        standing: &Standing,
    ) -> Result<(), PipelineError> {
        let version = &successor.version.component;
        if self.succession.proving.is_some() {
            return Err(PipelineError::OnProbation {
                version: self.source.component().clone(),
            });
        }
        let mut record = match &self.succession.record {
            Some(record) => record.clone(),
            None => VersionRecord::new(&successor.configured, successor.current.clone()),
        };
        if let Some(refused) = record.refuses(&version.digest) {
            if !successor.again {
                return Err(PipelineError::RefusedVersion {
                    version: Box::new(version.clone()),
                    reason: refused.reason.clone(),
                });
            }
            record.forgive(&version.digest);
        }
        if standing.position.batch > 0 {
            refuse_other_source(&*successor.source, &standing.position)?;
        }
        self.sink.prepare(&successor.source.schema()).await?;
        // The pipeline may have been started anew with another version since the record was written.
        record.current.clone_from(&successor.current);
        record.configured.clone_from(&successor.configured);
        record.begin(
            successor.version.clone(),
            standing.position.batch,
            &successor.order,
            self.clock.milliseconds(),
        );
        if let Err(e) = self.checkpoint.save_versions(&record).await {
            self.sink.prepare(&self.source.schema()).await?;
            return Err(e.into());
        }
        self.succession.record = Some(record);
        self.succession.unsaved = false;
        Ok(())
    }

    /// Tells a source that came to read in the middle of a pipeline where it stands.
    async fn acknowledge_committed(&mut self, standing: &Standing) -> Result<(), PipelineError> {
        match standing.position.batch {
            0 => Ok(()),
            _ => self.acknowledge(&standing.position.offset).await,
        }
    }

    /// After a failure: goes back to the version before, if it was on probation and the failure is its own.
    pub(crate) async fn roll_back(
        &mut self,
        standing: &mut Standing,
        failure: PipelineError,
    ) -> Result<(), Interrupt> {
        let Some(proving) = self.succession.proving.take_if(|_| is_of_source(&failure)) else {
            return Err(failure.into());
        };
        let (from, previous) = (self.source.component().clone(), proving.previous);
        let to = previous.component().clone();
        if let Err(reason) = self.prepare_rollback(&previous, standing).await {
            return Err(PipelineError::NoWayBack {
                version: Box::new(from),
                failure: with_causes(&failure),
                previous: Box::new(to),
                source: Box::new(reason),
            }
            .into());
        }
        let reason = with_causes(&failure);
        let at = self.clock.milliseconds();
        if let Some(record) = &mut self.succession.record {
            record.roll_back(&reason, at);
            self.succession.unsaved = true;
        }
        self.save_versions().await;
        self.source = previous;
        self.succession.note = Some(SwapNote {
            from: from.clone(),
            by: String::new(),
            reason: reason.clone(),
            rolled_back: true,
        });
        tracing::warn!(
            pipeline = %self.options.name, from = %from.version, to = %to.version,
            "the new version of the component failed its probation, and the one before reads again: {reason}"
        );
        self.observer.swapped(&SwapEvent::RolledBack { from, to, reason });
        Ok(self.acknowledge_committed(standing).await?)
    }

    async fn prepare_rollback(
        &mut self,
        previous: &Arc<S>,
        standing: &Standing,
    ) -> Result<(), PipelineError> {
        if standing.position.batch > 0 {
            refuse_other_source(&**previous, &standing.position)?;
        }
        self.sink.prepare(&previous.schema()).await?;
        match can_go_on(&**previous, &standing.position.offset).await {
            // It may have been what the new version failed at, and the version before is used to it.
            Ok(()) | Err(SourceError::Unavailable { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// A piece of work went well: a micro-batch that was committed, or a poll that found nothing new.
    pub(crate) async fn passed(&mut self, committed: bool) {
        let now = self.clock.elapsed();
        let proven = match &mut self.succession.proving {
            Some(proving) => {
                proving.batches_left = proving.batches_left.saturating_sub(committed.into());
                proving.batches_left == 0 || now >= proving.ends
            }
            None => false,
        };
        if proven {
            self.succession.proving = None;
            if let Some(record) = &mut self.succession.record {
                record.promote();
                self.succession.unsaved = true;
            }
            self.observer
                .swapped(&SwapEvent::Promoted(self.source.component().clone()));
        }
        self.save_versions().await;
    }

    /// Writes down that a probation ended early, for whoever ends the process in good order.
    pub(crate) async fn end_probation(&mut self) {
        if self.succession.proving.take().is_some() {
            if let Some(record) = &mut self.succession.record {
                record.stop();
                self.succession.unsaved = true;
            }
            self.save_versions().await;
        }
    }

    /// Makes what was decided durable. Until that succeeds a start runs the version before, which is safe, so a location
    /// that is away is no failure: the next micro-batch tries again.
    async fn save_versions(&mut self) {
        let Some(record) = self
            .succession
            .record
            .as_ref()
            .filter(|_| self.succession.unsaved)
        else {
            return;
        };
        match self.checkpoint.save_versions(record).await {
            Ok(()) => self.succession.unsaved = false,
            Err(e) => {
                tracing::warn!(pipeline = %self.options.name, error = %with_causes(&e), "the record of versions can't be written");
            }
        }
    }
}

/// Asks a source whether it can read on after an offset.
///
/// # Errors
/// The source's error, which may be that its remote is [`SourceError::Unavailable`].
pub async fn can_go_on<S: Source>(source: &S, offset: &Offset) -> Result<(), SourceError> {
    source
        .latest_offset(offset, None, ReadLimit::default())
        .await
        .map(|_| ())
}

/// Whether a failure is the doing of the version that reads, rather than of the sink or the checkpoint location.
fn is_of_source(failure: &PipelineError) -> bool {
    matches!(
        failure,
        PipelineError::Source(_)
            | PipelineError::Contract(_)
            | PipelineError::Stuck { .. }
            | PipelineError::TooManyBytes { .. }
    )
}
