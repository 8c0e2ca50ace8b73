//! The comments component in versions that differ by what stands in a room inside of its bytes: see [`Change`]. All of
//! them read with the options and offsets of the one that the program brings along, and go by its name.

mod change;

#[cfg(target_family = "wasm")]
mod component;

pub use change::{Change, Flaw, MARK, ROOM};

#[cfg(not(target_family = "wasm"))]
const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/comments.wasm"));

/// A version that differs from the others in this way. Equal changes make equal bytes.
///
/// # Panics
///
/// When the change has no room in the component: no test could go on.
#[cfg(not(target_family = "wasm"))]
#[must_use]
#[allow(clippy::panic, reason = "for tests")]
pub fn version(change: &Change) -> Vec<u8> {
    let mut bytes = COMPONENT.to_vec();
    let found = bytes
        .windows(MARK.len())
        .position(|window| window == MARK.as_bytes());
    let text = serde_json::to_string(change).unwrap_or_default();
    let (Some(found), true) = (found, text.len() <= ROOM - MARK.len()) else {
        panic!("there is no room for {text}");
    };
    let start = found + MARK.len();
    bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
    bytes
}
