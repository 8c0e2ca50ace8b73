//! A newer version of a component takes over while the program runs: what it has to pass, what it has to prove, and what
//! a restart runs.

mod checks;
mod control;
mod probation;
mod restarts;
mod takeover;
mod watching;

use rustix::process::Signal;
use sandbar_harness::ScriptedApi;
use serde_json::Value;

use crate::support::{Ended, Running, Settings, WithVersions, Workspace};

/// A pipeline that looks for rows all the time, 5 a batch. A version on probation has to bring two micro-batches.
pub(crate) fn swapping(api: &ScriptedApi) -> Settings {
    Settings::of(api)
        .set("source.options.rows_per_batch", "5")
        .set("trigger.interval", "'20ms'")
        .set("swap.probation_batches", "2")
        .set("swap.probation_time", "'1h'")
}

/// Waits until the run has read all rows that the API has.
pub(crate) fn until_read(work: &Workspace, rows: u64) {
    work.until_report("comments", &format!("has read {rows} rows"), |report| {
        report["offset"]["current"] == rows
    });
}

/// Waits until a version reads, and has proven itself.
pub(crate) fn until_promoted(work: &Workspace, digest: &str) {
    work.until_report("comments", &format!("reads with {digest} for good"), |report| {
        report["component"]["digest"] == digest && report["probation"] == false
    });
}

/// Waits until the run went back from a version to another one.
pub(crate) fn until_rolled_back(work: &Workspace, from: &str, to: &str) {
    work.until_report("comments", &format!("went back from {from}"), |report| {
        let told = report["rolled_back"].as_str();
        told.is_some_and(|told| told.contains(from))
            && report["component"]["digest"] == to
            && report["probation"] == false
    });
}

/// Stops a run in good order.
pub(crate) fn stop(running: Running) -> Ended {
    running.signal(Signal::TERM);
    let ended = running.end();
    // What a component says when it panics is in the log.
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// The digest of the version that the program brings along.
fn builtin(work: &Workspace) -> String {
    let inspected = work.run(&["inspect", "comments", "--json"]).ok().json();
    inspected["digest"].as_str().unwrap().to_owned()
}

/// The notes of swaps in the table, oldest first, each with its micro-batch.
fn notes(work: &Workspace) -> Vec<(u64, Value)> {
    let batches = work.table().batches("comments").into_iter();
    let noted = batches.filter(|batch| !batch["swap"].is_null());
    noted
        .map(|batch| (batch["batch"].as_u64().unwrap(), batch["swap"].clone()))
        .collect()
}

/// The versions that read, in their order: runs of the same one count once.
pub(crate) fn lineage(work: &Workspace) -> Vec<String> {
    let mut readers = work.readers("comments");
    readers.dedup();
    readers
}
