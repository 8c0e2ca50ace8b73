//! The table and the checkpoint location on S3: moto's server, which knows `If-None-Match`, and lesser stores that
//! are made of it.

use std::process::Command;

use sandbar_harness::{ConditionalPut, S3Proxy, ScriptedApi};
use serde_json::{Value, json};

use crate::support::s3_server::{S3Server, variables};
use crate::support::{Comment, Ended, Running, Settings, Table, Workspace};

const RUN: [&str; 5] = ["run", "comments.toml", "--available-now", "--progress", "json"];
const TABLE: &str = "'s3://lake/comments'";
const LOCATION: &str = "'s3://lake/_checkpoints/comments'";

fn command(work: &Workspace, origin: &str, arguments: &[&str]) -> Command {
    let mut command = work.command(arguments);
    command.envs(variables(origin));
    command
}

fn run(work: &Workspace, origin: &str, arguments: &[&str]) -> Ended {
    Running::start(command(work, origin, arguments)).end()
}

/// All that is written lies on S3.
fn settings(api: &ScriptedApi) -> Settings {
    Settings::of(api)
        .set("sink.table", TABLE)
        .set("checkpoint.location", LOCATION)
}

fn logged(api: &ScriptedApi) -> Settings {
    settings(api).set("sink.progress", "'checkpoint'")
}

fn entry(server: &S3Server, work: &Workspace, batch: u64) -> Value {
    let folder = work.path(&format!("entries-{batch}"));
    server.download("_checkpoints/comments/offsets/", &folder);
    serde_json::from_slice(&std::fs::read(folder.join(batch.to_string())).unwrap()).unwrap()
}

/// delta-rs, which shares no line with our writer, reads the table where it lies.
#[track_caller]
fn others_see(server: &S3Server, rows: i32) {
    let text = server.python("read.py", &["s3://lake/comments", "deltalake", "polars"]);
    let seen: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(
            (&seen["rows"], &seen["distinct_ids"]),
            (&json!(rows), &json!(rows)),
            "{seen}"
        );
        assert_eq!((&seen["min"], &seen["max"]), (&json!(1), &json!(rows)), "{seen}");
    }
}

#[test]
fn a_table_on_s3_is_created_grows_and_is_read_by_others() {
    let Some(server) = S3Server::start() else { return };
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&settings(&api));
    let check = run(&work, &server.origin(), &["check", "comments.toml"]).ok();
    let shown = format!("{}{}", check.stdout, check.stderr);
    assert!(
        shown.contains("s3://lake/comments will be created; carries the offset"),
        "{shown}"
    );
    assert!(
        shown.contains("s3://lake/_checkpoints/comments can be written"),
        "{shown}"
    );
    let left = server.download("", &work.path("all"));
    assert_eq!(left, [""; 0], "a check leaves nothing");

    assert_eq!(run(&work, &server.origin(), &RUN).ok().batches(), [10, 10, 5]);
    server.table().assert_once(1..=25);
    api.add_rows(7);
    assert_eq!(run(&work, &server.origin(), &RUN).ok().batches(), [7]);
    run(&work, &server.origin(), &RUN).ok().saying(&["nothing new"]);
    let table = server.table();
    table.assert_once(1..=32);
    assert_eq!(table.end("comments"), Some(json!({"current": 32})));
    others_see(&server, 32);
    let status = run(&work, &server.origin(), &["status", "comments.toml", "--json"]).ok();
    assert_eq!(status.json()["offset"], json!({"current": 32}));
}

#[test]
fn a_table_on_s3_whose_offsets_lie_in_a_checkpoint_location_on_s3() {
    let Some(server) = S3Server::start() else { return };
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&logged(&api));
    run(&work, &server.origin(), &RUN).ok();
    assert_eq!(entry(&server, &work, 3)["end"], json!({"current": 25}));
    api.add_rows(7);
    assert_eq!(run(&work, &server.origin(), &RUN).ok().batches(), [7]);
    let table = server.table();
    table.assert_once(1..=32);
    assert_eq!(table.end("comments"), None, "no domain metadata");
    assert_eq!(entry(&server, &work, 4)["end"], json!({"current": 32}));
    others_see(&server, 32);
}

#[test]
fn more_than_a_hundred_versions_on_s3_get_a_log_checkpoint_and_go_on() {
    let Some(server) = S3Server::start() else { return };
    let api = ScriptedApi::start(115);
    let work = Workspace::with(&settings(&api).set("source.options.rows_per_batch", "1"));
    assert_eq!(run(&work, &server.origin(), &RUN).ok().batches().len(), 115);
    let log = server.download("comments/_delta_log/", &work.path("log"));
    assert!(
        log.iter().any(|key| key.ends_with("/_last_checkpoint")),
        "{log:?}"
    );
    api.add_rows(2);
    assert_eq!(run(&work, &server.origin(), &RUN).ok().batches(), [1, 1]);
    server.table().assert_once(1..=117);
    others_see(&server, 117);
}

