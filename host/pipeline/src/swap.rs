//! A newer version of the component takes over between two micro-batches, and has to prove itself.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::pipeline::{Interrupt, Pipeline, Standing, refuse_other_source};
use crate::{
    BatchId, Clock, ComponentId, Offset, PipelineError, ReadLimit, Sink, Source, SourceError, SwapOrder,
    Version, VersionRecord, with_causes,
};

/// How long a new version is on probation: until it has committed so many micro-batches, or until the time is over and
/// its last poll went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// Micro-batches; at least 1.
    pub batches: u32,
    /// The time.
    pub time: Duration,
}

impl Default for Probation {
    fn default() -> Self {
        Self {
            batches: 3,
            time: Duration::from_secs(60),
        }
    }
}

/// A source of a newer version, ready to take over.
#[derive(Debug)]
pub struct Successor<S> {
    /// The source.
    pub source: Arc<S>,
    /// Its version.
    pub version: Version,
    /// The version that it follows.
    pub current: Version,
    /// What the configuration names.
    pub configured: String,
    /// Whether it may be a version that failed before.
    pub again: bool,
    /// Who wants it, and why.
    pub order: SwapOrder,
}

/// The report of a successor that took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The version before.
    pub from: ComponentId,
    /// The new one.
    pub to: ComponentId,
    /// The last micro-batch before it.
    pub after_batch: BatchId,
    /// Where the new one goes on.
    pub offset: Offset,
    /// How long the pipeline stood still for it.
    pub pause: Duration,
}

/// What happens to versions while a pipeline runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SwapEvent {
    /// A new version took over, on probation.
    TookOver(Takeover),
    /// It has proven itself.
    Promoted(ComponentId),
    /// It failed, and the version before took over again.
    RolledBack {
        /// The version that failed.
        from: ComponentId,
        /// The version that reads again.
        to: ComponentId,
        /// Why.
        reason: String,
    },
}

/// Why the component changed, as the first micro-batch after it says in the sink's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapNote {
    /// The version before.
    pub from: ComponentId,
    /// Who asked for it; empty where the pipeline went back by itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether the pipeline went back because the version before failed its probation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
}

/// Offers successors to one pipeline. Clones offer to the same one.
#[derive(Debug)]
pub struct SuccessorSender<S>(mpsc::Sender<Offer<S>>);

/// Where a pipeline finds its successors: see [`Pipeline::with_successors`].
#[derive(Debug)]
pub struct Successors<S>(mpsc::Receiver<Offer<S>>);

/// A successor with the way back for the answer.
#[derive(Debug)]
pub(crate) struct Offer<S> {
    successor: Successor<S>,
    answer: oneshot::Sender<Result<Takeover, PipelineError>>,
}

/// The ways of successors to one pipeline.
pub fn successors<S>() -> (SuccessorSender<S>, Successors<S>) {
    let (sender, receiver) = mpsc::channel(1);
    (SuccessorSender(sender), Successors(receiver))
}

impl<S> Clone for SuccessorSender<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> SuccessorSender<S> {
    /// Offers a successor and waits until it took over, at the next boundary of a micro-batch.
    ///
    /// # Errors
    /// [`PipelineError::OnProbation`] while another version is; [`PipelineError::RefusedVersion`] when it failed before;
    /// [`PipelineError::OtherSource`] when it does not read what the pipeline read so far;
    /// [`SinkError::Schema`](crate::SinkError::Schema) when the sink can't take its rows;
    /// [`PipelineError::Checkpoint`] when the swap can't be made durable; [`PipelineError::Stopped`] when the pipeline
    /// ended. The version before goes on then.
    pub async fn offer(&self, successor: Successor<S>) -> Result<Takeover, PipelineError> {
        let (answer, answered) = oneshot::channel();
        let offer = Offer { successor, answer };
        self.0.send(offer).await.map_err(|_| PipelineError::Stopped)?;
        answered.await.unwrap_or(Err(PipelineError::Stopped))
    }
}

/// The successors of a pipeline, and the one that reads, as long as it has to prove itself.
pub(crate) struct Succession<S> {
    offers: Option<Successors<S>>,
    /// Whether the pipeline knows where it stands, so that another version can go on there.
    pub(crate) open: bool,
    /// An offer that arrived during a pause.
    waiting: Option<Offer<S>>,
    record: Option<VersionRecord>,
    /// Whether the record says something that is not durable yet.
    unsaved: bool,
    proving: Option<Proving<S>>,
    /// For the next micro-batch.
    pub(crate) note: Option<SwapNote>,
}

struct Proving<S> {
    previous: Arc<S>,
    batches_left: u32,
    /// By [`Clock::elapsed`].
    ends: Duration,
}

impl<S> Succession<S> {
    pub(crate) fn none() -> Self {
        Self {
            offers: None,
            open: false,
            waiting: None,
            record: None,
            unsaved: false,
            proving: None,
            note: None,
        }
    }

    pub(crate) fn new(offers: Successors<S>, record: Option<VersionRecord>) -> Self {
        Self {
            offers: Some(offers),
            record,
            ..Self::none()
        }
    }

    /// Whether a successor waits.
    pub(crate) fn has_offer(&mut self) -> bool {
        if self.open && self.waiting.is_none() {
            self.waiting = self.offers.as_mut().and_then(|offers| offers.0.try_recv().ok());
        }
        self.waiting.is_some()
    }

    /// Waits for a successor.
    pub(crate) async fn offered(&mut self) {
        if self.waiting.is_some() {
            return;
        }
        let offer = match &mut self.offers {
            Some(offers) if self.open => offers.0.recv().await,
            _ => None,
        };
        match offer {
            Some(offer) => self.waiting = Some(offer),
            None => std::future::pending().await,
        }
    }

    /// Whether the version that reads has had all the time of its probation.
    pub(crate) fn is_out_of_time(&self, clock: &dyn Clock) -> bool {
        self.proving
            .as_ref()
            .is_some_and(|proving| clock.elapsed() >= proving.ends)
    }
}

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
            self.now(),
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
        let at = self.now();
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

    /// Milliseconds since 1970.
    fn now(&self) -> i64 {
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
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
