//! Runs connector components in a sandbox: the side of [`sandbar_pipeline::Source`] that trusts nobody.
//!
//! A component is bytes that anyone may have written. It is checked before it is compiled, linked to the
//! capabilities in `capability/` and to nothing else, and every call into it runs under one guard
//! (`instance`) that knows its budget of memory, processor time, waiting and bytes. What it hands over is
//! checked before use: offsets must be JSON, rows must be whole Arrow of the declared schema.
//!
//! Invariant: wasmtime is known to this crate only.
//! Invariant: a guest reaches nothing that it was not granted: by name, and again by resolved address.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod address;
mod address_space;
mod batch;
mod cache;
mod capability;
mod clocks;
mod compile;
mod connector;
mod cpu;
mod credential;
mod engine;
mod error;
mod file;
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod http_client;
mod identity;
mod imports;
mod instance;
mod limits;
mod network;
mod oauth;
mod options_schema;
mod parts;
mod policy;
mod process;
mod redact;
mod secret;
mod source;
mod text;
mod v0_1;

pub use address_space::AddressSpace;
pub use cache::ComponentCache;
pub use compile::{Compiler, compile_from_stdin};
pub use connector::{Connector, Description, StreamInfo, digest};
pub use credential::Credential;
pub use engine::{Sandbox, WASMTIME_VERSION};
pub use error::{Label, SandboxError};
pub use file::{look_at_file, read_beginning, read_file, read_text_file};
pub use grant::{HttpGrant, METHODS};
pub use imports::Import;
pub use limits::Limits;
pub use network::Network;
pub use oauth::OAuthOptions;
pub use policy::Grants;
pub use process::Process;
pub use secret::Secret;
pub use source::{OpenOptions, SandboxBatches, SandboxSource};
