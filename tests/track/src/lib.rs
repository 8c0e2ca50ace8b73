//! A second track of the contract that only tests speak, and a component of it: the comments API once more, at a newer
//! version than the one for v0.1. It goes on at the offsets of that one. By an option it does harm.
//!
//! `host/sandbox` speaks the track in its own tests and in no other build.

mod flaw;

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod component;

pub use flaw::Flaw;

/// The component.
#[cfg(not(target_family = "wasm"))]
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/comments.wasm"));
