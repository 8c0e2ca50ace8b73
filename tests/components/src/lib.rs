//! Components that only tests need, as bytes. Those of hostile modes are in `guest/hostile`.

/// The comments API, read over `wasi:http` instead of the contract's own interface.
pub const COMMENTS_OVER_WASI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/over_wasi.wasm"));

/// A feed that is read by cursors.
pub const FEED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/feed.wasm"));
