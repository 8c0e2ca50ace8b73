//! The guests that the program brings along, compiled to WebAssembly components, as bytes.
//!
//! The build script compiles them, so that whoever needs a guest depends on this crate and on nothing else.

/// The comments API.
pub const COMMENTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/comments.wasm"));

/// The components that pipeline files can name, sorted by name.
pub const BUILTIN: &[(&str, &[u8])] = &[("comments", COMMENTS)];
