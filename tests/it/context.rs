//! What outlives a source: another one that is opened in its context, as for a swap of versions, goes on with the same
//! connections and tokens.

use std::sync::Arc;

use sandbar_components::COMMENTS;
use sandbar_harness::{Fault, ScriptedApi};
use sandbar_policy::{Credential, Grants, OAuth2Options};
use sandbar_runtime::{
    CheckpointLocation, OpenOptions, Reader, ReaderOptions, Runtime, SandboxSource, Source,
};
use serde_json::json;

async fn rows(source: &Arc<SandboxSource>) -> usize {
    let start = source.initial_offset().await.unwrap();
    let options = ReaderOptions::default();
    let mut reader = Reader::open(source.clone(), &start, None, options).await.unwrap();
    let mut rows = 0;
    while let Some(batch) = reader.next().await.unwrap() {
        rows += batch.rows.iter().map(|batch| batch.num_rows()).sum::<usize>();
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_in_the_context_of_another_asks_for_no_token_of_its_own() {
    let (api, tokens) = (ScriptedApi::start(25), ScriptedApi::start(0));
    let token = Fault::Status {
        code: 200,
        headers: vec![],
        body: "{\"access_token\": \"of-both-sources\", \"expires_in\": 3600}".into(),
    };
    tokens.fault_when(|_| true, token, usize::MAX);
    let endpoint = format!("{}/token", tokens.origin());
    let oauth2 = OAuth2Options::new(endpoint, "me", "s3cret-of-mine");
    let options = json!({"api_url": format!("{}/comments", api.origin())});
    let opened = OpenOptions::new("context", options.clone())
        .with_grants(Grants::parse(&[&api.origin()], false).unwrap())
        .with_credentials(vec![Credential::oauth2(&api.origin(), oauth2).unwrap()]);

    let runtime = Runtime::builder().cache(None).build().unwrap();
    let connector = runtime.load_bytes("comments", COMMENTS).await.unwrap();
    let source = SandboxSource::open(connector.clone(), CheckpointLocation::memory(), opened.clone());
    let first = Arc::new(source.await.unwrap());
    assert_eq!(rows(&first).await, 25);
    assert_eq!(tokens.requests().len(), 1);

    let context = first.context().clone();
    let second = SandboxSource::open_in(&context, connector.clone(), None, &options);
    let second = Arc::new(second.await.unwrap());
    drop(first);
    assert_eq!(rows(&second).await, 25);
    assert_eq!(tokens.requests().len(), 1, "the token of the first source");

    let source = SandboxSource::open(connector, CheckpointLocation::memory(), opened);
    let stranger = Arc::new(source.await.unwrap());
    assert_eq!(rows(&stranger).await, 25);
    assert_eq!(
        tokens.requests().len(),
        2,
        "a context of its own has a token of its own"
    );
    let authorized = |request: &sandbar_harness::RecordedRequest| {
        request.header("authorization") == Some("Bearer of-both-sources")
    };
    assert!(api.requests().iter().all(authorized));
}
