use std::fmt::Display;
use std::time::Duration;

/// What went wrong, sorted by what someone can do about it.
///
/// The cases are those of the contract. A message names the request or the option, starts in lower case and
/// holds the values that matter; the host adds the name of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong, or names a stream that is not there. The host stops.
    #[error("invalid options: {0}")]
    InvalidOptions(String),
    /// The remote refuses the credentials. The host stops.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// The same call may work later. The host retries the batch.
    #[error("unavailable: {message}")]
    Unavailable {
        /// What happened, with the request that it happened to.
        message: String,
        /// The pause that the remote asked for.
        retry_after: Option<Duration>,
    },
    /// What came is not what was promised. The host stops the batch; nothing is committed.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The position is gone at the remote. The host stops; going on elsewhere is the operator's choice.
    #[error("offset lost: {0}")]
    OffsetLost(String),
    /// A fault in the source itself.
    #[error("internal: {0}")]
    Internal(String),
}

/// What a function of a source gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::InvalidOptions`] that names the option.
    pub fn invalid_option(option: &str, what: impl Display) -> Self {
        Self::InvalidOptions(format!("{option}: {what}"))
    }

    /// An [`Error::Unavailable`] without a pause that the remote asked for.
    pub fn unavailable(what: impl Display) -> Self {
        Self::Unavailable {
            message: what.to_string(),
            retry_after: None,
        }
    }

    /// An [`Error::Malformed`].
    pub fn malformed(what: impl Display) -> Self {
        Self::Malformed(what.to_string())
    }

    /// An [`Error::OffsetLost`].
    pub fn offset_lost(what: impl Display) -> Self {
        Self::OffsetLost(what.to_string())
    }

    /// An [`Error::Internal`].
    pub fn internal(what: impl Display) -> Self {
        Self::Internal(what.to_string())
    }
}
