//! The commands beside `run` and the demo.

use sandbar_harness::{Fault, ScriptedApi};
use serde_json::{Value, json};

use crate::support::{Settings, Workspace};

#[test]
fn check_finds_nothing_wrong_and_touches_no_table() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    let before = work.files();
    let text = work.run(&["check", "comments.toml"]).ok().stdout;
    for name in [
        "file",
        "component",
        "options",
        "grants",
        "stream",
        "schema",
        "remote",
        "table",
        "checkpoint",
        "start",
    ] {
        assert!(
            text.lines()
                .any(|line| line.starts_with(&format!("  ok  {name} "))),
            "{name} in {text}"
        );
    }
    let report = work.run(&["check", "comments.toml", "--json"]).ok().json();
    assert_eq!(report["pipeline"], "comments");
    let checks = report["checks"].as_array().unwrap();
    assert!(
        checks.len() == 10 && checks.iter().all(|check| check["result"] == "ok"),
        "{report}"
    );
    assert_eq!(work.files(), before);

    work.read_available();
    let text = work.run(&["check", "comments.toml"]).ok().stdout;
    assert!(
        text.contains("at version 2 takes these rows; carries the offset"),
        "{text}"
    );
}

#[test]
fn check_tells_what_is_wrong_and_fails() {
    let api = ScriptedApi::start(25);
    api.fault_when(|_| true, Fault::status(401), usize::MAX);
    let work = Workspace::with(&Settings::of(&api));
    let check = |name: &str| {
        let report = work
            .run(&["check", "comments.toml", "--json"])
            .with_code(1)
            .json();
        let failed = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["result"] != "ok");
        let failed: Vec<_> = failed
            .map(|check| check["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(failed, [name], "{report}");
    };
    check("remote");

    let api = ScriptedApi::start(25);
    work.add(&Settings::of(&api));
    work.read_available();
    work.add(&Settings::of(&api).set("sink.partition_by", "['email']"));
    check("table");
}

#[test]
fn inspect_shows_what_a_component_can_reach() {
    let work = Workspace::new();
    let report = work.run(&["inspect", "comments", "--json"]).ok().json();
    assert_eq!(
        (&report["name"], &report["track"]),
        (&json!("comments"), &json!("sandbar:connector@0.1"))
    );
    assert_eq!(
        report["streams"],
        json!([{
            "name": "comments", "summary": "One row per comment, in the order of the API", "key": ["id"],
        }])
    );
    assert_eq!(report["options_schema"]["required"], json!(["api_url"]));
    assert!(report["size"].as_u64() > Some(10_000));
    let imports: Vec<_> = report["imports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|import| import["name"].as_str().unwrap())
        .collect();
    assert!(
        imports
            .iter()
            .any(|name| name.starts_with("sandbar:connector/http")),
        "{imports:?}"
    );
    for never in ["wasi:filesystem", "wasi:sockets"] {
        assert!(
            !imports.iter().any(|name| name.starts_with(never)),
            "{never} in {imports:?}"
        );
    }

    let text = work.run(&["inspect", "comments"]).ok().stdout;
    for shown in [
        report["digest"].as_str().unwrap(),
        "api_url ",
        "rows_per_batch ",
        "HTTP requests to granted origins",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
}

#[test]
fn preview_prints_rows_in_each_format_and_writes_nothing() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    // The progress note of a pipeline that is under way does not matter to it.
    work.write(
        "lake/_checkpoints/comments/source/progress.json",
        r#"{"current": 20}"#,
    );
    let before = work.files();
    let preview = |format: &str| {
        let run = work
            .run(&["preview", "comments.toml", "--rows", "12", "--format", format])
            .ok();
        assert_eq!(run.stderr, "");
        run
    };
    let rows = preview("json").lines();
    assert_eq!(rows.len(), 12);
    assert_eq!(
        rows[11],
        json!({
            "id": 12, "name": "name 12", "email": "user12@example.com", "body": "first line of 12\nsecond line",
        })
    );
    let csv = preview("csv").stdout;
    assert!(
        csv.starts_with("id,name,email,body\n1,name 1,user1@example.com,\"first line of 1\nsecond line\"\n"),
        "{csv}"
    );
    let table = preview("table").stdout;
    assert!(table.contains("| id | name    | email              |"), "{table}");
    assert!(table.contains("| 12 | name 12 | user12@example.com |"), "{table}");
    assert!(!table.contains("name 13"), "{table}");
    assert_eq!(work.files(), before);
}

#[test]
fn status_tells_where_a_pipeline_stands() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    let status = || work.run(&["status", "comments.toml", "--json"]).ok().json();
    let new = status();
    assert_eq!(new["pipeline"], "comments");
    assert_eq!(new["batch"], 0);
    assert_eq!(
        (&new["table_version"], &new["offset"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(new["latest"], json!({"current": 25}));

    work.read_available();
    api.add_rows(7);
    let behind = status();
    assert_eq!(
        (&behind["table_version"], &behind["batch"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(
        (&behind["offset"], &behind["latest"]),
        (&json!({"current": 25}), &json!({"current": 32}))
    );
    assert_eq!(
        (&behind["lag"], &behind["latest_error"]),
        (&json!(7), &Value::Null)
    );
    let batches = behind["batches"].as_array().unwrap();
    let listed: Vec<_> = batches
        .iter()
        .map(|b| (b["batch"].as_u64().unwrap(), b["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!(listed, [(3, 5), (2, 10), (1, 10)]);
    assert_eq!(batches[0]["component"], behind["component"]);

    // A silent source is part of the status, not an error.
    drop(api);
    let silent = status();
    assert_eq!(
        (&silent["latest"], &silent["offset"]),
        (&Value::Null, &json!({"current": 25}))
    );
    assert!(
        silent["latest_error"]
            .as_str()
            .unwrap()
            .contains("connection refused"),
        "{silent}"
    );
    let text = work.run(&["status", "comments.toml"]).ok().stdout;
    assert!(
        text.contains("  last batch  3\n") && text.contains("not known: "),
        "{text}"
    );
}

#[test]
fn reset_sets_where_the_next_micro_batch_starts() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    let before = work.files();
    let asked = ["reset", "comments.toml", "--to-offset", "{\"current\": 20}"];
    work.run(&asked)
        .with_code(2)
        .saying(&["there is nobody to ask", "--yes"]);
    assert_eq!(work.files(), before, "nothing happens without a yes");

    let said = work.run(&[&asked[..], &["--yes"]].concat()).ok();
    said.saying(&["comments: batch 4 has no rows and ends at {\"current\":20}, table version 3"]);
    assert_eq!(work.table().end("comments"), Some(json!({"current": 20})));
    let lines = work.read_available().lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["start"], &lines[0]["rows"]),
        (&json!({"current": 20}), &json!(5))
    );
    // Rows that come again because someone wanted it are there again.
    let ids: Vec<_> = (1..=20).chain((21..=25).flat_map(|id| [id, id])).collect();
    assert_eq!(work.table().ids(), ids);
}

#[test]
fn reset_before_the_first_run_leaves_out_what_lies_before() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.run(&[
        "reset",
        "comments.toml",
        "--to-offset",
        "{\"current\": 20}",
        "--yes",
    ])
    .ok();
    assert_eq!(work.read_available().batches(), [5]);
    assert_eq!(work.table().ids(), (21..=25).collect::<Vec<_>>());
}

#[test]
fn status_creates_nothing() {
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&Settings::of(&api));
    let status = work.run(&["status", "comments.toml", "--json"]).ok().json();
    assert_eq!(status["latest"], json!({"current": 5}), "{status}");
    assert!(!work.path("lake").exists(), "{:?}", work.files());
}
