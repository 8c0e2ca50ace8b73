//! Readers of what the program says that go away, and disks that are full under it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sandbar_harness::ScriptedApi;

use crate::support::{Settings, Workspace, until};

#[test]
fn a_progress_reader_that_goes_away_does_not_end_a_run() {
    let api = ScriptedApi::start(50);
    let work = Workspace::with(&Settings::of(&api).set("source.options.rows_per_batch", "1"));
    let mut run = work
        .command(&["run", "comments.toml", "--available-now", "--progress", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(run.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.contains("\"batch\":1"), "{first}");
    let ended = run.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("no more progress is shown").count(), 1, "{said}");
    work.table().assert_once(1..=50);
}

#[test]
fn a_progress_reader_that_does_not_read_holds_up_no_run_and_misses_nothing() {
    // Their lines are more than a pipe holds.
    const ROWS: u64 = 300;
    let api = ScriptedApi::start(ROWS);
    let work = Workspace::with(&Settings::of(&api).set("source.options.rows_per_batch", "1"));
    let run = work
        .command(&["run", "comments.toml", "--available-now", "--progress", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let note = work.path("lake/_checkpoints/comments/source/progress.json");
    until("every row is committed", || {
        std::fs::read_to_string(&note).is_ok_and(|note| note == format!(r#"{{"current":{ROWS}}}"#))
    });
    let ended = run.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let lines = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(lines.lines().count() as u64, ROWS, "flushed at the end");
    assert!(lines.lines().last().unwrap().contains("\"batch\":300"), "{lines}");
}

#[test]
fn a_log_reader_that_goes_away_does_not_end_a_run() {
    let api = ScriptedApi::start(30);
    for arguments in [
        &["run", "comments.toml", "--available-now", "-v"][..],
        &["run", "comments.toml", "--available-now"],
    ] {
        let work = Workspace::with(&Settings::of(&api));
        let ended = closed(work.command(arguments), |command, pipe| command.stderr(pipe));
        assert_eq!(ended, Some(0));
        work.table().assert_once(1..=30);
    }
    let work = Workspace::with(&Settings::of(&api).set("source.options.page_size", "'x'"));
    let ended = closed(work.command(&["run", "comments.toml"]), |command, pipe| {
        command.stderr(pipe)
    });
    assert_eq!(ended, Some(2), "also where there is an error to be told");
}

#[test]
fn a_command_whose_result_can_not_be_written_fails_and_says_so() {
    let api = ScriptedApi::start(30);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    let commands = [
        &["preview", "comments.toml"][..],
        &["preview", "comments.toml", "--format", "csv"],
        &["status", "comments.toml"],
        &["status", "comments.toml", "--json"],
        &["check", "comments.toml"],
        &["check", "comments.toml", "--json"],
        &["inspect", "comments"],
        &["inspect", "comments", "--json"],
        &["demo", "--rows", "20"],
    ];
    for arguments in commands {
        let full = work
            .command(arguments)
            .stdout(File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("can't be written to stdout") && said.contains("No space left"),
            "{said}"
        );
        let ended = closed(work.command(arguments), |command, pipe| command.stdout(pipe));
        assert_eq!(ended, Some(1), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        let full = work
            .command(&arguments)
            .stdout(File::create("/dev/full").unwrap())
            .status()
            .unwrap();
        assert_eq!(full.code(), Some(1), "{arguments:?}");
    }
}

/// Runs a command one of whose streams nobody reads.
fn closed(mut command: Command, give: fn(&mut Command, Stdio) -> &mut Command) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    give(&mut command, writer.into()).status().unwrap().code()
}
