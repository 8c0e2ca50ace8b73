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

mod abi;
mod arrow;
mod capability;
mod component;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod guest_error;
mod import;
mod instance;
mod open_options;
mod source;
#[cfg(test)]
mod tests;

pub use capability::PipelineContext;
pub use component::{
    AddressSpace, Compiler, ComponentBytes, ComponentCache, Connector, Description, Sandbox, StreamInfo,
    WASMTIME_VERSION, compile_from_stdin,
};
pub use error::{Label, SandboxError};
pub use import::Import;
pub use open_options::OpenOptions;
pub use source::{SandboxBatches, SandboxSource};
