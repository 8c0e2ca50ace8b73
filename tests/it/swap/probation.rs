use sandbar_harness::ScriptedApi;
use sandbar_test_versions::{Change, Flaw};

use super::{builtin, lineage, notes, stop, swapping, until_promoted, until_read, until_rolled_back};
use crate::support::{WithVersions, Workspace, until};

#[test]
fn what_fails_is_rolled_back_and_refused_until_it_is_told_otherwise() {
    for (flaw, says) in [
        (Flaw::PanicFrom(0), "it aborted"),
        (Flaw::Fail, "it can't read"),
        (Flaw::Back, "it goes back"),
        (Flaw::Stays, "offset"),
        (Flaw::Endless, "took longer than 1s"),
    ] {
        let api = ScriptedApi::start(10);
        let settings = swapping(&api)
            .set("source.limits.deadline", "'1s'")
            .set("retry.attempts", "1");
        let work = Workspace::with(&settings);
        let (good, digest) = (
            builtin(&work),
            work.version("bad.wasm", &Change::flawed(flaw.clone())),
        );
        let running = work.start("comments.toml");
        until_read(&work, 10);
        work.swap(&["comments", "bad.wasm"]).ok();
        api.add_rows(5);
        until_rolled_back(&work, &digest, &good);
        until_read(&work, 15);
        let told = work.report("comments").unwrap()["rolled_back"].to_string();
        assert!(told.contains(says), "{flaw:?}: {told}");

        let refused = work.swap(&["comments", "bad.wasm"]).with_code(1);
        refused.saying(&["the new version did not take over", "failed before: ", "--again"]);
        assert_eq!(work.status("comments")["swaps"].as_array().unwrap().len(), 1);
        work.swap(&["comments", "bad.wasm", "--again"]).ok();
        let swaps = || work.status("comments")["swaps"].as_array().unwrap().clone();
        assert_eq!(swaps().len(), 2, "{flaw:?}");
        api.add_rows(5);
        until("it failed again", || {
            swaps()
                .iter()
                .all(|swap| swap["outcome"]["state"] == "rolled-back")
        });
        until_read(&work, 20);
        let ended = stop(running);
        ended.saying(&["; rolled back from comments 2.0.0 (", &digest]);

        work.table().assert_once(1..=20);
        assert_eq!(lineage(&work), [good]);
        let notes = notes(&work);
        assert!(notes.len() == 2, "{flaw:?}: {notes:?}");
        for (_, note) in notes {
            assert_eq!(note["rolled_back"], true, "{note}");
            assert_eq!(note["from"]["digest"], digest.as_str(), "{note}");
            assert!(note["reason"].as_str().unwrap().contains(says), "{note}");
        }
        let status = work.status("comments");
        let refused = status["refused"].as_array().unwrap();
        assert_eq!(refused.len(), 1, "{status}");
        assert_eq!(refused[0]["component"]["digest"], digest.as_str());
        let text = work.run(&["status", "comments.toml", "--history"]).ok().stdout;
        for shown in [
            "refused; `sandbar swap --again` tries one once more",
            "rolled back: ",
            &digest,
        ] {
            assert!(text.contains(shown), "{shown} is not in {text}");
        }
    }
}

#[test]
fn a_failure_late_in_the_probation_counts_and_what_was_read_stays() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api).set("swap.probation_batches", "4"));
    let good = builtin(&work);
    let digest = work.version("late.wasm", &Change::flawed(Flaw::PanicFrom(20)));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "late.wasm"]).ok();
    api.add_rows(10);
    until_read(&work, 20);
    let report = work.report("comments").unwrap();
    assert_eq!(report["probation"], true, "{report}");
    api.add_rows(10);
    until_rolled_back(&work, &digest, &good);
    until_read(&work, 30);
    stop(running);
    work.table().assert_once(1..=30);
    assert_eq!(lineage(&work), [good.clone(), digest, good]);
    let notes = notes(&work);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0].1["rolled_back"], serde_json::Value::Null);
    assert_eq!(notes[1].1["rolled_back"], true);
}

#[test]
fn a_failure_after_the_probation_is_none_of_the_swap() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api).set("retry.attempts", "1"));
    let digest = work.version("later.wasm", &Change::flawed(Flaw::PanicFrom(20)));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "later.wasm"]).ok();
    api.add_rows(10);
    until_promoted(&work, &digest);
    api.add_rows(10);
    let ended = running.end().saying(&["it aborted"]);
    assert_eq!(ended.code, Some(1));
    work.table().assert_once(1..=20);
    assert!(work.status("comments")["refused"].is_null());
}

#[test]
fn probation_is_over_after_its_time_too() {
    let api = ScriptedApi::start(10);
    let settings = swapping(&api)
        .set("swap.probation_batches", "1000")
        .set("swap.probation_time", "'100ms'");
    let work = Workspace::with(&settings);
    let digest = work.version("new.wasm", &Change::salted("new"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "new.wasm"]).ok();
    until_promoted(&work, &digest);
    stop(running);
    assert_eq!(work.status("comments")["component"]["digest"], digest.as_str());
}

/// The one on probation is followed by none, and what was offered in vain changes nothing of what is known.
#[test]
fn a_second_swap_has_to_wait_and_changes_nothing() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    let good = builtin(&work);
    let bad = work.version("bad.wasm", &Change::flawed(Flaw::PanicFrom(0)));
    let next = work.version("next.wasm", &Change::salted("next"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    work.swap(&["comments", "bad.wasm"]).ok();
    let waits = work.swap(&["comments", "next.wasm"]).with_code(1);
    waits.saying(&["comments 2.0.0 took over and is still on probation"]);
    api.add_rows(5);
    until_rolled_back(&work, &bad, &good);
    until_read(&work, 15);

    let report = work.report("comments").unwrap();
    assert_eq!(report["reference"], "comments", "{report}");
    let refused = work.swap(&["comments", "bad.wasm"]).with_code(1);
    refused.saying(&["failed before"]);
    work.swap(&["comments", "next.wasm"]).ok();
    let kept = work.files_in("lake/_checkpoints/comments/components");
    assert_eq!(kept.len(), 2, "{kept:?}");
    for digest in [&good, &next] {
        let hex = digest.trim_start_matches("sha256:");
        let is_kept = kept.iter().any(|path| path.to_str().unwrap().contains(hex));
        assert!(is_kept, "{digest} is not in {kept:?}");
    }
    api.add_rows(10);
    until_promoted(&work, &next);
    stop(running);
    work.table().assert_once(1..=25);
}
