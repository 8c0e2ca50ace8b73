//! Newer versions of the component on their way into a running pipeline.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::{BatchId, Clock, ComponentId, Offset, PipelineError, SwapOrder, Version, VersionRecord};

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

/// Where a pipeline finds its successors: see [`Pipeline::with_successors`](crate::Pipeline::with_successors).
#[derive(Debug)]
pub struct Successors<S>(mpsc::Receiver<Offer<S>>);

/// A successor with the way back for the answer.
#[derive(Debug)]
pub(crate) struct Offer<S> {
    pub(crate) successor: Successor<S>,
    pub(crate) answer: oneshot::Sender<Result<Takeover, PipelineError>>,
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
    pub(crate) waiting: Option<Offer<S>>,
    pub(crate) record: Option<VersionRecord>,
    /// Whether the record says something that is not durable yet.
    pub(crate) unsaved: bool,
    pub(crate) proving: Option<Proving<S>>,
    /// For the next micro-batch.
    pub(crate) note: Option<SwapNote>,
}

/// What a version on probation has still to do, and the version before it.
pub(crate) struct Proving<S> {
    pub(crate) previous: Arc<S>,
    pub(crate) batches_left: u32,
    /// By [`Clock::elapsed`].
    pub(crate) ends: Duration,
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
