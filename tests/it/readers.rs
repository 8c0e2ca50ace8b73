//! Tables of ours as other programs read them: duckdb, ClickHouse (the one reader with a log reader that shares no
//! line with ours), delta-rs and polars. All of them must see the same rows, and those must be the ones that the API
//! served.

use std::path::{Path, PathBuf};
use std::process::Command;

use sandbar_harness::ScriptedApi;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Comment, Settings, Table, Workspace, installed, not_installed, repository, say};

const READERS: [&str; 4] = ["duckdb", "chdb", "deltalake", "polars"];

/// Asserts that duckdb, which shares the log reader with us, and ClickHouse, which does not, see exactly these
/// comments; says so where they are not installed.
#[track_caller]
pub(crate) fn others_see(work: &Workspace, ids: std::ops::RangeInclusive<i32>) {
    if let Some(python) = python() {
        let seen = see(&python, work, &served(ids), &READERS[..2]);
        say(&format!(
            "duckdb and ClickHouse see the same {} rows",
            seen[0]["rows"]
        ));
    }
}

/// The Python that has the readers; `None` where they are not installed.
#[track_caller]
pub(crate) fn python() -> Option<PathBuf> {
    let python = installed("readers")
        .map(|folder| folder.join("bin/python"))
        .filter(|path| path.exists());
    if python.is_none() {
        not_installed("readers are");
    }
    python
}

/// What one of the scripts in `tests/readers` prints.
pub(crate) fn script(python: &Path, name: &str, arguments: &[&str]) -> String {
    let script = repository().join("tests/readers").join(name);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that each reader sees exactly these comments, and returns what they see.
#[track_caller]
pub(crate) fn all_see(python: &Path, work: &Workspace, comments: &[Comment]) -> Vec<Value> {
    see(python, work, comments, &READERS)
}

#[track_caller]
fn see(python: &Path, work: &Workspace, comments: &[Comment], readers: &[&str]) -> Vec<Value> {
    let table = work.path("lake/comments");
    let text = script(python, "read.py", &[&[table.to_str().unwrap()], readers].concat());
    let seen: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let by: Vec<_> = seen.iter().map(|seen| seen["reader"].as_str().unwrap()).collect();
    assert_eq!(by, readers);
    for seen in &seen {
        assert_eq!(seen["rows"], comments.len(), "{seen}");
        assert_eq!(seen["distinct_ids"], comments.len(), "{seen}");
        assert_eq!(
            seen["min"],
            comments.iter().map(|comment| comment.id).min().unwrap(),
            "{seen}"
        );
        assert_eq!(
            seen["max"],
            comments.iter().map(|comment| comment.id).max().unwrap(),
            "{seen}"
        );
        assert_eq!(seen["hash"].as_u64(), Some(hash(comments)), "{seen}");
    }
    seen
}

/// As `row_hash` of `read.py` has it.
fn hash(comments: &[Comment]) -> u64 {
    let of_row = |comment: &Comment| {
        let Comment {
            id,
            name,
            email,
            body,
        } = comment;
        let digest = Sha256::digest(format!("{id}\u{1f}{name}\u{1f}{email}\u{1f}{body}"));
        u64::from_be_bytes(digest[..8].try_into().unwrap())
    };
    comments.iter().map(of_row).fold(0, u64::wrapping_add)
}

pub(crate) fn served(ids: std::ops::RangeInclusive<i32>) -> Vec<Comment> {
    ids.map(Comment::served).collect()
}

#[test]
fn a_table_of_many_versions_with_a_log_checkpoint_reads_the_same_everywhere() {
    let Some(python) = python() else { return };
    let api = ScriptedApi::start(220);
    let work = Workspace::with(&Settings::of(&api).set("source.options.rows_per_batch", "2"));
    work.read_available();
    assert!(work.path("lake/comments/_delta_log/_last_checkpoint").exists());
    all_see(&python, &work, &served(1..=220));
    api.add_rows(5);
    work.read_available();
    all_see(&python, &work, &served(1..=225));

    // The log checkpoint must hold all that the commits before it say: without those it is the same table.
    let last = work.read("lake/comments/_delta_log/_last_checkpoint");
    let version = serde_json::from_str::<Value>(&last).unwrap()["version"]
        .as_u64()
        .unwrap();
    assert!(version >= 99, "{last}");
    for old in 0..=version {
        std::fs::remove_file(work.path(&format!("lake/comments/_delta_log/{old:020}.json"))).unwrap();
    }
    all_see(&python, &work, &served(1..=225));
    api.add_rows(5);
    assert_eq!(
        work.read_available().batches(),
        [2, 2, 1],
        "and it knows where it stands"
    );
    all_see(&python, &work, &served(1..=230));
}

#[test]
fn a_partitioned_table_with_ingestion_times_reads_the_same_everywhere() {
    let Some(python) = python() else { return };
    let api = ScriptedApi::start(24);
    let settings = Settings::of(&api)
        .set("sink.partition_by", "['email']")
        .set("sink.ingested_at", "'current_ts'");
    let work = Workspace::with(&settings);
    work.read_available();
    let seen = all_see(&python, &work, &served(1..=24));
    let times = &seen[0]["ingested"];
    assert_eq!(times[2], 24, "each row has one");
    assert!(
        times[0].as_i64() > Some(1_700_000_000_000_000) && times[0].as_i64() < times[1].as_i64(),
        "{times}"
    );
    for seen in &seen {
        assert_eq!(seen["ingested"], *times, "{seen}");
        assert_eq!(
            seen["columns"],
            serde_json::json!(["body", "current_ts", "email", "id", "name"])
        );
    }
}

#[test]
fn other_programs_can_append_to_a_table_whose_offsets_lie_elsewhere() {
    let Some(python) = python() else { return };
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("sink.progress", "'checkpoint'"));
    work.read_available();
    all_see(&python, &work, &served(1..=25));

    let table = work.path("lake/comments");
    script(&python, "append.py", &[table.to_str().unwrap(), "1001", "5"]);
    let mut both = served(1..=25);
    both.extend(served(1001..=1005));
    all_see(&python, &work, &both);

    api.add_rows(7);
    assert_eq!(
        work.read_available().batches(),
        [7],
        "the next run goes on behind its own rows"
    );
    both.extend(served(26..=32));
    all_see(&python, &work, &both);
    assert_eq!(Table::read(&table).last_batch("comments"), Some(4));
}

#[test]
fn a_table_that_was_killed_now_and_then_reads_the_same_everywhere() {
    let Some(python) = python() else { return };
    let api = ScriptedApi::start(60);
    let work = Workspace::with(&Settings::of(&api).set("source.options.rows_per_batch", "3"));
    for rows in [3, 9, 15] {
        let mut running = work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"]);
        running.until_rows(rows);
        running.kill();
    }
    work.read_available();
    all_see(&python, &work, &served(1..=60));
}
