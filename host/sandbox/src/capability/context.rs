use std::sync::Arc;

use sandbar_egress::HttpClient;
use sandbar_pipeline::{CheckpointLocation, Clock};
use sandbar_policy::Limits;

use super::log::LogBudget;
use crate::open_options::OpenOptions;

/// What all instances of one pipeline share: connections, rate limit, OAuth2 tokens, log budget and progress note, under
/// the same grants and limits.
///
/// It outlives a source. Another version of a component that is opened in the same context goes on with the same tokens
/// and at the same rate: see [`SandboxSource::open_in`](crate::SandboxSource::open_in).
#[derive(Clone)]
pub struct PipelineContext {
    pub(crate) pipeline: Arc<str>,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) checkpoint: CheckpointLocation,
    pub(crate) limits: Limits,
    pub(crate) log: Arc<LogBudget>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl PipelineContext {
    /// A context of its own, from everything in the options but the stream and the options of the component.
    pub fn new(checkpoint: CheckpointLocation, options: &OpenOptions) -> Self {
        let OpenOptions {
            pipeline,
            grants,
            credentials,
            limits,
            network,
            clock,
            ..
        } = options.clone();
        Self {
            pipeline: pipeline.into(),
            client: HttpClient::new(network, grants, credentials, &limits),
            checkpoint,
            log: LogBudget::new(limits.log, clock.clone()),
            clock,
            limits,
        }
    }
}
