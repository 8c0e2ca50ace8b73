//! What a table can have besides rows: the time of ingestion, partitions, a log checkpoint, several pipelines.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::{DataType, TimeUnit};
use sandbar_harness::ScriptedApi;
use serde_json::{Value, json};

use crate::support::{Comment, Settings, Workspace};

#[test]
fn a_commit_holds_rows_transaction_and_end_offset_together() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    for (version, actions) in work.table().versions.iter().enumerate() {
        let of_kind = |kind: &str| {
            let mut found = actions.iter().filter_map(|action| action.get(kind));
            let first = found
                .next()
                .unwrap_or_else(|| panic!("version {version} has no {kind}"));
            assert!(
                found.next().is_none(),
                "version {version} has more than one {kind}"
            );
            first
        };
        let batch = version as u64 + 1;
        let end = json!({"current": (batch * 10).min(25)});
        assert_eq!(of_kind("add")["dataChange"], true);
        assert_eq!(of_kind("txn")["appId"], "sandbar/comments");
        assert_eq!(of_kind("txn")["version"], batch);
        let parsed = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
        assert_eq!(of_kind("domainMetadata")["domain"], "sandbar.comments");
        let domain = parsed(&of_kind("domainMetadata")["configuration"]);
        let info = parsed(&of_kind("commitInfo")["sandbar"]);
        for known in [&domain, &info] {
            assert_eq!(known["batch"], batch);
            assert_eq!(known["end"], end);
            assert_eq!(known["component"]["name"], "comments");
            assert!(
                known["component"]["digest"]
                    .as_str()
                    .unwrap()
                    .starts_with("sha256:")
            );
        }
        if version > 0 {
            assert_eq!(of_kind("commitInfo")["operation"], "STREAMING UPDATE");
        }
    }
}

#[test]
fn each_row_gets_the_time_of_its_micro_batch_if_that_is_wanted() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("sink.ingested_at", "'current_ts'"));
    work.read_available();
    let table = work.table();
    table.assert_once(1..=25);
    let began = table.actions("commitInfo")[0].1["timestamp"].as_i64().unwrap();
    for (_, batch) in table.record_batches() {
        let column = batch.column_by_name("current_ts").unwrap();
        assert_eq!(
            *column.data_type(),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        );
        let times = column.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.null_count(), 0);
        let first = times.value(0);
        assert!(
            times.values().iter().all(|time| *time == first),
            "one time for a micro-batch"
        );
        // The clock of this machine, in microseconds, within a minute of the first commit.
        assert!((first / 1000 - began).abs() < 60_000, "{first} and {began}");
    }
}

#[test]
fn a_partitioned_table_has_a_folder_for_each_value() {
    let api = ScriptedApi::start(12);
    let work = Workspace::with(&Settings::of(&api).set("sink.partition_by", "['email']"));
    work.read_available();
    let table = work.table();
    assert_eq!(
        table.actions("metaData")[0].1["partitionColumns"],
        json!(["email"])
    );
    assert_eq!(table.data_files().len(), 12);
    table.assert_once(1..=12);
}

#[test]
fn a_table_that_is_partitioned_otherwise_is_refused_and_stays() {
    let api = ScriptedApi::start(12);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    api.add_rows(5);
    work.add(&Settings::of(&api).set("sink.partition_by", "['email']"));
    let run = work.run_available("comments").with_code(1);
    run.saying(&["it is partitioned by [], not by [\"email\"]"]);
    work.table().assert_once(1..=12);
}

#[test]
fn more_than_a_hundred_versions_get_a_log_checkpoint_and_go_on() {
    let api = ScriptedApi::start(230);
    let settings = Settings::of(&api).set("source.options.rows_per_batch", "2");
    let work = Workspace::with(&settings);
    assert_eq!(work.read_available().batches().len(), 115);
    let log = work.files_in("lake/comments/_delta_log");
    let checkpoints = log
        .iter()
        .filter(|file| file.to_string_lossy().contains(".checkpoint."));
    assert!(checkpoints.count() >= 1, "{log:?}");
    assert!(work.path("lake/comments/_delta_log/_last_checkpoint").exists());
    api.add_rows(3);
    assert_eq!(work.read_available().batches(), [2, 1]);
    work.table().assert_once(1..=233);
}

#[test]
fn two_pipelines_can_append_to_one_table_at_once() {
    let (one, other) = (ScriptedApi::start(60), ScriptedApi::start(60));
    let small = |settings: Settings| settings.set("source.options.rows_per_batch", "3");
    let work = Workspace::with(&small(Settings::of(&one)));
    work.add(&small(Settings::of(&other).named("others")).set("sink.table", "'lake/comments'"));
    let files = ["run", "comments.toml", "others.toml", "--available-now"];
    work.run(&files).ok();
    for api in [&one, &other] {
        api.add_rows(6);
    }
    work.run(&files).ok();
    let table = work.table();
    let twice: Vec<_> = (1..=66)
        .flat_map(|id| [Comment::served(id), Comment::served(id)])
        .collect();
    assert_eq!(table.rows(), twice, "each pipeline's rows once");
    for pipeline in ["comments", "others"] {
        assert_eq!(table.last_batch(pipeline), Some(22));
        assert_eq!(table.end(pipeline), Some(json!({"current": 66})));
    }
}

#[test]
fn a_time_in_a_column_of_the_source_is_refused_and_the_table_stays() {
    let api = ScriptedApi::start(12);
    let work = Workspace::with(&Settings::of(&api).set("sink.ingested_at", "'current_ts'"));
    work.read_available();
    let before = work.files();
    api.add_rows(5);
    work.add(&Settings::of(&api).set("sink.ingested_at", "'name'"));
    let run = work.run_available("comments").with_code(1);
    run.saying(&["ingested_at = \"name\" is already the name of a column"]);
    assert_eq!(work.files(), before);
}
