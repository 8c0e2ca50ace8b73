/// A component's own error: as it was returned, or as the host gives it one in an answer.
pub(crate) enum GuestError {
    InvalidOptions(String),
    Unauthorized(String),
    Unavailable {
        message: String,
        retry_after_ms: Option<u64>,
    },
    Malformed(String),
    OffsetLost(String),
    Internal(String),
}
