//! Where progress lies. The table has the last word; a note only helps where there is no table yet; a table that
//! can't carry offsets has them in the offset log.

use sandbar_harness::ScriptedApi;
use serde_json::{Value, json};

use crate::support::{Settings, Workspace};

const NOTE: &str = "lake/_checkpoints/comments/source/progress.json";

#[test]
fn a_lost_checkpoint_location_is_no_loss() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    std::fs::remove_dir_all(work.path("lake/_checkpoints")).unwrap();
    api.add_rows(7);
    assert_eq!(work.read_available().batches(), [7]);
    work.table().assert_once(1..=32);
    assert_eq!(work.read(NOTE), r#"{"current":32}"#);
}

#[test]
fn a_checkpoint_location_in_memory_will_do() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("checkpoint.location", "'memory://'"));
    work.read_available();
    api.add_rows(7);
    assert_eq!(work.read_available().batches(), [7]);
    work.table().assert_once(1..=32);
    assert!(!work.path("lake/_checkpoints").exists());
}

#[test]
fn a_note_that_a_pyspark_job_left_is_taken_up() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.write("lake/_checkpoints/comments/progress.json", r#"{"current": 20}"#);
    let run = work.read_available();
    assert_eq!(run.lines()[0]["start"], json!({"current": 20}));
    work.table().assert_once(21..=25);
    api.add_rows(2);
    work.read_available();
    work.table().assert_once(21..=27);
    let left = work.read("lake/_checkpoints/comments/progress.json");
    assert_eq!(left, r#"{"current": 20}"#, "somebody else's file stays as it is");
}

#[test]
fn a_damaged_note_is_named_and_nothing_is_read() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.write(NOTE, "{\"curr");
    work.run_available("comments")
        .with_code(1)
        .saying(&["source/progress.json", "not JSON"]);
    assert!(!work.path("lake/comments").exists() || work.table().data_files().is_empty());
}

/// A pipeline whose table has no offsets in it.
fn logged(api: &ScriptedApi) -> Settings {
    Settings::of(api).set("sink.progress", "'checkpoint'")
}

#[test]
fn with_an_offset_log_the_table_has_no_feature_that_delta_rs_can_not_write() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&logged(&api));
    work.read_available();
    let table = work.table();
    table.assert_once(1..=25);
    assert_eq!(table.writer_features(), Vec::<String>::new());
    assert_eq!(table.end("comments"), None, "no domain metadata");
    for (batch, start, end) in [(1, 0, 10), (2, 10, 20), (3, 20, 25)] {
        let text = work.read(&format!("lake/_checkpoints/comments/offsets/{batch}"));
        let entry: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(entry["batch"], batch);
        assert_eq!(entry["start"], json!({"current": start}));
        assert_eq!(entry["end"], json!({"current": end}));
        assert_eq!(entry["rows"], end - start);
        assert_eq!(entry["component"]["name"], "comments");
    }
}

#[test]
fn with_an_offset_log_a_run_goes_on_where_the_last_one_ended() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&logged(&api));
    work.read_available();
    api.add_rows(7);
    assert_eq!(work.read_available().batches(), [7]);
    work.read_available().saying(&["nothing new"]);
    work.table().assert_once(1..=32);
}

#[test]
fn with_an_offset_log_the_newest_hundred_entries_stay() {
    let api = ScriptedApi::start(120);
    let work = Workspace::with(&logged(&api).set("source.options.rows_per_batch", "1"));
    work.read_available();
    let entries = work.files_in("lake/_checkpoints/comments/offsets");
    let mut numbers: Vec<u64> = entries
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (21..=120).collect::<Vec<_>>());
    work.table().assert_once(1..=120);
}

#[test]
fn an_entry_whose_batch_was_never_committed_does_not_count() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&logged(&api));
    work.read_available();
    // What a crash between the entry and the commit leaves.
    let last = work.read("lake/_checkpoints/comments/offsets/3");
    let claimed = last
        .replace("\"batch\":3", "\"batch\":4")
        .replace("25", "1000")
        .replace("20", "25");
    assert_ne!(claimed, last);
    work.write("lake/_checkpoints/comments/offsets/4", &claimed);
    api.add_rows(7);
    assert_eq!(work.read_available().batches(), [7]);
    work.table().assert_once_allowing(1..=32, true);
    assert_eq!(
        work.read("lake/_checkpoints/comments/offsets/4"),
        claimed,
        "its name is taken"
    );
    work.read_available().saying(&["nothing new"]);
    work.table().assert_once_allowing(1..=32, true);
}

#[test]
fn a_lost_offset_log_is_refused_with_both_remedies_and_each_of_them_helps() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&logged(&api));
    work.read_available();
    let (location, away) = (work.path("lake/_checkpoints/comments"), work.path("away"));
    api.add_rows(7);

    for remedy in ["restore", "reset"] {
        std::fs::rename(&location, &away).unwrap();
        let refused = work.run_available("comments").with_code(1);
        refused.saying(&[
            "batch 3 is in the table",
            "restore the location",
            "sandbar reset --to-offset JSON",
        ]);
        work.table().assert_once(1..=25);
        if remedy == "restore" {
            std::fs::remove_dir_all(&location).unwrap();
            std::fs::rename(&away, &location).unwrap();
            assert_eq!(
                work.run(&["status", "comments.toml", "--json"]).ok().json()["lag"],
                7
            );
        } else {
            work.run(&[
                "reset",
                "comments.toml",
                "--to-offset",
                "{\"current\": 25}",
                "--yes",
            ])
            .ok();
        }
    }
    assert_eq!(work.read_available().batches(), [7]);
    assert_eq!(work.table().ids(), (1..=32).collect::<Vec<_>>());
}
