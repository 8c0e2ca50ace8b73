//! Compiles guests in other ways than the program has them.

use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["guest/sdk", "guest/comments"];
    let (package, features) = ("sandbar-comments", ["wasi-http"]);
    sandbar_guest_build::component_with(&root, package, &features, &folders, "over_wasi.wasm");
    sandbar_guest_build::component(&root, "sandbar-feed", &["guest/sdk", "guest/feed"], "feed.wasm");
}
