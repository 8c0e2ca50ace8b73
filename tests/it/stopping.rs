//! Runs that go on until they are stopped: intervals, signals, and two runners of one pipeline.

use std::time::Duration;

use rustix::process::Signal;
use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Settings, Workspace, until};

const RUN: [&str; 4] = ["run", "comments.toml", "--progress", "json"];

#[test]
fn an_interval_trigger_looks_again_until_it_is_stopped() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("trigger.interval", "'50ms'"));
    let mut running = work.spawn(&RUN);
    running.until_rows(25);
    for more in [4, 11] {
        let before = running.rows();
        api.add_rows(more);
        running.until_rows(before + more);
    }
    // Several looks that find nothing.
    api.clear_requests();
    until("it looked some more", || api.requests().len() >= 3);
    assert!(running.is_running());
    running.signal(Signal::TERM);
    let ended = running
        .end()
        .ok()
        .saying(&["comments: stopped: 40 rows in ", "next at {\"current\":40}"]);
    assert_eq!(ended.batches(), [10, 10, 5, 4, 10, 1]);
    work.table().assert_once(1..=40);
}

#[test]
fn a_stop_in_the_middle_loses_nothing_and_the_next_run_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let api = ScriptedApi::start(400);
        api.fault_when(|_| true, Fault::Delay(Duration::from_millis(5)), usize::MAX);
        let work = Workspace::with(&Settings::of(&api));
        let mut running = work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"]);
        running.until_rows(30);
        running.signal(signal);
        let ended = running.end().ok().saying(&["comments: stopped: "]);
        let rows: u64 = ended.batches().iter().sum();
        assert!((30..400).contains(&rows), "{rows} rows before the stop");
        work.table().assert_once(1..=i32::try_from(rows).unwrap());
        let rest: u64 = work.read_available().batches().iter().sum();
        assert_eq!(rows + rest, 400);
        work.table().assert_once(1..=400);
    }
}

#[test]
fn a_stop_does_not_wait_for_an_api_that_never_answers() {
    let api = ScriptedApi::start(25);
    api.fault_when(|r| r.parameter("_start") == Some("15"), Fault::Hang, usize::MAX);
    let work = Workspace::with(&Settings::of(&api));
    let mut running = work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"]);
    running.until_rows(10);
    until("it waits for the API", || {
        api.requests().iter().any(|r| r.parameter("_start") == Some("15"))
    });
    running.signal(Signal::TERM);
    running
        .end()
        .ok()
        .saying(&["comments: stopped: 10 rows in 1 batch"]);
    work.table().assert_once(1..=10);
}

#[test]
fn a_stop_does_not_wait_for_a_pause_between_tries() {
    let api = ScriptedApi::start(25);
    api.fault_when(|_| true, Fault::status(503), usize::MAX);
    let settings = Settings::of(&api)
        .set("retry.base", "'10m'")
        .set("retry.max", "'10m'");
    let work = Workspace::with(&settings);
    let running = work.spawn(&["run", "comments.toml", "--available-now"]);
    until("it asked", || !api.requests().is_empty());
    running.signal(Signal::INT);
    running
        .end()
        .ok()
        .saying(&["comments: stopped: 0 rows in 0 batches"]);
}

#[test]
fn of_two_runners_of_one_pipeline_one_goes_on_and_every_row_comes_once() {
    let api = ScriptedApi::start(40);
    let settings = Settings::of(&api)
        .set("source.options.rows_per_batch", "2")
        .set("trigger.interval", "'2ms'");
    let work = Workspace::with(&settings);
    let mut runners = [work.spawn(&RUN), work.spawn(&RUN)];
    let mut rows = 40;
    // Growth goes on until one has met the other, which is soon.
    until("one runner met the other", || {
        rows += 3;
        api.add_rows(3);
        runners.iter_mut().any(|runner| !runner.is_running())
    });
    let complete = || {
        work.table()
            .end("comments")
            .is_some_and(|end| end["current"] == rows)
    };
    until("the other one read everything", complete);
    let (mut met, mut stopped) = (0, 0);
    for mut runner in runners {
        if runner.is_running() {
            runner.signal(Signal::TERM);
            runner.end().ok().saying(&["comments: stopped: "]);
            stopped += 1;
        } else {
            runner
                .end()
                .with_code(1)
                .saying(&["another runner owns the pipeline \"comments\""]);
            met += 1;
        }
    }
    assert_eq!((met, stopped), (1, 1));
    work.table().assert_once(1..=rows);
}

#[test]
fn two_runners_that_end_by_themselves_leave_every_row_once() {
    let api = ScriptedApi::start(100);
    let work = Workspace::with(&Settings::of(&api).set("source.options.rows_per_batch", "4"));
    let available_now = ["run", "comments.toml", "--available-now"];
    let runners = [0; 3].map(|_| work.spawn(&available_now));
    let mut good = 0;
    for ended in runners.map(|runner| runner.end()) {
        match ended.code {
            Some(0) => good += 1,
            _ => drop(
                ended
                    .with_code(1)
                    .saying(&["another runner owns the pipeline \"comments\""]),
            ),
        }
    }
    assert!(good >= 1, "one of them had the way free");
    work.table().assert_once(1..=100);
}
