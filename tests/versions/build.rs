//! Compiles this same crate to a component, for the tests that load it.

use std::path::Path;

fn main() {
    // As a part of the component it has no bytes of it.
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["guest/sdk", "tests/versions"];
    sandbar_guest_build::component(&root, "sandbar-test-versions", &folders, "comments.wasm");
}
