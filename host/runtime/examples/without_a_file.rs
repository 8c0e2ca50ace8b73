//! A pipeline into a Delta table, put together by a program: no pipeline file, and the component is bytes.
//!
//! `cargo run --release --example without_a_file -- theirs.wasm https://api.example.com options.json lake/theirs`

use std::error::Error;
use std::sync::Arc;

use sandbar_runtime::{
    CheckpointLocation, DeltaOptions, DeltaSinkFactory, Grants, OpenOptions, PipelineOptions, RunSummary,
    Runtime, SystemClock,
};
use url::Url;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Appends what there is to read. Each call goes on where the table says that the last one ended.
async fn append(component: Vec<u8>, origin: &str, options: &str, table: Url) -> Outcome<RunSummary> {
    let clock = Arc::new(SystemClock::default());
    let runtime = Runtime::builder().clock(clock.clone()).build()?;
    let connector = runtime.load_bytes("theirs", component).await?;
    let source = OpenOptions::new("theirs", serde_json::from_str(options)?)
        .with_grants(Grants::parse(&[origin], false)?);
    let options = PipelineOptions::new("theirs", table.as_str()).with_parallelism(4);
    let sink = DeltaSinkFactory::new(DeltaOptions::new(table, "theirs", clock));
    // The table carries the offset. A component that keeps a progress note wants a location that lasts.
    let checkpoint = CheckpointLocation::memory();
    let mut pipeline = runtime
        .pipeline(connector, source, &sink, checkpoint, options)
        .await?;
    let outcome = pipeline.run().await;
    pipeline.close().await;
    Ok(outcome?)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("name a component, an origin, a file of options and a folder")
    };
    let (component, origin, options, folder) = (argument()?, argument()?, argument()?, argument()?);
    let table = std::path::absolute(folder)?;
    let table = Url::from_directory_path(&table).map_err(|()| "the folder has no URL")?;
    let (component, options) = (std::fs::read(component)?, std::fs::read_to_string(options)?);
    let summary = append(component, &origin, &options, table).await?;
    println!("{} rows in {} micro-batches", summary.rows, summary.batches);
    Ok(())
}

#[cfg(test)]
mod tests {
    use sandbar_components::COMMENTS;
    use sandbar_harness::ScriptedApi;

    use super::*;

    #[tokio::test]
    async fn a_second_call_appends_what_came_since_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let table = Url::from_directory_path(folder.path().join("comments")).unwrap();
        let api = ScriptedApi::start(25);
        let options = format!("{{\"api_url\": \"{}/comments\"}}", api.origin());
        let origin = api.origin();
        let append = || append(COMMENTS.into(), &origin, &options, table.clone());
        assert_eq!(append().await.unwrap().rows, 25);
        api.add_rows(8);
        let second = append().await.unwrap();
        assert_eq!((second.rows, second.revision), (8, Some(1)));
        assert_eq!(append().await.unwrap().rows, 0);
    }
}
