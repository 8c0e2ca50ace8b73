//! Checkpoint locations on Unity Catalog volumes, through a Files API that does what its documentation says, and
//! what it does on a bad day.

use std::process::Command;

use sandbar_harness::{FilesApi, FilesFault, RecordedRequest, ScriptedApi};
use serde_json::{Value, json};

use crate::support::{Ended, Running, Settings, Workspace};

const TOKEN: &str = "dapi0123456789abcdef";
const FOLDER: &str = "/Volumes/main/default/checkpoints/comments";
const LOCATION: &str = "'dbfs:/Volumes/main/default/checkpoints/comments'";
const RUN: [&str; 5] = ["run", "comments.toml", "--available-now", "--progress", "json"];

fn command(work: &Workspace, volumes: &FilesApi, arguments: &[&str]) -> Command {
    let mut command = work.command(arguments);
    command
        .env("DATABRICKS_HOST", volumes.origin())
        .env("DATABRICKS_TOKEN", TOKEN);
    command
}

/// Runs the program, whose output never has the token.
fn run(work: &Workspace, volumes: &FilesApi, arguments: &[&str]) -> Ended {
    let ended = Running::start(command(work, volumes, arguments)).end();
    assert!(!format!("{ended:?}").contains(TOKEN), "{ended:?}");
    ended
}

fn settings(api: &ScriptedApi) -> Settings {
    Settings::of(api).set("checkpoint.location", LOCATION)
}

fn logged(api: &ScriptedApi) -> Settings {
    settings(api).set("sink.progress", "'checkpoint'")
}

fn puts_of_entries(request: &RecordedRequest) -> bool {
    request.method == "PUT" && request.path.contains("/fs/files/") && request.path.contains("/offsets/")
}

fn note(volumes: &FilesApi) -> Value {
    let text = volumes.file(&format!("{FOLDER}/source/progress.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn with_progress_in_the_table_the_note_lies_on_the_volume() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let work = Workspace::with(&settings(&api));
    assert_eq!(run(&work, &volumes, &RUN).ok().batches(), [10, 10, 5]);
    let files = ["owner.json", "source/progress.json"].map(|file| format!("{FOLDER}/{file}"));
    assert_eq!(volumes.files(), files);
    assert_eq!(note(&volumes), json!({"current": 25}));
    api.add_rows(7);
    assert_eq!(run(&work, &volumes, &RUN).ok().batches(), [7]);
    work.table().assert_once(1..=32);
    assert_eq!(note(&volumes), json!({"current": 32}));
}

#[test]
fn with_progress_in_the_checkpoint_location_the_offset_log_lies_on_the_volume() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let work = Workspace::with(&logged(&api));
    run(&work, &volumes, &RUN).ok();
    for (batch, start, end) in [(1, 0, 10), (2, 10, 20), (3, 20, 25)] {
        let text = volumes.file(&format!("{FOLDER}/offsets/{batch}")).unwrap();
        let entry: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&entry["start"], &entry["end"]),
            (&json!({"current": start}), &json!({"current": end}))
        );
    }
    api.add_rows(7);
    let status = ["status", "comments.toml", "--json"];
    assert_eq!(run(&work, &volumes, &status).ok().json()["lag"], 7);
    volumes.clear_requests();
    assert_eq!(run(&work, &volumes, &RUN).ok().batches(), [7]);
    let requests = volumes.requests();
    let asked: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.method.as_str(),
                request.path.split(FOLDER).nth(1).unwrap(),
            )
        })
        .collect();
    let of_the_start = [
        ("GET", "/component.json"),
        ("GET", "/owner.json"),
        ("GET", "/offsets/3"),
        ("PUT", "/source/progress.json"),
    ];
    let of_the_batch = [
        ("PUT", "/offsets/4"),
        ("GET", "/offsets/4"),
        ("GET", "/offsets"),
        ("PUT", "/source/progress.json"),
    ];
    assert_eq!(
        asked,
        [&of_the_start[..], &of_the_batch].concat(),
        "what a run costs"
    );
    run(&work, &volumes, &RUN).ok().saying(&["nothing new"]);
    work.table().assert_once(1..=32);
}

