//! The guests of this repository, compiled to WebAssembly components, as bytes.
//!
//! The build script compiles them, so that whoever needs a guest depends on this crate and on nothing else: the
//! command line, which brings them along, and the tests.

/// The comments API.
pub const COMMENTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/comments.wasm"));

/// The one that misbehaves, for tests. It has no name here, so that no pipeline file can ask for it, and who does not
/// name this constant does not carry its bytes along.
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

/// The components that pipeline files can name, sorted by name.
pub const BUILTIN: &[(&str, &[u8])] = &[("comments", COMMENTS)];
