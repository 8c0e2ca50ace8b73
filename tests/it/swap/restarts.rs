use sandbar_harness::ScriptedApi;
use sandbar_test_versions::{Change, Flaw};
use serde_json::Value;

use super::{builtin, lineage, stop, swapping, until_promoted, until_read};
use crate::support::{Running, Settings, WithVersions, Workspace};

/// A pipeline whose probation does not end by itself.
fn long_probation(api: &ScriptedApi) -> Settings {
    swapping(api).set("swap.probation_batches", "1000")
}

/// One that read 10 rows with the version that the program brings along, and 10 with a new one that is on probation.
fn on_probation(settings: &Settings, api: &ScriptedApi) -> (Workspace, Running, String) {
    let work = Workspace::with(settings);
    let digest = work.version("new.wasm", &Change::salted("new"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "new.wasm"]).ok();
    api.add_rows(10);
    until_read(&work, 20);
    (work, running, digest)
}

fn reads_with(work: &Workspace, digest: &str) {
    work.until_report("comments", &format!("reads with {digest}"), |report| {
        report["component"]["digest"] == digest && report["state"] == "running"
    });
}

fn outcome(work: &Workspace) -> Value {
    let status = work.status("comments");
    let swaps = status["swaps"].as_array().unwrap();
    swaps.last().unwrap()["outcome"]["state"].clone()
}

#[test]
fn killed_on_probation_the_version_before_reads_on_and_the_new_one_is_refused() {
    let api = ScriptedApi::start(10);
    let (work, running, digest) = on_probation(&long_probation(&api), &api);
    let good = builtin(&work);
    let status = work.status("comments");
    assert_eq!(
        status["probation"]["version"]["component"]["digest"],
        digest.as_str()
    );
    assert_eq!(
        status["component"]["digest"],
        good.as_str(),
        "what a start would run"
    );
    assert!(running.kill());

    let running = work.start("comments.toml");
    reads_with(&work, &good);
    api.add_rows(10);
    until_read(&work, 30);
    let refused = work.swap(&["comments", "new.wasm"]).with_code(1);
    refused.saying(&["failed before: the process ended suddenly while this version was on probation"]);
    let ended = stop(running);
    ended.saying(&["a version was on probation when the process ended", &digest]);
    assert_eq!(outcome(&work), "interrupted");
    let status = work.status("comments");
    assert_eq!(status["refused"][0]["component"]["digest"], digest.as_str());
    assert!(status["probation"].is_null(), "{status}");

    // It is said once, and refused for good.
    let running = work.start("comments.toml");
    reads_with(&work, &good);
    let ended = stop(running);
    assert!(!ended.stderr.contains("on probation"), "{}", ended.stderr);
    work.table().assert_once(1..=30);
    assert_eq!(lineage(&work), [good.clone(), digest, good]);
}

#[test]
fn stopped_on_probation_the_version_before_reads_on_and_the_new_one_may_come_again() {
    let api = ScriptedApi::start(10);
    let (work, running, digest) = on_probation(&long_probation(&api), &api);
    let good = builtin(&work);
    stop(running);
    assert_eq!(outcome(&work), "interrupted");
    assert!(work.status("comments")["refused"].is_null());

    work.add(&swapping(&api));
    let running = work.start("comments.toml");
    reads_with(&work, &good);
    api.add_rows(10);
    until_read(&work, 30);
    work.swap(&["comments", "new.wasm"]).ok();
    api.add_rows(10);
    until_promoted(&work, &digest);
    until_read(&work, 40);
    stop(running);
    work.table().assert_once(1..=40);
    assert_eq!(lineage(&work), [good.clone(), digest.clone(), good, digest]);
}

#[test]
fn a_pause_ends_the_probation_as_a_stop_does() {
    let api = ScriptedApi::start(10);
    let (work, running, digest) = on_probation(&long_probation(&api), &api);
    let good = builtin(&work);
    work.run(&["pause", "comments"]).ok();
    assert_eq!(outcome(&work), "interrupted");
    work.run(&["resume", "comments"]).ok();
    reads_with(&work, &good);
    api.add_rows(10);
    until_read(&work, 30);
    stop(running);
    assert_eq!(lineage(&work), [good.clone(), digest, good]);
    work.table().assert_once(1..=30);
}

