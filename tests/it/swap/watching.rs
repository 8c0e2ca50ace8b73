use std::io::Write;

use sandbar_harness::ScriptedApi;
use sandbar_test_versions::{Change, Flaw, version};

use super::{lineage, notes, stop, swapping, until_promoted, until_read, until_rolled_back};
use crate::support::{Settings, WithVersions, Workspace, until};

fn watching(api: &ScriptedApi) -> Settings {
    swapping(api)
        .set("source.component", "'./c.wasm'")
        .set("source.watch", "true")
        .set("swap.watch_interval", "'25ms'")
}

#[test]
fn a_file_that_is_replaced_takes_over_and_one_that_failed_is_not_tried_again() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    work.add(&watching(&api));
    let first = work.version("c.wasm", &Change::salted("first"));
    let running = work.start("comments.toml");
    until_read(&work, 10);

    let second = work.version("c.wasm", &Change::salted("second"));
    api.add_rows(10);
    work.until_report("comments", "reads with the second", |report| {
        report["component"]["digest"] == second.as_str()
    });
    api.add_rows(10);
    until_promoted(&work, &second);
    until_read(&work, 30);

    let bad = work.version("c.wasm", &Change::flawed(Flaw::PanicFrom(0)));
    // Nothing to read is no failure: there must be something.
    work.until_report("comments", "reads with the bad one", |report| {
        report["component"]["digest"] == bad.as_str()
    });
    api.add_rows(5);
    until_rolled_back(&work, &bad, &second);
    until_read(&work, 35);
    let swaps = || work.status("comments")["swaps"].as_array().unwrap().len();
    assert_eq!(swaps(), 2);
    // Many looks later.
    for more in 1..=20 {
        api.add_rows(1);
        until_read(&work, 35 + more);
    }
    assert_eq!(swaps(), 2, "it is not tried again");

    let good = work.version("c.wasm", &Change::salted("good"));
    work.until_report("comments", "reads with the good one", |report| {
        report["component"]["digest"] == good.as_str()
    });
    api.add_rows(10);
    until_promoted(&work, &good);
    until_read(&work, 65);
    stop(running);
    work.table().assert_once(1..=65);
    // The bad one gave no row.
    assert_eq!(lineage(&work), [first, second, good]);
    let by: Vec<_> = notes(&work)
        .into_iter()
        .map(|(_, note)| note["by"].as_str().unwrap_or("itself").to_owned())
        .collect();
    assert_eq!(by, ["watch", "itself", "watch"]);
}

#[test]
fn a_file_that_is_written_slowly_is_taken_once_it_is_whole() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    work.add(&watching(&api));
    let first = work.version("c.wasm", &Change::salted("first"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    let bytes = version(&Change::salted("second"));
    let mut file = std::fs::File::create(work.path("c.wasm")).unwrap();
    file.write_all(&bytes[..bytes.len() / 2]).unwrap();
    until("half of it was looked at", || {
        running.told().contains("the new version can't be loaded")
    });
    let report = work.report("comments").unwrap();
    assert_eq!(report["component"]["digest"], first.as_str());
    file.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(file);
    work.until_report("comments", "reads with the second", |report| {
        report["component"]["digest"] != first.as_str()
    });
    api.add_rows(10);
    until_read(&work, 20);
    let told = stop(running).stderr;
    assert_eq!(
        told.matches("the new version can't be loaded").count(),
        1,
        "{told}"
    );
    work.table().assert_once(1..=20);
    assert_eq!(lineage(&work).len(), 2);
}

#[test]
fn what_someone_swapped_in_from_elsewhere_stays() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    work.add(&watching(&api));
    work.version("c.wasm", &Change::salted("first"));
    let other = work.version("other.wasm", &Change::salted("other"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "other.wasm"]).ok();
    api.add_rows(10);
    until_promoted(&work, &other);
    let newer = work.version("c.wasm", &Change::salted("newer"));
    for more in 1..=20 {
        api.add_rows(1);
        until_read(&work, 20 + more);
    }
    let report = work.report("comments").unwrap();
    assert_eq!(report["component"]["digest"], other.as_str());
    // Until it is told to follow the file again.
    work.swap(&["comments"]).ok();
    api.add_rows(10);
    until_promoted(&work, &newer);
    stop(running);
}
