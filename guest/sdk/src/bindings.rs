//! The contract's own names, generated, and the errors of both sides in each other's terms.

use std::time::Duration;

use crate::Error;

/// What `wit-bindgen` makes of the track that this SDK speaks.
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod generated {
    wit_bindgen::generate!({
        path: "wit/v0.1",
        world: "source",
        pub_export_macro: true,
        export_macro_name: "export_source",
        default_bindings_module: "::sandbar_sdk::__private::generated",
    });
}

use generated::sandbar::connector::values as wit;

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidOptions(message) => Self::InvalidOptions(message),
            Error::Unauthorized(message) => Self::Unauthorized(message),
            Error::Unavailable { message, retry_after } => {
                let millis = retry_after.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                Self::Unavailable(wit::Unavailable {
                    message,
                    retry_after_ms: millis,
                })
            }
            Error::Malformed(message) => Self::Malformed(message),
            Error::OffsetLost(message) => Self::OffsetLost(message),
            Error::Internal(message) => Self::Internal(message),
        }
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::InvalidOptions(message) => Self::InvalidOptions(message),
            wit::Error::Unauthorized(message) => Self::Unauthorized(message),
            wit::Error::Unavailable(told) => {
                let retry_after = told.retry_after_ms.map(Duration::from_millis);
                Self::Unavailable {
                    message: told.message,
                    retry_after,
                }
            }
            wit::Error::Malformed(message) => Self::Malformed(message),
            wit::Error::OffsetLost(message) => Self::OffsetLost(message),
            wit::Error::Internal(message) => Self::Internal(message),
        }
    }
}