#[test]
fn a_promoted_version_reads_on_after_a_restart_wherever_its_file_is() {
    let api = ScriptedApi::start(10);
    let (work, running, digest) = on_probation(&swapping(&api), &api);
    let good = builtin(&work);
    until_promoted(&work, &digest);
    assert!(running.kill(), "a promoted version is safe from that");
    let status = work.status("comments");
    assert_eq!(status["component"]["digest"], digest.as_str());
    let text = work.run(&["status", "comments.toml"]).ok().stdout;
    assert!(text.contains(&digest), "{text}");

    // Replaced by one that would fail, by no component, and gone.
    let broken = sandbar_test_versions::version(&Change::flawed(Flaw::PanicFrom(0)));
    let mut rows = 20;
    for bytes in [Some(&broken[..]), Some(b"no component"), None] {
        match bytes {
            Some(bytes) => _ = work.component("new.wasm", bytes),
            None => std::fs::remove_file(work.path("new.wasm")).unwrap(),
        }
        api.add_rows(10);
        rows += 10;
        let running = work.start("comments.toml");
        reads_with(&work, &digest);
        until_read(&work, rows);
        stop(running);
        api.add_rows(10);
        rows += 10;
        work.read_available();
    }
    work.table().assert_once(1..=i32::try_from(rows).unwrap());
    assert_eq!(lineage(&work), [good, digest]);
}

#[test]
fn a_file_that_names_another_component_since_wins() {
    let api = ScriptedApi::start(10);
    let (work, running, digest) = on_probation(&swapping(&api), &api);
    until_promoted(&work, &digest);
    stop(running);
    let third = work.version("third.wasm", &Change::salted("third"));
    work.add(&swapping(&api).set("source.component", "'third.wasm'"));
    api.add_rows(10);
    work.read_available();
    work.table().assert_once(1..=30);
    assert_eq!(lineage(&work), [builtin(&work), digest, third]);
}

#[test]
fn a_copy_that_was_damaged_is_not_believed() {
    let api = ScriptedApi::start(10);
    let (work, running, digest) = on_probation(&swapping(&api), &api);
    until_promoted(&work, &digest);
    stop(running);
    let hex = digest.trim_start_matches("sha256:");
    let copies = work.files_in("lake/_checkpoints/comments/components");
    let copy = copies
        .iter()
        .find(|path| path.to_str().unwrap().contains(hex))
        .unwrap();
    std::fs::write(copy, sandbar_test_versions::version(&Change::salted("another"))).unwrap();
    api.add_rows(10);
    // The file that it came from still has it.
    work.read_available();
    assert_eq!(lineage(&work), [builtin(&work), digest.clone()]);
    work.version("new.wasm", &Change::salted("a third"));
    let lost = work.run_available("comments").with_code(1);
    lost.saying(&["new.wasm", &digest]);
    work.table().assert_once(1..=30);
}

#[test]
fn a_pinned_digest_allows_what_failed_before() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    let good = work.version("c.wasm", &Change::salted("good"));
    let settings = long_probation(&api).set("source.component", "'c.wasm'");
    work.add(&settings);
    let running = work.start("comments.toml");
    until_read(&work, 10);
    let bad = work.version("c.wasm", &Change::flawed(Flaw::PanicFrom(20)));
    work.swap(&["comments"]).ok();
    api.add_rows(15);
    super::until_rolled_back(&work, &bad, &good);
    until_read(&work, 25);
    stop(running);

    // The file still leads to the one that failed.
    api.add_rows(5);
    let ran = work.read_available();
    ran.saying(&["failed before", &bad]);
    assert_eq!(work.readers("comments").last(), Some(&good));
    work.add(&settings.set("source.digest", &format!("'{bad}'")));
    api.add_rows(5);
    let ended = work.run_available("comments").saying(&["it aborted"]);
    assert_eq!(ended.code, Some(1));
    work.table().assert_once(1..=30);
}
