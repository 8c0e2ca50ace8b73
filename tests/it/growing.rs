//! The main job: what the API has becomes micro-batches in the table, and what it gets later comes later, once.

use std::time::Duration;

use sandbar_harness::{Fault, ScriptedApi};
use serde_json::json;

use crate::support::{Ended, Settings, Workspace};

#[test]
fn a_first_run_reads_everything_in_micro_batches() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    let run = work.read_available();
    assert_eq!(run.batches(), [10, 10, 5]);

    let table = work.table();
    table.assert_once(1..=25);
    assert_eq!(table.version(), 2, "one version for each micro-batch");
    assert_eq!(table.end("comments"), Some(json!({"current": 25})));
    let run = work.read("lake/_checkpoints/comments/source/progress.json");
    assert_eq!(run, r#"{"current":25}"#);
}

#[test]
fn a_second_run_brings_the_new_rows_only() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    api.add_rows(13);
    api.clear_requests();
    let run = work.read_available();
    assert_eq!(run.batches(), [10, 3]);
    work.table().assert_once(1..=38);
    let starts = api
        .requests()
        .into_iter()
        .map(|r| r.parameter("_start").unwrap().parse::<u64>().unwrap());
    assert!(starts.min() >= Some(25), "nothing is read again");
}

#[test]
fn nothing_new_leaves_no_trace() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    let before = work.files();
    for arguments in [["--available-now"], ["--once"]] {
        let run = work
            .run(&["run", "comments.toml", arguments[0], "--progress", "json"])
            .ok();
        assert_eq!(run.stdout, "", "no micro-batch");
        let run = run.saying(&["comments: nothing new: 0 rows in 0 batches"]);
        assert!(!run.stderr.contains("table version"), "{}", run.stderr);
        assert_eq!(work.files(), before, "no commit, no file");
    }
}

#[test]
fn an_api_without_rows_is_no_error_and_its_first_row_comes_later() {
    let api = ScriptedApi::start(0);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available().saying(&["nothing new"]);
    assert!(
        work.files_in("lake/comments")
            .iter()
            .all(|file| file.extension() != Some("parquet".as_ref()))
    );
    api.add_rows(1);
    assert_eq!(work.read_available().batches(), [1]);
    work.table().assert_once(1..=1);
}

#[test]
fn rows_that_appear_during_a_run_wait_for_the_next_one() {
    let api = ScriptedApi::start(20);
    // While the second page is on its way, three more rows appear; they are no part of this run.
    let work = Workspace::with(&Settings::of(&api));
    api.fault_when(|r| r.parameter("_start") == Some("5"), Fault::Delay(GROWTH), 1);
    let running = work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"]);
    crate::support::until("the second page is asked for", || {
        api.requests().iter().any(|r| r.parameter("_start") == Some("5"))
    });
    api.add_rows(3);
    assert_eq!(running.end().ok().batches(), [10, 10]);
    work.table().assert_once(1..=20);
    assert_eq!(work.read_available().batches(), [3]);
    work.table().assert_once(1..=23);
}

/// Long enough that the test can add rows while the answer waits. If it were not, the test would still hold.
const GROWTH: std::time::Duration = std::time::Duration::from_millis(100);

#[test]
fn once_takes_one_micro_batch_and_goes_on_from_there_the_next_time() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    let once = || {
        work.run(&["run", "comments.toml", "--once", "--progress", "json"])
            .ok()
    };
    let rows: Vec<_> = (0..4).map(|_| once().batches()).collect();
    assert_eq!(rows, [vec![10], vec![10], vec![5], vec![]]);
    work.table().assert_once(1..=25);
}

