//! The guests of this repository, compiled to WebAssembly components, as bytes.
//!
//! The build script compiles them, so that whoever needs a guest depends on this crate and on nothing else: the
//! command line, which brings them along, and the tests.

/// The comments API.
pub const COMMENTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/comments.wasm"));

/// The one that misbehaves, for tests. It has no name here, so that no pipeline file can ask for it, and who does not
/// name this constant does not carry its bytes along.
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

const BUILTIN: &[(&str, &[u8])] = &[("comments", COMMENTS)];

/// The component of that name, or none.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

/// The names that [`builtin`] knows, sorted.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}
