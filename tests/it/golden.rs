//! What a version left on disk is understood by every later one: `tests/data/<version>` holds tables and checkpoint
//! locations as that version wrote them, and a newer one goes on with them. `SANDBAR_WRITE_GOLDEN=1` writes those of the
//! version at hand, if there are none yet. They are never changed after that version's release.
//!
//! `components` are those that were built when a track of the contract was released. They are never built anew, whatever
//! becomes of the source code beside them: they stand for those in the field, which nobody builds anew either. Each load
//! and read for as long as the track is served. A new track brings files of its own; the old ones stay.

use std::path::{Path, PathBuf};

use sandbar_harness::ScriptedApi;
use serde_json::json;

use crate::readers::{all_see, python, served};
use crate::support::{Settings, Workspace, files_below, repository};

/// Rows that the kept tables have.
const KEPT: u64 = 25;

/// What is kept of each version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The offset in the table, the source's note in the checkpoint location.
    Table,
    /// The offset in the offset log.
    OffsetLog,
    /// A table with a log checkpoint and without the entries below it; no checkpoint location.
    LogCheckpoint,
}

const ALL: [Kept; 3] = [Kept::Table, Kept::OffsetLog, Kept::LogCheckpoint];

impl Kept {
    fn folder(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::OffsetLog => "offset-log",
            Self::LogCheckpoint => "log-checkpoint",
        }
    }

    fn settings(self, api: &ScriptedApi) -> Settings {
        let settings = Settings::of(api);
        match self {
            Self::Table => settings,
            Self::OffsetLog => settings.set("sink.progress", "'checkpoint'"),
            Self::LogCheckpoint => settings.set("source.options.rows_per_batch", "5"),
        }
    }

    fn write(self, folder: &Path) {
        let api = ScriptedApi::start(KEPT);
        let work = Workspace::with(&self.settings(&api));
        if self == Self::LogCheckpoint {
            work.write(
                "lake/comments/_delta_log/00000000000000000000.json",
                &empty_table(),
            );
        }
        work.read_available();
        if self == Self::LogCheckpoint {
            for version in 0..3 {
                let log = "lake/comments/_delta_log";
                for kind in ["json", "crc"] {
                    let _ = std::fs::remove_file(work.path(&format!("{log}/{version:020}.{kind}")));
                }
            }
            assert!(work.path("lake/comments/_delta_log/_last_checkpoint").exists());
            std::fs::remove_dir_all(work.path("lake/_checkpoints")).unwrap();
        }
        copy(&work.path("lake"), folder);
    }
}

#[test]
fn what_earlier_versions_left_is_gone_on_with() {
    let data = repository().join("tests/data");
    let current = data.join(env!("CARGO_PKG_VERSION"));
    if std::env::var_os("SANDBAR_WRITE_GOLDEN").is_some() && !current.exists() {
        for kept in ALL {
            kept.write(&current.join(kept.folder()));
        }
    }
    assert!(
        current.is_dir(),
        "this version's data is missing: run this test once with SANDBAR_WRITE_GOLDEN=1 and commit {}",
        current.display()
    );
    for version in std::fs::read_dir(&data).unwrap() {
        let version = version.unwrap().path();
        for kept in ALL {
            go_on(kept, &version.join(kept.folder()));
        }
    }
}

fn go_on(kept: Kept, folder: &Path) {
    let at = folder.display();
    let api = ScriptedApi::start(KEPT);
    let work = Workspace::with(&kept.settings(&api));
    copy(folder, &work.path("lake"));
    let status = work.run(&["status", "comments.toml", "--json"]).ok().json();
    assert_eq!(status["offset"], json!({"current": KEPT}), "{at}: {status}");
    work.read_available().saying(&["nothing new"]);

    api.add_rows(7);
    let run = work.read_available();
    assert_eq!(run.lines()[0]["start"], json!({"current": KEPT}), "{at}");
    assert_eq!(run.batches().iter().sum::<u64>(), 7, "{at}");
    if kept != Kept::LogCheckpoint {
        work.table().assert_once(1..=32);
    }
    if let Some(python) = python() {
        all_see(&python, &work, &served(1..=32));
    }
}

/// A component as it was built when its track was released.
struct Frozen {
    /// Below `tests/data`.
    path: &'static str,
    track: &'static str,
    digest: &'static str,
}

/// Python's is 18 MB. `languages` builds it anew, with the compiler that its SDK pins.
const FROZEN: [Frozen; 2] = [
    Frozen {
        path: "0.1.0/components/comments-javascript.wasm",
        track: "sandbar:connector@0.1",
        digest: "sha256:fbf0a4f14a5ab005389d35ed941246aa60c7c946ede3ffeadd67effc28dd7ad6",
    },
    Frozen {
        path: "0.1.0/components/comments-rust.wasm",
        track: "sandbar:connector@0.1",
        digest: "sha256:c5282a1aefaf0468d04ba2ed84f71f07ffb015c723074e24c503618bedb48713",
    },
];

#[test]
fn components_that_were_built_for_a_track_load_and_read() {
    let data = repository().join("tests/data");
    for Frozen { path, track, digest } in FROZEN {
        let api = ScriptedApi::start(KEPT);
        let work = Workspace::new();
        std::fs::copy(data.join(path), work.path("source.wasm")).unwrap_or_else(|e| {
            panic!("{path} is kept for ever, and can't be built again: {e}");
        });
        work.add(&Settings::of(&api).set("source.component", "'./source.wasm'"));
        let inspected = work.run(&["inspect", "./source.wasm", "--json"]).ok().json();
        assert_eq!(
            inspected["digest"], digest,
            "{path} is another file than the one that was kept"
        );
        assert_eq!(inspected["track"], track, "{path}");
        work.run(&["check", "comments.toml"]).ok();
        work.read_available();
        api.add_rows(7);
        work.read_available();
        work.table().assert_once(1..=32);
    }
}

#[test]
fn every_component_that_is_kept_is_run() {
    let kept = files_below(&repository().join("tests/data"));
    let kept = kept
        .iter()
        .filter(|file| file.extension() == Some("wasm".as_ref()));
    assert_eq!(kept.count(), FROZEN.len(), "FROZEN lists them");
}

/// The first commit of a table that asks for a log checkpoint at every third version.
fn empty_table() -> String {
    let field =
        |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
    let fields = [
        field("id", "integer"),
        field("name", "string"),
        field("email", "string"),
        field("body", "string"),
    ];
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    let protocol = json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [],
        "writerFeatures": ["domainMetadata"]});
    let metadata = json!({"id": "9b1a7e0c-0000-4000-8000-000000000000", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema, "partitionColumns": [], "configuration": {"delta.checkpointInterval": "3"},
        "createdTime": 0});
    format!(
        "{}\n{}\n",
        json!({"protocol": protocol}),
        json!({"metaData": metadata})
    )
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let to: PathBuf = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, to).unwrap();
    }
}
