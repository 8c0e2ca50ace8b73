//! Compiles the guests that the program brings along.

use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["guest/sdk", "guest/comments"];
    sandbar_guest_build::component(&root, "sandbar-comments", &folders, "comments.wasm");
}
