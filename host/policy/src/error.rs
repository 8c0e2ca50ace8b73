/// A grant, limit or credential that is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A grant of an origin or of its methods.
    #[error("grant {grant:?}: {reason}")]
    Grant {
        /// The grant as it was written.
        grant: String,
        /// The fault and the form that is expected.
        reason: String,
    },
    /// A credential. Its secret never shows.
    #[error("credential for {origin}: {reason}")]
    Credential {
        /// The origin as it was written.
        origin: String,
        /// The fault and its remedy.
        reason: String,
    },
    /// A limit outside of its bounds, or of another kind.
    #[error("limit {key}: {reason}")]
    Limit {
        /// The limit's key.
        key: &'static str,
        /// The fault and the values that are allowed.
        reason: String,
    },
    /// A setting of the network: a proxy of the environment, or a file of authorities.
    #[error("{0}")]
    Network(String),
}
