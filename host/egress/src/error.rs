use sandbar_policy::Violation;

/// The reason for which a request got no response, or a response's body ended early: what a component is told.
///
/// Where the reason is a breach of policy, a [`Violation`] is recorded as well, and the host fails the call that is under
/// way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Policy does not allow it.
    #[error("request denied")]
    Denied,
    /// The URL can't be parsed.
    #[error("invalid URL")]
    InvalidUrl,
    /// The name leads to no address.
    #[error("{0}")]
    Dns(String),
    /// Nothing listens there.
    #[error("connection refused")]
    ConnectionRefused,
    /// No connection within its time.
    #[error("connection timeout")]
    ConnectionTimeout,
    /// Nothing was received within its time.
    #[error("connection read timeout")]
    ReadTimeout,
    /// The connection broke.
    #[error("connection terminated")]
    ConnectionTerminated,
    /// The remote broke the protocol.
    #[error("http protocol error")]
    Protocol,
    /// The request took longer than it may.
    #[error("http response timeout")]
    ResponseTimeout,
    /// The body ended before its end.
    #[error("http response incomplete")]
    ResponseIncomplete,
    /// The body is longer than it may be.
    #[error("http response body size")]
    ResponseBodySize,
    /// The headers are more or longer than they may be.
    #[error("http response header section size")]
    ResponseHeaderSize,
    /// The body is not coded as its headers say, or in a coding that is not known.
    #[error("{0}")]
    ContentCoding(String),
    /// The body of the request is longer than it may be, in bytes.
    #[error("http request body size")]
    RequestBodySize(u64),
    /// Anything else, with its reason where there is one.
    #[error("{}", .0.as_deref().unwrap_or("internal error"))]
    Internal(Option<String>),
}

/// The reason for which there is no response, with what to do about it.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The call is stopped, whatever the component makes of it.
    Stopped(Violation),
    /// The component learns of it.
    Failed(HttpError),
    /// The same on a connection that had served before: it may have died of old age while the request was sent.
    Dropped(HttpError),
}

impl From<HttpError> for SendError {
    fn from(error: HttpError) -> Self {
        Self::Failed(error)
    }
}

impl From<Violation> for SendError {
    fn from(violation: Violation) -> Self {
        Self::Stopped(violation)
    }
}

impl SendError {
    /// The reason in words, for messages of the host's own requests.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Stopped(Violation::NotGranted { what, remedy }) => format!(
                "{what}; to allow it, write under [source.grants]: {}",
                remedy.to_toml()
            ),
            Self::Stopped(Violation::Remote(what)) => what.clone(),
            Self::Stopped(Violation::Unreachable { why, .. }) => why.clone(),
            Self::Stopped(Violation::Forbidden { what, why }) => format!("{what}: {why}"),
            Self::Stopped(Violation::Limit { limit, .. }) => limit.clone(),
            Self::Stopped(Violation::Credential(why) | Violation::Contract(why)) => why.clone(),
            Self::Failed(error) | Self::Dropped(error) => error.to_string(),
        }
    }
}
