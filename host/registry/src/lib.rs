//! Finds components by reference: a file, a folder of components, a digest, or a registry that speaks the OCI distribution
//! protocol.
//!
//! ```text
//! reference -> resolve (what does it name just now?) -> fetch (bytes, checked) -> verify (who signed them?)
//! ```
//!
//! [`Registry`] is the whole of it. What it hands over has the digest that was asked for; where the caller names
//! [`TrustedKeys`], one of them signed the very bytes. Everything that a registry or a file says is bounded and checked
//! before it is used.
//!
//! The HTTP side is this crate's own: `oci-client` 0.18 reads manifests, tokens and errors without bound, and panics at a
//! token with a line break.
//!
//! Invariant: this crate knows neither wasmtime nor Delta, and nothing of pipeline files. Components that a program brings
//! along are that program's business.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access;
mod artifact;
mod blocking;
mod cache;
mod credentials;
mod digest;
mod distribution;
mod error;
mod files;
mod http;
mod oci;
mod reference;
mod registry;
mod signature;

pub use access::{Access, RegistryLogin};
pub use artifact::{
    COMPONENT_MEDIA_TYPE, CONFIG_MEDIA_TYPE, SIGNATURE_ARTIFACT_TYPE, SIGNATURE_MEDIA_TYPE, signature_tag,
};
pub use error::{RegistryError, SignatureFault};
pub use reference::{OciReference, Reference};
pub use registry::{Fetched, Listed, Place, Pushed, Registry, RegistryTimeouts, Resolution};
pub use signature::{MAX_SIGNATURE_BYTES, SignedBy, TrustedKeys};
