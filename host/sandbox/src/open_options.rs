use std::sync::Arc;

use sandbar_egress::Network;
use sandbar_pipeline::{Clock, SystemClock};
use sandbar_policy::{Credential, Grants, Limits};

/// What a source is opened with.
///
/// By default nothing is granted, no credential is added, and the limits are the usual ones.
#[derive(Clone)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The pipeline's name, for the log.
    pub pipeline: String,
    /// The stream; none for the only one.
    pub stream: Option<String>,
    /// The options, as the component's JSON Schema wants them.
    pub options: serde_json::Value,
    /// What it may reach.
    pub grants: Grants,
    /// What the host adds to its requests.
    pub credentials: Vec<Credential>,
    /// What it may use.
    pub limits: Limits,
    /// How its requests leave this machine.
    pub network: Network,
    /// The time that it sees.
    pub clock: Arc<dyn Clock>,
}

impl OpenOptions {
    /// The options of a component, for a pipeline of this name.
    pub fn new(pipeline: impl Into<String>, options: serde_json::Value) -> Self {
        Self {
            pipeline: pipeline.into(),
            stream: None,
            options,
            grants: Grants::default(),
            credentials: vec![],
            limits: Limits::default(),
            network: Network::default(),
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// Reads this stream.
    #[must_use]
    pub fn with_stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Grants what it may reach.
    #[must_use]
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Adds credentials to its requests.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Vec<Credential>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Limits what it may use.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends its requests by these ways.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Shows it this time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}
