//! Pipelines of both tracks, each into a Delta table, and one pipeline that goes from track to track.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_delta::{DeltaOptions, DeltaSink, DeltaSinkFactory};
use sandbar_harness::Fault;
use sandbar_pipeline::{
    Clock, Pipeline, PipelineOptions, ReadLimit, RetryPolicy, SinkFactory, Source, StepOutcome, SystemClock,
    Trigger,
};
use tempfile::TempDir;
use url::Url;

use super::*;

type Comments = Pipeline<SandboxSource, DeltaSink>;

/// A folder of tables. It is gone with the test.
struct Lake(TempDir);

impl Lake {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn table(&self, name: &str) -> (Url, DeltaSinkFactory) {
        let folder = self.0.path().canonicalize().unwrap().join(name);
        let url = Url::from_directory_path(folder).unwrap();
        let options = DeltaOptions::new(url.clone(), "comments", clock());
        (url, DeltaSinkFactory::new(options))
    }

    async fn pipeline(
        &self,
        table: &str,
        source: Arc<SandboxSource>,
        checkpoint: &CheckpointLocation,
    ) -> Comments {
        let (url, table) = self.table(table);
        let sink = table.open("comments", &source.schema()).await.unwrap();
        let options = PipelineOptions::new("comments", url)
            .with_limit(ReadLimit {
                max_rows: Some(1_000),
                max_bytes: None,
            })
            .with_retry(RetryPolicy::new(1))
            .with_trigger(Trigger::AvailableNow);
        Pipeline::new(source, sink, checkpoint.clone(), clock(), options)
    }

    /// Asserts that the table has each of these rows once, in micro-batches that follow on one another, and tells which
    /// version of the component read each.
    async fn assert_once(&self, table: &str, rows: i32) -> Vec<String> {
        let (_, table) = self.table(table);
        let batches = table.first_rows(100_000).await.unwrap().unwrap();
        let ids = batches
            .iter()
            .flat_map(|rows| rows.column(0).as_primitive::<Int32Type>().values().to_vec());
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=rows).collect::<Vec<_>>());
        let mut commits = table.state("comments", 1_000).await.unwrap().unwrap().commits;
        commits.reverse();
        let mut end = json!({"current": 0}).into();
        for commit in &commits {
            assert_eq!(commit.batch.start, end, "{commit:?}");
            end = commit.batch.end.clone();
        }
        assert_eq!(end, json!({"current": rows}).into());
        let components = commits.into_iter().map(|commit| commit.batch.component);
        components.map(|component| component.version).collect()
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

async fn step(pipeline: &mut Comments) -> u64 {
    match pipeline.step().await.unwrap() {
        StepOutcome::Committed(report) => report.rows,
        StepOutcome::NothingNew(_) => 0,
        StepOutcome::Stopped => panic!("nobody stopped it"),
    }
}

/// The stream of an open source, opened by another component in the same context.
async fn reopened(
    source: &SandboxSource,
    connector: &Arc<Connector>,
    api: &ScriptedApi,
) -> Arc<SandboxSource> {
    let options = comments(api).options;
    let opened = SandboxSource::open_in(source.context(), connector.clone(), None, &options);
    Arc::new(opened.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_of_both_tracks_run_beside_each_other() {
    let (sandbox, lake) = (sandbox(), Lake::new());
    let (first, second) = (ScriptedApi::start(45), ScriptedApi::start(33));
    let (mut pipelines, mut checkpoints) = (vec![], vec![]);
    for (table, bytes, api) in [
        ("older", kept(), &first),
        ("newer", sandbar_test_track::COMPONENT.to_vec(), &second),
    ] {
        let (connector, checkpoint) = (load(&sandbox, bytes).await, CheckpointLocation::memory());
        let source = SandboxSource::open(connector, checkpoint.clone(), comments(api)).await;
        pipelines.push(lake.pipeline(table, Arc::new(source.unwrap()), &checkpoint).await);
        checkpoints.push(checkpoint);
    }
    let [older, newer] = &mut pipelines[..] else {
        panic!("two pipelines")
    };
    let (older, newer) = tokio::join!(older.run(), newer.run());
    assert_eq!((older.unwrap().rows, newer.unwrap().rows), (45, 33));
    assert_eq!(lake.assert_once("older", 45).await, ["0.1.0"; 5]);
    assert_eq!(lake.assert_once("newer", 33).await, ["0.2.0"; 4]);
    // Both keep their notes, each by the function that its track has for it.
    for (checkpoint, rows) in checkpoints.into_iter().zip([45, 33]) {
        let note = checkpoint.load_note().await.unwrap();
        assert_eq!(note.unwrap(), json!({"current": rows}).into());
    }
    for pipeline in pipelines {
        pipeline.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_replaced_by_one_of_another_track_in_the_middle_of_a_stream() {
    let (sandbox, lake, api) = (sandbox(), Lake::new(), ScriptedApi::start(65));
    let older = load(&sandbox, kept()).await;
    let newer = load(&sandbox, sandbar_test_track::COMPONENT).await;
    let checkpoint = CheckpointLocation::memory();
    let opened = SandboxSource::open(older.clone(), checkpoint.clone(), comments(&api)).await;
    let source = Arc::new(opened.unwrap());
    let mut pipeline = lake.pipeline("comments", source.clone(), &checkpoint).await;
    assert_eq!([step(&mut pipeline).await, step(&mut pipeline).await], [10, 10]);

    // Forward, after a micro-batch that failed half way.
    api.fault_when(
        |request| request.parameter("_limit") != Some("1"),
        Fault::status(500),
        usize::MAX,
    );
    pipeline.step().await.unwrap_err();
    api.clear_faults();
    let newer_source = reopened(&source, &newer, &api).await;
    let replaced = pipeline.replace_source(newer_source.clone()).await.unwrap();
    assert_eq!(replaced.component(), older.id());
    api.clear_requests();
    assert_eq!([step(&mut pipeline).await, step(&mut pipeline).await], [10, 10]);
    let asked = api.requests();
    let starts = asked.iter().map(|request| request.parameter("_start").unwrap());
    let least = starts.map(|start| start.parse::<u64>().unwrap()).min();
    assert_eq!(least, Some(20), "it asks for nothing before the offset");

    // And back, since an operator may have to.
    let source = reopened(&source, &older, &api).await;
    pipeline.replace_source(source.clone()).await.unwrap();
    assert_eq!([step(&mut pipeline).await, step(&mut pipeline).await], [10, 10]);
    pipeline
        .replace_source(reopened(&source, &newer, &api).await)
        .await
        .unwrap();
    assert_eq!([step(&mut pipeline).await, step(&mut pipeline).await], [5, 0]);
    pipeline.close().await;
    let versions = ["0.1.0", "0.1.0", "0.2.0", "0.2.0", "0.1.0", "0.1.0", "0.2.0"];
    assert_eq!(lake.assert_once("comments", 65).await, versions);

    // A process that starts anew goes on as well, with either.
    for (connector, rows) in [(&older, 72), (&newer, 79)] {
        api.set_rows(rows);
        let source = reopened(&source, connector, &api).await;
        let mut pipeline = lake.pipeline("comments", source, &checkpoint).await;
        assert_eq!(pipeline.run().await.unwrap().rows, 7);
        pipeline.close().await;
    }
    let versions = lake.assert_once("comments", 79).await;
    assert_eq!(versions[7..], ["0.1.0", "0.2.0"]);
}
