//! A component that misbehaves in every way that the tests know: one way per [`Mode`], chosen by an option.
//!
//! It speaks the contract without the SDK, which would not let it. The tests of the host know the modes by this
//! crate too, and match on all of them: a mode without a test does not compile.

mod modes;

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod component;
#[cfg(target_family = "wasm")]
mod harm;
#[cfg(target_family = "wasm")]
mod request;

pub use modes::{Asked, Call, Described, MARK, Mode, Options, ROOM};

/// The component.
#[cfg(not(target_family = "wasm"))]
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));
