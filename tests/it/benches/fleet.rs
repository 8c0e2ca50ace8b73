//! Measures swaps, and many pipelines in one process: `cargo bench --workspace --bench fleet [-- swaps|memory|pipelines|registry]`.
//!
//! The program runs as its users run it, and is asked over its control socket. The API is `sandbar demo-api`, in a process
//! of its own on the same machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops when something fails"
)]

#[path = "common.rs"]
mod common;
#[path = "fleet/memory.rs"]
mod memory;
#[path = "fleet/pipelines.rs"]
mod pipelines;
#[path = "fleet/program.rs"]
mod program;
#[path = "fleet/registry.rs"]
mod registry;
#[path = "fleet/swaps.rs"]
mod swaps;

use std::path::{Path, PathBuf};

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if asked("swaps") {
        swaps::swaps();
    }
    if asked("memory") {
        memory::memory();
    }
    if asked("pipelines") {
        pipelines::pipelines();
    }
    if asked("registry") {
        registry::registry();
    }
}

/// `comments` as version 0.1.0 was built: the same name and version as the built-in one, and another digest.
fn other_comments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/0.1.0/components/comments-rust.wasm")
}

/// How often something is done, unless `SANDBAR_TIMES` says otherwise.
fn times(usually: usize) -> usize {
    let said = std::env::var("SANDBAR_TIMES").ok();
    said.map_or(usually, |said| said.parse().unwrap())
}

/// Writes a pipeline file into `folder/pipelines`. `options` are more lines for the options of the source, `more` is whole tables.
fn write_pipeline(folder: &Path, name: &str, api: &common::Api, options: &str, more: &str) {
    let lake = folder.join("lake").display().to_string();
    let origin = api.url.trim_end_matches("/comments");
    let text = format!(
        "name = \"{name}\"\n[source]\ncomponent = \"comments\"\n[source.options]\napi_url = \"{}\"\n{options}\n\
         [source.grants]\nhttp = [\"{origin}\"]\n[sink]\ntable = \"{lake}/{name}\"\n\
         [checkpoint]\nlocation = \"{lake}/_checkpoints/{name}\"\n{more}\n",
        api.url
    );
    let pipelines = folder.join("pipelines");
    std::fs::create_dir_all(&pipelines).unwrap();
    std::fs::write(pipelines.join(format!("{name}.toml")), text).unwrap();
}