#[test]
fn a_pyspark_job_with_its_note_on_a_volume_moves_over() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    volumes.write(&format!("{FOLDER}/progress.json"), r#"{"current": 20}"#);
    let work = Workspace::with(&settings(&api));
    let first = run(&work, &volumes, &RUN).ok();
    assert_eq!(first.lines()[0]["start"], json!({"current": 20}));
    work.table().assert_once(21..=25);
    api.add_rows(2);
    run(&work, &volumes, &RUN).ok();
    work.table().assert_once(21..=27);
    let left = volumes.file(&format!("{FOLDER}/progress.json")).unwrap();
    assert_eq!(left, r#"{"current": 20}"#, "somebody else's file stays as it is");
}

#[test]
fn a_token_that_is_not_taken_is_told_with_the_place_and_the_remedy() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    volumes.set_token("another one");
    let work = Workspace::with(&settings(&api));
    let told = [
        "401",
        "UNAUTHENTICATED",
        "DATABRICKS_TOKEN",
        &volumes.origin(),
        FOLDER,
    ];
    run(&work, &volumes, &RUN).with_code(1).saying(&told);
    assert_eq!(work.table().versions.len(), 0, "nothing was read");
    let check = run(&work, &volumes, &["check", "comments.toml"]).with_code(1);
    let shown = format!("{}{}", check.stdout, check.stderr);
    assert!(
        shown.contains("401") && shown.contains("DATABRICKS_TOKEN"),
        "{shown}"
    );
    volumes.set_token(TOKEN);
    let check = run(&work, &volumes, &["check", "comments.toml"]).ok();
    let shown = format!("{}{}", check.stdout, check.stderr);
    assert!(shown.contains("checkpoints/comments can be written"), "{shown}");
    assert_eq!(volumes.files(), [""; 0], "the probe is removed");
}

#[test]
fn a_variable_that_is_missing_or_of_no_use_is_named_and_ends_with_2() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let work = Workspace::with(&settings(&api));
    for (name, value, told) in [
        ("DATABRICKS_HOST", None, "DATABRICKS_HOST is not set"),
        ("DATABRICKS_TOKEN", None, "DATABRICKS_TOKEN is not set"),
        (
            "DATABRICKS_HOST",
            Some("http://dbc-1.cloud.databricks.com"),
            "DATABRICKS_HOST: http:// would show",
        ),
    ] {
        let mut command = command(&work, &volumes, &RUN);
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        Running::start(command).end().with_code(2).saying(&[told]);
    }
    work.add(&settings(&api).set("checkpoint.location", "'dbfs:/tmp/x'"));
    run(&work, &volumes, &RUN)
        .with_code(2)
        .saying(&["only volumes can be used"]);
    assert!(volumes.requests().is_empty());
}

#[test]
fn the_token_is_in_no_log_however_talkative_it_is() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let work = Workspace::with(&logged(&api));
    let broken = |request: &RecordedRequest| request.method == "PUT";
    volumes.fault_when(broken, FilesFault::Broken, 1);
    let mut command = command(&work, &volumes, &RUN);
    command.env("RUST_LOG", "trace");
    let ended = Running::start(command).end().ok();
    assert!(ended.stderr.contains("the Files API did not answer"), "it logs");
    assert!(!format!("{ended:?}").contains(TOKEN));
    assert!(
        volumes
            .requests()
            .iter()
            .any(|r| r.header("authorization").is_some_and(|v| v.contains(TOKEN)))
    );
}

#[test]
fn a_location_is_taken_letter_by_letter() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let folder = "/Volumes/main/default/checkpoints/50% of ünïcode/%41?#&+ 東京";
    let work = Workspace::with(&logged(&api).set("checkpoint.location", &format!("'dbfs:{folder}/'")));
    run(&work, &volumes, &RUN).ok();
    api.add_rows(7);
    assert_eq!(run(&work, &volumes, &RUN).ok().batches(), [7]);
    work.table().assert_once(1..=32);
    let files = [1, 2, 3, 4].map(|batch| format!("{folder}/offsets/{batch}"));
    assert_eq!(volumes.files()[..4], files);
    let files = ["owner.json", "source/progress.json"].map(|file| format!("{folder}/{file}"));
    assert_eq!(volumes.files()[4..], files);
}