#[test]
fn killed_again_and_again_with_all_on_s3() {
    let Some(server) = S3Server::start() else { return };
    for (progress, skipped) in [("'table'", false), ("'checkpoint'", true)] {
        let api = ScriptedApi::start(90);
        let name = progress.trim_matches('\'');
        let work = Workspace::with(
            &settings(&api)
                .set("source.options.rows_per_batch", "3")
                .set("sink.progress", progress)
                .set("sink.table", &format!("'s3://lake/{name}/comments'"))
                .set("checkpoint.location", &format!("'s3://lake/{name}/notes'")),
        );
        let mut at_work = 0;
        for batches in [0, 1, 2, 1, 3, 1, 0, 2] {
            let mut running = Running::start(command(&work, &server.origin(), &RUN));
            running.until_batches(batches);
            at_work += u32::from(running.kill());
        }
        assert!(at_work >= 4, "{at_work} of 8 kills met the program at work");
        run(&work, &server.origin(), &RUN).ok();
        let folder = work.path("table");
        server.download(&format!("{name}/comments/"), &folder);
        Table::read(&folder).assert_once_allowing(1..=90, skipped);
    }
}

#[test]
fn of_several_runners_on_s3_one_goes_on_and_the_others_are_told() {
    let Some(server) = S3Server::start() else { return };
    // moto looks and writes in two steps, so that two writers at once can both be right.
    let proxy = S3Proxy::start(&server.origin(), ConditionalPut::Kept);
    for settings in [settings as fn(&ScriptedApi) -> Settings, logged] {
        let api = ScriptedApi::start(100);
        let table = format!("s3://lake/{}", settings(&api).to_toml().len());
        let settings = settings(&api)
            .set("source.options.rows_per_batch", "4")
            .set("sink.table", &format!("'{table}/comments'"))
            .set("checkpoint.location", &format!("'{table}/notes'"));
        let work = Workspace::with(&settings);
        let runners = [0; 3].map(|_| Running::start(command(&work, &proxy.origin(), &RUN)));
        let (mut good, mut told) = (0, 0);
        for ended in runners.map(Running::end) {
            if ended.code == Some(0) {
                good += 1;
                continue;
            }
            let other = "another runner owns the pipeline \"comments\"";
            ended.with_code(1).saying(&[other]);
            told += 1;
        }
        assert!(good >= 1 && told >= 1, "{good} went on, {told} were told");
        let folder = work.path("table");
        server.download(
            &format!("{}/comments/", table.trim_start_matches("s3://lake/")),
            &folder,
        );
        Table::read(&folder).assert_once_allowing(1..=100, true);
    }
}

#[test]
fn a_store_that_does_not_keep_two_writers_apart_is_refused_until_there_is_one_writer() {
    let Some(server) = S3Server::start() else { return };
    for (number, kind, reason) in [
        (1, ConditionalPut::Ignored, "it wrote one name twice"),
        (
            2,
            ConditionalPut::NotImplemented,
            "it says that it does not implement it",
        ),
    ] {
        let proxy = S3Proxy::start(&server.origin(), kind);
        let api = ScriptedApi::start(25);
        let table = format!("'s3://lake/{number}/comments'");
        let settings = logged(&api)
            .set("sink.table", &table)
            .set("checkpoint.location", &format!("'s3://lake/{number}/notes'"));
        let work = Workspace::with(&settings);
        let told = [
            &format!("s3://lake/{number}/comments (at {})", proxy.origin()),
            "no conditional put (If-None-Match: *)",
            reason,
            "set single_writer = true in [sink]",
        ];
        for arguments in [
            &RUN[..],
            &[
                "reset",
                "comments.toml",
                "--to-offset",
                "{\"current\":5}",
                "--yes",
            ],
        ] {
            // Lines are broken where they are shown.
            let ended = run(&work, &proxy.origin(), arguments).with_code(2);
            let flat = flat(&ended.stderr);
            for text in told {
                assert!(flat.contains(&text.replace(' ', "")), "{text}: {}", ended.stderr);
            }
        }
        let check = run(&work, &proxy.origin(), &["check", "comments.toml"]).with_code(1);
        assert!(flat(&check.stdout).contains("single_writer"), "{}", check.stdout);
        assert!(api.requests().len() < 5, "no row was read");
        let left = server.download(&format!("{number}/"), &work.path("left"));
        assert_eq!(left, [""; 0], "nothing was written that stays");

        work.add(&settings.set("sink.single_writer", "true"));
        run(&work, &proxy.origin(), &["check", "comments.toml"]).ok();
        assert_eq!(run(&work, &proxy.origin(), &RUN).ok().batches(), [10, 10, 5]);
        api.add_rows(7);
        assert_eq!(run(&work, &proxy.origin(), &RUN).ok().batches(), [7]);
        let folder = work.path("table");
        server.download(&format!("{number}/comments/"), &folder);
        Table::read(&folder).assert_once(1..=32);
    }
}

