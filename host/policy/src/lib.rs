//! What a connector may reach and use, as plain data: grants, limits and credentials.
//!
//! Everything is decided when a pipeline is configured. Nothing here opens a connection, reads a file or runs code of a
//! component; `sandbar-egress` and `sandbar-sandbox` enforce what this crate describes.
//!
//! Invariant: this crate knows neither wasmtime nor tokio.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod address;
mod credential;
mod error;
mod grant;
mod grants;
mod limits;
mod secret;
mod text;
mod violation;

pub use address::is_private;
pub use credential::{
    Credential, CredentialKind, OAuth2, OAuth2Options, basic_authorization, secret_header_value,
};
pub use error::PolicyError;
pub use grant::{DEFAULT_METHODS, HttpGrant, METHODS};
pub use grants::Grants;
pub use limits::{LimitKey, LimitKind, LimitValue, Limits};
pub use secret::{MIN_REDACTED_BYTES, Secret};
pub use text::{display_url, is_unprintable, sanitize};
pub use violation::{Remedy, Violation, Violations};
