//! The flaws of the PySpark job that this project began with. Each test would fail with that job's logic.

use sandbar_harness::{Fault, ScriptedApi};
use serde_json::json;

use crate::support::{Settings, Workspace};

const NOTE: &str = "lake/_checkpoints/comments/source/progress.json";

#[test]
fn flaw_1_the_offset_never_runs_ahead_of_what_exists() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    // Each look beyond the end would have moved the offset on by ten.
    for _ in 0..3 {
        work.read_available();
        assert_eq!(work.table().end("comments"), Some(json!({"current": 25})));
    }
    api.add_rows(5);
    assert_eq!(work.read_available().batches(), [5]);
    work.table().assert_once(1..=30);
}

#[test]
fn flaw_2_a_read_stays_within_its_partition() {
    let api = ScriptedApi::start(35);
    let work = Workspace::with(&Settings::of(&api).set("source.options.page_size", "100"));
    let running = work.run_available("comments").ok();
    assert_eq!(running.batches(), [10, 10, 10, 5]);
    // Of each page: where it ends, and where its micro-batch ends.
    let pages: Vec<_> = api
        .requests()
        .iter()
        .filter(|request| request.parameter("_limit") != Some("1"))
        .map(|request| {
            let number = |name| request.parameter(name).unwrap().parse::<u64>().unwrap();
            (number("_start"), number("_start") + number("_limit"))
        })
        .collect();
    assert_eq!(pages, [(0, 10), (10, 20), (20, 30), (30, 35)]);
    work.table().assert_once(1..=35);
}

#[test]
fn flaw_2_rows_that_appear_after_the_plan_are_not_read_with_it() {
    let api = ScriptedApi::start(12);
    let work = Workspace::with(&Settings::of(&api));
    assert_eq!(work.read_available().batches(), [10, 2]);
    api.add_rows(20);
    assert_eq!(work.read_available().batches(), [10, 10]);
    // The short micro-batch took two rows; the next one began behind them, not behind ten.
    work.table().assert_once(1..=32);
}

#[test]
fn flaw_3_the_note_is_the_committed_end_and_no_counter_of_the_reader() {
    let api = ScriptedApi::start(40);
    // The third micro-batch is read half, then fails.
    api.fault_when(|r| r.parameter("_start") == Some("25"), Fault::status(401), 1);
    let work = Workspace::with(&Settings::of(&api));
    assert_eq!(work.run_available("comments").with_code(1).batches(), [10, 10]);
    assert_eq!(work.read(NOTE), r#"{"current":20}"#);
    assert_eq!(work.table().end("comments"), Some(json!({"current": 20})));
    work.read_available();
    assert_eq!(work.read(NOTE), r#"{"current":40}"#);
    work.table().assert_once(1..=40);
}

#[test]
fn flaw_4_a_crash_between_the_table_and_the_note_gives_no_duplicates() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    // The commit is in the table; the note is as it was before it, or was never written, or runs ahead.
    for note in [Some(r#"{"current":20}"#), None, Some(r#"{"current":1000}"#)] {
        match note {
            Some(note) => work.write(NOTE, note),
            None => std::fs::remove_file(work.path(NOTE)).unwrap(),
        }
        work.read_available().saying(&["nothing new"]);
        work.table().assert_once(1..=25);
        assert_eq!(work.read(NOTE), r#"{"current":25}"#, "the start makes up for it");
    }
}

#[test]
fn flaw_5_a_restarted_process_does_not_count_from_0() {
    let api = ScriptedApi::start(45);
    let work = Workspace::with(&Settings::of(&api));
    let mut starts = vec![];
    for lost in [false, false, true, true] {
        if lost {
            std::fs::remove_dir_all(work.path("lake/_checkpoints")).unwrap();
        }
        let run = work
            .run(&["run", "comments.toml", "--once", "--progress", "json"])
            .ok();
        starts.push(run.lines()[0]["start"]["current"].as_u64().unwrap());
    }
    assert_eq!(starts, [0, 10, 20, 30]);
    work.table().assert_once(1..=40);
}

#[test]
fn flaw_6_an_error_page_is_no_row_and_is_tried_again() {
    let api = ScriptedApi::start(25);
    for number in [2, 5] {
        api.fault_at(number, Fault::HtmlErrorPage);
    }
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    work.table().assert_once(1..=25);

    api.add_rows(5);
    api.fault_when(|_| true, Fault::HtmlErrorPage, usize::MAX);
    work.run_available("comments")
        .with_code(1)
        .saying(&["502", "(gave up after 3 attempts)"]);
    work.table().assert_once(1..=25);
}