/// Without the frame and the line ends that an error has on a terminal.
fn flat(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !"│×╰─▶|".contains(*c))
        .collect()
}

#[test]
fn with_one_writer_a_restart_still_never_writes_over_a_version() {
    let Some(server) = S3Server::start() else { return };
    let proxy = S3Proxy::start(&server.origin(), ConditionalPut::Ignored);
    let api = ScriptedApi::start(60);
    let settings = settings(&api)
        .set("source.options.rows_per_batch", "3")
        .set("sink.single_writer", "true");
    let work = Workspace::with(&settings);
    for batches in [1, 2, 1] {
        let mut running = Running::start(command(&work, &proxy.origin(), &RUN));
        running.until_batches(batches);
        running.kill();
    }
    run(&work, &proxy.origin(), &RUN).ok();
    server.table().assert_once(1..=60);
}

#[test]
fn only_who_needs_it_is_asked_and_it_takes_three_requests() {
    let Some(server) = S3Server::start() else { return };
    let api = ScriptedApi::start(5);
    let asked = |proxy: &S3Proxy| {
        let requests = proxy.requests();
        let probes = requests.iter().filter(|r| r.path.contains("/_sandbar/probe-"));
        let removals = requests
            .iter()
            .filter(|r| r.method == "POST" && r.query.starts_with("delete"));
        (probes.filter(|r| r.method == "PUT").count(), removals.count())
    };

    // The table is asked about; the checkpoint location only where offsets lie in it.
    let work = Workspace::with(&settings(&api));
    let proxy = S3Proxy::start(&server.origin(), ConditionalPut::Kept);
    run(&work, &proxy.origin(), &RUN).ok();
    assert_eq!(asked(&proxy), (2, 1));

    // A store that is good enough for notes.
    let other = Settings::of(&api).set("checkpoint.location", "'s3://lake/other/comments'");
    let work = Workspace::with(&other);
    let proxy = S3Proxy::start(&server.origin(), ConditionalPut::Ignored);
    run(&work, &proxy.origin(), &RUN).ok();
    assert_eq!(asked(&proxy), (0, 0));
    work.table().assert_once(1..=5);

    // But not for offsets.
    let logged = other
        .set("checkpoint.location", "'s3://lake/third/comments'")
        .set("sink.progress", "'checkpoint'");
    let work = Workspace::with(&logged);
    let ended = run(&work, &proxy.origin(), &RUN).with_code(2);
    assert!(
        flat(&ended.stderr).contains("s3://lake/third/comments(at"),
        "{}",
        ended.stderr
    );
    assert_eq!(asked(&proxy), (2, 1));
    work.add(&logged.set("sink.single_writer", "true"));
    run(&work, &proxy.origin(), &RUN).ok();
    work.table().assert_once(1..=5);
}

#[test]
fn an_address_that_no_store_has_is_a_mistake_in_the_file() {
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&settings(&api).set("sink.table", "'s4://lake/comments'"));
    let ended = run(&work, "http://127.0.0.1:1", &RUN).with_code(2);
    assert!(
        flat(&ended.stderr).contains("s4://lake/comments"),
        "{}",
        ended.stderr
    );
}

#[test]
fn variables_that_only_look_like_a_stores_settings_are_left_alone() {
    let Some(server) = S3Server::start() else { return };
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&settings(&api));
    let mut command = command(&work, &server.origin(), &RUN);
    for (name, value) in [
        ("BUCKET", "elsewhere"),
        ("ENDPOINT", "http://127.0.0.1:1"),
        ("REGION", "nowhere"),
        ("CONDITIONAL_PUT", "disabled"),
    ] {
        command.env(name, value);
    }
    Running::start(command).end().ok();
    assert_eq!(
        server.table().rows(),
        (1..=5).map(Comment::served).collect::<Vec<_>>()
    );
}
