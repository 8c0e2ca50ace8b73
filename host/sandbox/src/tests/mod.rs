//! Two tracks of the contract in one process: v0.1, spoken by the kept component of its first release, and the track of
//! `tests/track`, spoken by a newer version of that component. Only this build of the crate knows the second one.

mod enforced;
mod loading;
mod side_by_side;

use std::sync::Arc;

use sandbar_harness::ScriptedApi;
use sandbar_pipeline::{CheckpointLocation, SourceError};
use sandbar_policy::{Grants, Limits};
use serde_json::{Value, json};

use crate::{Compiler, ComponentBytes, Connector, OpenOptions, Sandbox, SandboxError, SandboxSource};

/// A component of v0.1 as its first release had it. It is never built anew.
fn kept() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/0.1.0/components/comments-rust.wasm"
    );
    std::fs::read(path).unwrap()
}

fn sandbox() -> Sandbox {
    Sandbox::new(Limits::default().stack).unwrap()
}

async fn try_load(sandbox: &Sandbox, bytes: impl Into<Arc<[u8]>>) -> Result<Arc<Connector>, SandboxError> {
    let (bytes, limits) = (ComponentBytes::new(bytes), Limits::default());
    let loaded = Connector::load(sandbox, &bytes, "it", &Compiler::InProcess, None, &limits);
    loaded.await.map(Arc::new)
}

async fn load(sandbox: &Sandbox, bytes: impl Into<Arc<[u8]>>) -> Arc<Connector> {
    try_load(sandbox, bytes).await.unwrap()
}

/// The comments of an API, for either component of that name.
fn comments(api: &ScriptedApi) -> OpenOptions {
    let options = json!({"api_url": api.url(), "rows_per_batch": 10, "page_size": 4});
    OpenOptions::new("comments", options).with_grants(Grants::parse(&[api.origin()], false).unwrap())
}

/// The same with another option.
fn with_option(mut options: OpenOptions, name: &str, value: Value) -> OpenOptions {
    options.options[name] = value;
    options
}

async fn open(connector: &Arc<Connector>, options: OpenOptions) -> Result<SandboxSource, SourceError> {
    SandboxSource::open(connector.clone(), CheckpointLocation::memory(), options).await
}
