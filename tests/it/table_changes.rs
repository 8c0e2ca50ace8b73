//! Somebody removes the table, puts another one in its place, turns it back or removes the checkpoint folder while a
//! pipeline runs.

use sandbar_harness::{ConditionalPut, Fault, S3Proxy, ScriptedApi};
use serde_json::json;

use crate::readers::{others_see, python, script};
use crate::support::s3_server::{S3Server, variables};
use crate::support::{Ended, Running, Settings, Workspace, until};

const RUN: [&str; 4] = ["run", "comments.toml", "--progress", "json"];
const AVAILABLE: [&str; 5] = ["run", "comments.toml", "--available-now", "--progress", "json"];
const PLACES: [&str; 2] = ["'table'", "'checkpoint'"];

fn interval(api: &ScriptedApi, progress: &str) -> Settings {
    Settings::of(api)
        .set("trigger.interval", "'20ms'")
        .set("sink.progress", progress)
}

/// The API grows, and the run ends with what it says of the table.
fn grows_and_fails(api: &ScriptedApi, running: Running, what: &str) -> Ended {
    api.add_rows(5);
    let ended = running.end().with_code(1);
    let said: String = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["lake/comments", what, "nothing was committed", "sandbar status"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    ended
}

#[test]
fn a_table_that_is_removed_under_an_interval_stays_removed() {
    for progress in PLACES {
        let api = ScriptedApi::start(25);
        let work = Workspace::with(&interval(&api, progress));
        let mut running = work.spawn(&RUN);
        running.until_rows(25);
        std::fs::remove_dir_all(work.path("lake/comments")).unwrap();
        let ended = grows_and_fails(&api, running, "was removed");
        assert_eq!(ended.batches(), [10, 10, 5]);
        assert!(!work.path("lake/comments").exists(), "brought to life again");
    }
}

#[test]
fn a_table_in_the_place_of_ours_gets_nothing_of_it_and_can_be_read() {
    for progress in PLACES {
        for rows in [5, 25, 45] {
            let (api, other) = (ScriptedApi::start(25), ScriptedApi::start(rows));
            let work = Workspace::with(&interval(&api, progress));
            // Fewer, as many, more versions than ours.
            work.add(&Settings::of(&other).named("others"));
            work.run_available("others").ok();
            let mut running = work.spawn(&RUN);
            running.until_rows(25);
            std::fs::remove_dir_all(work.path("lake/comments")).unwrap();
            std::fs::rename(work.path("lake/others"), work.path("lake/comments")).unwrap();
            let before = work.files_in("lake/comments");
            grows_and_fails(&api, running, "was replaced by another one");
            assert_eq!(work.files_in("lake/comments"), before);
            assert_eq!(work.table().ids(), (1..=rows as i32).collect::<Vec<_>>());
            others_see(&work, 1..=rows as i32);
        }
    }
}

#[test]
fn a_table_that_is_removed_while_what_is_available_is_read_stays_removed() {
    for progress in PLACES {
        let api = ScriptedApi::start(25);
        let work = Workspace::with(&Settings::of(&api).set("sink.progress", progress));
        // The second micro-batch waits for its last page.
        api.fault_when(|r| r.parameter("_start") == Some("15"), Fault::Hang, 1);
        let settings = Settings::of(&api)
            .set("sink.progress", progress)
            .set("source.limits.request_timeout", "'500ms'");
        work.add(&settings);
        let mut running = work.spawn(&AVAILABLE);
        running.until_rows(10);
        until("it waits for the API", || {
            api.requests().iter().any(|r| r.parameter("_start") == Some("15"))
        });
        std::fs::remove_dir_all(work.path("lake/comments")).unwrap();
        running.end().with_code(1).saying(&["was removed"]);
        assert!(!work.path("lake/comments").exists(), "brought to life again");
    }
}

/// delta-rs turns the table back; it can write only tables whose offset lies elsewhere.
#[test]
fn rows_that_another_program_turned_back_are_told_and_read_again() {
    let Some(python) = python() else { return };
    let api = ScriptedApi::start(30);
    let settings = interval(&api, "'checkpoint'");
    let work = Workspace::with(&settings);
    let table = work.path("lake/comments");
    let restore = || script(&python, "restore.py", &[table.to_str().unwrap(), "0"]);
    let mut running = work.spawn(&RUN);
    running.until_rows(30);
    restore();
    api.add_rows(5);
    let told = "batches 2 to 3 are no longer in it";
    let flat = |ended: &Ended| ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let ended = running.end().with_code(1);
    assert!(flat(&ended).contains(told), "{}", ended.stderr);
    let ended = work.run(&AVAILABLE).with_code(1);
    for part in [
        told,
        "--to-offset '{\"current\":10}'",
        "--to-offset '{\"current\":30}'",
        "RESTORE, version 3",
    ] {
        assert!(flat(&ended).contains(part), "{part}: {}", ended.stderr);
    }
    let status = work.run(&["status", "comments.toml", "--json"]).ok().json();
    assert!(status["rolled_back"].as_str().unwrap().contains(told), "{status}");
    let shown = work.run(&["status", "comments.toml"]).ok();
    assert!(
        shown.stdout.contains("a run would refuse to go on"),
        "{}",
        shown.stdout
    );
    let check = work.run(&["check", "comments.toml"]).with_code(1);
    assert!(check.stdout.contains("RESTORE"), "{}", check.stdout);

    work.run(&[
        "reset",
        "comments.toml",
        "--to-offset",
        "{\"current\":10}",
        "--yes",
    ])
    .ok();
    assert_eq!(work.run(&AVAILABLE).ok().batches(), [10, 10, 5]);
    others_see(&work, 1..=35);
    let status = work.run(&["status", "comments.toml", "--json"]).ok().json();
    assert!(status["rolled_back"].is_null(), "{status}");
}

/// Notes are advice, and an offset that was claimed before lies in the table's number.
#[test]
fn a_checkpoint_folder_that_is_replaced_during_a_run_loses_no_row() {
    for progress in PLACES {
        for with in ["nothing", "an empty folder", "an older copy", "a file"] {
            let api = ScriptedApi::start(10);
            let work = Workspace::with(&interval(&api, progress));
            let folder = work.path("lake/_checkpoints/comments");
            let mut running = work.spawn(&RUN);
            running.until_rows(10);
            let older = work.path("older");
            copy(&folder, &older);
            api.add_rows(15);
            running.until_rows(25);
            std::fs::remove_dir_all(&folder).unwrap();
            match with {
                "an empty folder" => std::fs::create_dir(&folder).unwrap(),
                "an older copy" => std::fs::rename(&older, &folder).unwrap(),
                "a file" => std::fs::write(&folder, "").unwrap(),
                _ => {}
            }
            api.add_rows(5);
            if with == "a file" && progress == "'checkpoint'" {
                let ended = running.end().with_code(1);
                assert!(ended.stderr.contains("_checkpoints/comments"), "{}", ended.stderr);
                std::fs::remove_file(&folder).unwrap();
                work.run(&[
                    "reset",
                    "comments.toml",
                    "--to-offset",
                    "{\"current\":25}",
                    "--yes",
                ])
                .ok();
                work.read_available();
                work.table().assert_once_allowing(1..=30, true);
                continue;
            }
            running.until_rows(30);
            running.signal(rustix::process::Signal::TERM);
            running.end().ok();
            work.table().assert_once_allowing(1..=30, true);
            if with == "a file" {
                std::fs::remove_file(&folder).unwrap();
            }
            api.add_rows(5);
            assert_eq!(work.read_available().batches(), [5], "{progress}, {with}");
            work.table().assert_once_allowing(1..=35, true);
        }
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for file in crate::support::files_below(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, to).unwrap();
    }
}

#[test]
fn on_s3_a_commit_costs_three_looks_at_single_files_and_a_removed_table_stays_removed() {
    let Some(server) = S3Server::start() else { return };
    let proxy = S3Proxy::start(&server.origin(), ConditionalPut::Kept);
    let api = ScriptedApi::start(50);
    let settings = interval(&api, "'table'").set("sink.table", "'s3://lake/comments'");
    let work = Workspace::with(&settings);
    let mut command = work.command(&RUN);
    command.envs(variables(&proxy.origin()));
    let mut running = Running::start(command);
    running.until_rows(50);
    let requests = proxy.requests();
    let log = |method: &str| {
        let kept = |version: usize| {
            let name = format!("/_delta_log/{version:020}.json");
            requests
                .iter()
                .filter(|r| r.method == method && r.path.ends_with(&name))
                .count()
        };
        (0..5).map(kept).collect::<Vec<_>>()
    };
    assert_eq!(log("PUT"), [1; 5]);
    // Once before and once after the next commit; the first one after each commit, being the oldest.
    assert_eq!(log("HEAD"), [6, 2, 2, 2, 0]);
    let versions = requests
        .iter()
        .filter(|r| r.method == "GET" && r.path.ends_with(".json"));
    assert_eq!(versions.count(), 0, "no entry of the log is read");

    server.python("s3.py", &["remove", "lake", "comments/"]);
    api.add_rows(5);
    let ended = running.end().with_code(1);
    let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["s3://lake/comments/ was removed", "nothing was committed"] {
        assert!(said.contains(part), "{said}");
    }
    let left = server.download("comments/", &work.path("left"));
    assert_eq!(left, [""; 0], "brought to life again");
    let mut command = work.command(&["status", "comments.toml", "--json"]);
    command.envs(variables(&server.origin()));
    let status = Running::start(command).end().ok().json();
    assert_eq!(status["table_version"], json!(null));
}