#[test]
fn old_entries_go_over_several_pages() {
    let (api, volumes) = (ScriptedApi::start(120), FilesApi::start(TOKEN));
    volumes.set_page_size(30);
    let work = Workspace::with(&logged(&api).set("source.options.rows_per_batch", "1"));
    run(&work, &volumes, &RUN).ok();
    let mut numbers: Vec<u64> = volumes
        .files()
        .iter()
        .filter_map(|path| path.strip_prefix(FOLDER)?.strip_prefix("/offsets/")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (21..=120).collect::<Vec<_>>());
    assert!(
        volumes
            .requests()
            .iter()
            .any(|request| request.parameter("page_token") == Some("90"))
    );
    work.table().assert_once(1..=120);
}

#[test]
fn an_entry_that_was_written_without_an_answer_keeps_its_number() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let work = Workspace::with(&logged(&api));
    // The first entry finds no folder, so that nothing of it could be done.
    run(&work, &volumes, &RUN).ok();
    api.add_rows(7);
    volumes.clear_requests();
    volumes.fault_when(puts_of_entries, FilesFault::DoneWithoutAnswer, 3);
    run(&work, &volumes, &RUN).ok();
    let puts = volumes.requests().into_iter().filter(puts_of_entries);
    assert_eq!(
        puts.count(),
        4,
        "three without an answer, and one that finds the file there"
    );
    // Strictly: no number is left out.
    work.table().assert_once(1..=32);
}

#[test]
fn bad_days_cost_time_and_no_row() {
    for fault in [
        FilesFault::Busy(1),
        FilesFault::Broken,
        FilesFault::Dropped,
        FilesFault::HtmlErrorPage,
        FilesFault::DoneWithoutAnswer,
    ] {
        let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
        let work = Workspace::with(&logged(&api));
        for method in ["GET", "PUT"] {
            volumes.fault_when(move |request| request.method == method, fault.clone(), 1);
        }
        run(&work, &volumes, &RUN).ok();
        work.table().assert_once(1..=25);
        assert_eq!(note(&volumes), json!({"current": 25}), "{fault:?}");
    }
}

#[test]
fn a_login_page_in_place_of_the_workspace_stops_before_anything_is_read() {
    let (api, volumes) = (ScriptedApi::start(25), FilesApi::start(TOKEN));
    let work = Workspace::with(&settings(&api));
    volumes.fault_when(|_| true, FilesFault::LoginPage, usize::MAX);
    let ended = run(&work, &volumes, &RUN).with_code(1);
    ended.saying(&["is DATABRICKS_HOST a workspace?", "Log in"]);
    assert_eq!(work.table().versions.len(), 0);
}

#[test]
fn pages_without_an_end_leave_old_entries_and_stop_nothing() {
    let (api, volumes) = (ScriptedApi::start(5), FilesApi::start(TOKEN));
    let work = Workspace::with(&logged(&api));
    let listing =
        |request: &RecordedRequest| request.path.contains("/fs/directories/") && request.method == "GET";
    volumes.fault_when(listing, FilesFault::EndlessPages, usize::MAX);
    let ended = run(&work, &volumes, &RUN).ok();
    ended.saying(&["old entries of the offset log stay", "more than 1000 pages"]);
    work.table().assert_once(1..=5);
}

#[test]
fn killed_again_and_again_with_the_offset_log_on_a_volume() {
    let (api, volumes) = (ScriptedApi::start(90), FilesApi::start(TOKEN));
    let work = Workspace::with(&logged(&api).set("source.options.rows_per_batch", "3"));
    let mut at_work = 0;
    for batches in [1, 2, 1, 3, 1, 2, 1, 1] {
        let mut running = Running::start(command(&work, &volumes, &RUN));
        running.until_batches(batches);
        at_work += u32::from(running.kill());
    }
    assert!(at_work >= 4, "{at_work} of 8 kills met the program at work");
    run(&work, &volumes, &RUN).ok();
    work.table().assert_once_allowing(1..=90, true);
}
