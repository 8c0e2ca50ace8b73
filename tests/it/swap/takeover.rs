use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sandbar_harness::{Fault, ScriptedApi};
use sandbar_test_versions::{Change, Flaw};
use serde_json::json;

use super::{builtin, lineage, notes, stop, swapping, until_promoted, until_read, until_rolled_back};
use crate::support::{WithVersions, Workspace};

#[test]
fn versions_that_take_over_under_load_bring_every_row_once_and_the_history_shows_them() {
    let api = ScriptedApi::start(30);
    let work = Workspace::with(&swapping(&api).set("source.options.rows_per_batch", "3"));
    let first = builtin(&work);
    let second = work.released("released.wasm");
    let third = work.version("third.wasm", &Change::salted("third"));
    let mut running = work.start("comments.toml");
    running.until_rows(6);
    let (rows, done) = (AtomicU64::new(30), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                api.add_rows(2);
                rows.fetch_add(2, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let told = work
            .swap(&["comments", "./released.wasm", "--reason", "it is faster"])
            .ok();
        told.saying(&["comments 0.1.0 took over from 0.1.0 after batch ", &second]);
        until_promoted(&work, &second);
        let told = work.swap(&["comments.toml", "third.wasm", "--json"]).ok().json();
        assert_eq!(told["from"]["digest"], second.as_str());
        assert_eq!(told["to"]["digest"], third.as_str());
        until_promoted(&work, &third);
        done.store(true, Ordering::Relaxed);
    });
    let rows = rows.into_inner();
    until_read(&work, rows);
    stop(running);

    let table = work.table();
    table.assert_once(1..=i32::try_from(rows).unwrap());
    assert_eq!(lineage(&work), [first.clone(), second.clone(), third.clone()]);
    let notes = notes(&work);
    assert_eq!(notes.len(), 2, "{notes:?}");
    let (_, note) = &notes[0];
    assert_eq!(note["from"]["digest"], first.as_str());
    assert_eq!(note["reason"], "it is faster");
    let by = note["by"].as_str().unwrap();
    assert!(by.starts_with("tester (uid "), "{by}");
    assert_eq!(notes[1].1["from"]["digest"], second.as_str());

    let status = work.status("comments");
    let swaps = status["swaps"].as_array().unwrap();
    assert_eq!(swaps.len(), 2, "{status}");
    for (swap, (batch, _)) in swaps.iter().zip(&notes) {
        assert_eq!(swap["outcome"]["state"], "promoted", "{swap}");
        assert_eq!(swap["after_batch"], batch - 1, "{swap}");
    }
    let text = work.run(&["status", "comments.toml", "--history"]).ok().stdout;
    for shown in [
        &*first,
        &second,
        &third,
        "swapped from 0.1.0 by tester (uid ",
        ": it is faster\n",
        "comments 0.1.0 -> 2.0.0, after batch ",
        "promoted",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
}

#[test]
fn a_version_in_another_language_takes_over() {
    let api = ScriptedApi::start(30);
    let work = Workspace::with(&swapping(&api));
    let kept = "tests/data/0.1.0/components/comments-javascript.wasm";
    let kept = std::fs::read(crate::support::repository().join(kept)).unwrap();
    let digest = work.component("js.wasm", &kept);
    let running = work.start("comments.toml");
    until_read(&work, 30);
    work.swap(&["comments", "js.wasm"]).ok();
    api.add_rows(20);
    until_promoted(&work, &digest);
    until_read(&work, 50);
    stop(running);
    work.table().assert_once(1..=50);
    assert_eq!(lineage(&work), [builtin(&work), digest]);
}

#[test]
fn a_version_can_take_over_before_the_first_row() {
    let api = ScriptedApi::start(0);
    let work = Workspace::with(&swapping(&api));
    let digest = work.version("new.wasm", &Change::salted("new"));
    let running = work.start("comments.toml");
    until_read(&work, 0);
    let told = work.swap(&["comments", "new.wasm"]).ok();
    told.saying(&["after batch 0"]);
    api.add_rows(20);
    until_promoted(&work, &digest);
    until_read(&work, 20);
    stop(running);
    work.table().assert_once(1..=20);
    assert_eq!(lineage(&work), [digest]);
}

#[test]
fn the_version_that_reads_already_is_told_so() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    let digest = work.version("new.wasm", &Change::salted("new"));
    std::fs::copy(work.path("new.wasm"), work.path("same.wasm")).unwrap();
    let running = work.start("comments.toml");
    until_read(&work, 10);
    let said = work.swap(&["comments"]).ok();
    said.saying(&["comments: reads with that version already (", &builtin(&work)]);
    work.swap(&["comments", "new.wasm"]).ok();
    api.add_rows(10);
    until_promoted(&work, &digest);
    let same = work.swap(&["comments", "same.wasm", "--json"]).ok().json();
    assert_eq!(same, json!({"unchanged": digest}));
    stop(running);
    assert_eq!(work.status("comments")["swaps"].as_array().unwrap().len(), 1);
}

#[test]
fn tokens_and_connections_are_kept_over_a_swap() {
    let (api, tokens) = (ScriptedApi::start(10), ScriptedApi::start(0));
    let token = Fault::Status {
        code: 200,
        headers: vec![],
        body: "{\"access_token\": \"of-both-versions\", \"expires_in\": 3600}".into(),
    };
    tokens.fault_when(|_| true, token, usize::MAX);
    let credential = format!(
        "[[source.credentials]]\norigin = '{}'\noauth2 = {{ token_url = '{}/token', client_id = 'me', client_secret = \
         '${{file:secret}}' }}",
        api.origin(),
        tokens.origin()
    );
    let work = Workspace::with(&swapping(&api).and(&credential));
    work.write("secret", "s3cret-of-mine");
    let digest = work.version("new.wasm", &Change::salted("new"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "new.wasm"]).ok();
    api.add_rows(20);
    until_promoted(&work, &digest);
    until_read(&work, 30);
    stop(running);
    assert_eq!(tokens.requests().len(), 1, "the token of the version before");
    let authorized = |request: &sandbar_harness::RecordedRequest| {
        request.header("authorization") == Some("Bearer of-both-versions")
    };
    assert!(api.requests().iter().all(authorized));
    work.table().assert_once(1..=30);
}

#[test]
fn a_column_more_stays_for_versions_after_it() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api).set("sink.evolve", "true"));
    let columns = "id int, name string, email string, body string, more string";
    let wide = work.version("wide.wasm", &Change::with_columns(columns));
    let narrow = work.version("narrow.wasm", &Change::salted("narrow"));
    let broken = Change {
        flaw: Some(Flaw::PanicFrom(0)),
        ..Change::with_columns(&format!("{columns}, most string"))
    };
    let wider = work.version("wider.wasm", &broken);
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "wide.wasm"]).ok();
    api.add_rows(20);
    until_promoted(&work, &wide);
    until_read(&work, 30);
    let refused = work.swap(&["comments", "narrow.wasm"]).with_code(1);
    refused.saying(&[
        "the rows of the new version do not fit",
        "it has no column \"more\" any more",
    ]);
    // One that takes a column more and fails leaves the column, and the version before goes on.
    work.swap(&["comments", "wider.wasm"]).ok();
    api.add_rows(10);
    until_rolled_back(&work, &wider, &wide);
    until_read(&work, 40);
    stop(running);
    work.table().assert_once(1..=40);
    assert!(!lineage(&work).contains(&narrow));
    let schemas = work.table().actions("metaData").len();
    assert!(schemas >= 2, "{schemas}");
}