#[test]
fn a_progress_line_tells_all_of_its_micro_batch() {
    let api = ScriptedApi::start(15);
    let work = Workspace::with(&Settings::of(&api));
    let lines = work.read_available().lines();
    assert_eq!(lines.len(), 2);
    let second = &lines[1];
    for (key, value) in [
        ("pipeline", json!("comments")),
        ("batch", json!(2)),
        ("start", json!({"current": 10})),
        ("end", json!({"current": 15})),
        ("latest", json!({"current": 15})),
        ("rows", json!(5)),
        ("files", json!(1)),
        ("table_version", json!(1)),
        ("requests", json!(1)),
    ] {
        assert_eq!(second[key], value, "{key} of {second}");
    }
    let files: u64 = work
        .table()
        .data_files()
        .values()
        .map(|add| add["size"].as_u64().unwrap())
        .sum();
    let bytes = |key: &str| lines.iter().map(|line| line[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(bytes("bytes"), files);
    // Those for planning included.
    assert_eq!(bytes("requests"), api.requests().len() as u64);
    assert!(
        bytes("response_bytes") > 0 && bytes("peak_memory") > 0,
        "{second}"
    );
    let times = second["milliseconds"].as_object().unwrap();
    for step in [
        "plan",
        "read",
        "guest",
        "decode",
        "encode",
        "commit",
        "acknowledge",
        "total",
    ] {
        assert!(times[step].as_f64().unwrap() >= 0.0, "{step} of {second}");
    }
}

#[test]
fn without_a_terminal_progress_is_silent_and_the_summary_goes_to_stderr() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    let run = work.run(&["run", "comments.toml", "--available-now"]).ok();
    assert_eq!(run.stdout, "");
    assert_eq!(
        run.stderr,
        "comments: 25 rows in 3 batches, next at {\"current\":25}, table version 2\n"
    );
    api.add_rows(1);
    let run = work
        .run(&["run", "comments.toml", "--available-now", "--progress", "none"])
        .ok();
    assert_eq!((run.stdout, run.stderr), (String::new(), String::new()));
    work.table().assert_once(1..=26);
}

#[test]
fn several_files_run_side_by_side() {
    let (one, other) = (ScriptedApi::start(25), ScriptedApi::start(12));
    let work = Workspace::with(&Settings::of(&one));
    work.add(&Settings::of(&other).named("others"));
    let run = work
        .run(&[
            "run",
            "comments.toml",
            "others.toml",
            "--available-now",
            "--progress",
            "json",
        ])
        .ok();
    let of = |run: &Ended, name: &str| {
        let lines = run.lines().into_iter().filter(|line| line["pipeline"] == name);
        lines.map(|line| line["rows"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((of(&run, "comments"), of(&run, "others")), (25, 12));
    work.table().assert_once(1..=25);
    assert_eq!(work.table_at("lake/others").ids(), (1..=12).collect::<Vec<_>>());
}

#[test]
fn one_pipeline_that_fails_does_not_disturb_the_others_but_the_exit_status() {
    let (good, bad) = (ScriptedApi::start(25), ScriptedApi::start(12));
    bad.fault_when(|_| true, Fault::status(401), usize::MAX);
    let work = Workspace::with(&Settings::of(&good));
    work.add(&Settings::of(&bad).named("others"));
    let run = work
        .run(&["run", "others.toml", "comments.toml", "--available-now"])
        .with_code(1);
    run.saying(&["comments: 25 rows in 3 batches", "error: pipeline others: "]);
    work.table().assert_once(1..=25);
}

#[test]
fn the_smaller_limit_decides_how_large_a_micro_batch_is() {
    let api = ScriptedApi::start(25);
    let settings = Settings::of(&api).set("trigger.max_rows_per_batch", "7");
    let work = Workspace::with(&settings);
    assert_eq!(work.read_available().batches(), [7, 7, 7, 4]);
    work.table().assert_once(1..=25);
}

/// As many connections are opened as requests are in flight at once.
#[test]
fn requests_in_flight_are_bounded_by_the_file() {
    let connections = |limits: &str| {
        let api = ScriptedApi::start(200);
        // Long enough that four readers meet.
        api.fault_when(|_| true, Fault::Delay(Duration::from_millis(20)), usize::MAX);
        let settings = Settings::of(&api).set("source.options.rows_per_batch", "200");
        let settings = settings.and(&format!("[source.limits]\nparallelism = 4\n{limits}"));
        let work = Workspace::with(&settings);
        work.run(&["run", "comments.toml", "--available-now"]).ok();
        work.table().assert_once(1..=200);
        api.connections()
    };
    assert_eq!(connections("requests_in_flight = 1"), 1);
    assert!(connections("") > 1);
}
