//! What this crate does with real registries, real signatures and registries that mean harm. `tests/registry/install`
//! brings the programs; without them the tests that need them print a line and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and ask real programs"
)]

/// Programs, folders and components.
mod support;

/// Debian's docker-registry.
mod docker;
/// Files, the components folder and the cache.
mod folders;
/// Registries that answer badly.
mod hostile;
/// Logins and tokens.
mod logins;
/// Signatures by the real minisign.
mod signatures;
