//! What can't work, which exit status it ends with, and what a user is told: 2 for the command line, the file and
//! its options, 1 for a run that failed.

use std::net::TcpListener;

use sandbar_harness::ScriptedApi;

use crate::support::{Settings, Workspace};

#[test]
fn a_wrong_command_line_ends_with_2() {
    let work = Workspace::new();
    for arguments in [
        &["frobnicate"][..],
        &["run"],
        &["run", "x.toml", "--progress", "loud"],
        &["demo", "--rows", "0"],
    ] {
        let ended = work.run(arguments).with_code(2);
        assert!(
            ended.stderr.contains("error: ") || ended.stderr.contains("Usage: "),
            "{}",
            ended.stderr
        );
    }
    work.run(&["--help"]).ok();
    let version = work.run(&["--version"]).ok().stdout;
    let wasmtime = format!("(wasmtime {})", sandbar_sandbox::WASMTIME_VERSION);
    assert!(version.contains(&wasmtime), "{version}");
}

#[test]
fn a_file_that_is_not_there_or_not_toml_ends_with_2() {
    let work = Workspace::new();
    work.write("broken.toml", "name = \"comments\n");
    for command in ["run", "check", "preview", "status"] {
        work.run(&[command, "absent.toml"])
            .with_code(2)
            .saying(&["absent.toml", "No such file"]);
        work.run(&[command, "broken.toml"])
            .with_code(2)
            .saying(&["not TOML", "broken.toml:1:"]);
    }
    let api = ScriptedApi::start(5);
    work.add(&Settings::of(&api));
    work.run(&["run", "comments.toml", "broken.toml", "--available-now"])
        .with_code(2);
    assert!(
        api.requests().is_empty(),
        "all files are checked before the first row is read"
    );
    let twice = work.run(&["run", "comments.toml", "comments.toml"]).with_code(2);
    twice.saying(&["two of the files name the pipeline \"comments\""]);
}

#[test]
fn a_wrong_key_or_value_is_shown_at_its_line() {
    let api = ScriptedApi::start(5);
    let good = Settings::of(&api);
    let cases = [
        ("sink.tabel", "'x'", "tabel", "did you mean `table`?"),
        (
            "trigger.interval",
            "'10 parsecs'",
            "interval",
            "is not a duration",
        ),
        ("source.limits.memory", "'much'", "memory", "is not a size"),
        (
            "source.options.page_size",
            "100000",
            "page_size",
            "must be at most 10000",
        ),
        (
            "source.options.page_size",
            "'ten'",
            "page_size",
            "must be a whole number",
        ),
        (
            "source.options.api_url",
            "'ftp://x'",
            "api_url",
            "must match the pattern",
        ),
        (
            "source.options.pagesize",
            "10",
            "pagesize",
            "unknown option `pagesize`",
        ),
    ];
    for (key, value, name, message) in cases {
        let settings = good.clone().set(key, value);
        let work = Workspace::with(&settings);
        let text = settings.to_toml();
        let line = text
            .lines()
            .position(|line| line.starts_with(&format!("{name} =")))
            .unwrap()
            + 1;
        let ended = work.run_available("comments").with_code(2);
        let place = format!("comments.toml:{line}:");
        ended.saying(&[message, &place]);
        assert!(!work.path("lake/comments").exists(), "{key}: nothing was begun");
    }
    assert!(api.requests().is_empty());
}

#[test]
fn a_component_that_is_not_there_or_is_none_is_named() {
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&Settings::of(&api).set("source.component", "'coments'"));
    work.run_available("comments").with_code(2).saying(&[
        "no built-in component \"coments\"; did you mean \"comments\"?",
        "built in: comments",
    ]);
    work.add(&Settings::of(&api).set("source.component", "'./mine.wasm'"));
    work.run_available("comments")
        .with_code(2)
        .saying(&["mine.wasm", "No such file"]);
    work.write("mine.wasm", "hello");
    work.run_available("comments")
        .with_code(1)
        .saying(&["it is no WebAssembly component"]);
    let digest = format!("'sha256:{}'", "0".repeat(64));
    work.add(&Settings::of(&api).set("source.digest", &digest));
    work.run_available("comments")
        .with_code(2)
        .saying(&["the component has the digest sha256:"]);
    assert!(api.requests().is_empty());
}

#[test]
fn an_api_that_can_not_be_reached_fails_the_run_after_its_tries() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let work = Workspace::with(&Settings::at(&origin));
    let ended = work.run_available("comments").with_code(1);
    ended.saying(&[
        "pipeline comments: ",
        &format!("{origin}/comments"),
        "(gave up after 3 attempts)",
    ]);
    assert!(
        work.files_in("lake/comments")
            .iter()
            .all(|file| file.extension() != Some("parquet".as_ref()))
    );
}

#[test]
fn an_offset_that_is_no_json_ends_with_2() {
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&Settings::of(&api));
    let ended = work
        .run(&["reset", "comments.toml", "--to-offset", "{twenty", "--yes"])
        .with_code(2);
    ended.saying(&["--to-offset: ", "for example '{\"current\": 20}'"]);
}

#[test]
fn a_reset_to_an_offset_that_the_component_does_not_understand_changes_nothing() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    let version = work.table().version();
    for offset in ["\"abc\"", "{\"current\": -1}", "{\"current\": 5000}"] {
        work.run(&["reset", "comments.toml", "--to-offset", offset, "--yes"])
            .with_code(1);
        assert_eq!(work.table().version(), version, "{offset}");
    }
    api.add_rows(3);
    assert_eq!(work.read_available().batches(), [3]);
}

#[test]
fn an_offset_behind_the_end_of_the_api_is_refused_by_the_run() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    // Rows were deleted at the API: what comes next can't be known.
    api.set_rows(15);
    work.run_available("comments")
        .with_code(1)
        .saying(&["offset 25 is gone", "only 15 rows exist"]);
    work.table().assert_once(1..=25);
}
