//! The program at each of its file steps: the calls that change what lies in the lake, watched by a library between
//! it and libc (`support/file_steps.c`). There are some sixty in a run of two micro-batches, so that all of them are
//! tried, not samples. `SANDBAR_ALL_STEPS=1` runs every combination, pairs of steps of two runners included: about
//! 17,000 cases.

/// It is killed there, or the call fails.
mod crashes;
/// The disk is full from there on.
mod full_disk;
/// What was synced before what.
mod order;
/// It is stopped there, and another runner of the same pipeline comes.
mod runners;
/// SIGTERM comes there.
mod stops;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbar_harness::ScriptedApi;
use serde_json::Value;

pub(crate) use stops::assert_clean;

use crate::support::{Ended, Journal, Settings, Table, Watched, Workspace};

/// Rows of two micro-batches.
const ROWS: i32 = 20;
const NOTE: &str = "lake/_checkpoints/comments/source/progress.json";

/// A run of two micro-batches that is repeated again and again from the same beginning.
struct Scenario {
    name: String,
    /// Whether the offsets lie in the offset log.
    logged: bool,
    /// Rows in the end.
    rows: i32,
    beginning: Workspace,
    _api: ScriptedApi,
}

impl Scenario {
    /// All four: a first run that creates the table, and one that goes on with a table and writes a log checkpoint;
    /// with the offset in the table, and in the offset log.
    fn all() -> Vec<Self> {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        kinds.map(|(logged, goes_on)| Self::new(logged, goes_on)).into()
    }

    fn new(logged: bool, goes_on: bool) -> Self {
        let rows = u64::try_from(ROWS).unwrap();
        let api = ScriptedApi::start(rows);
        let progress = if logged { "'checkpoint'" } else { "'table'" };
        let beginning = Workspace::with(&Settings::of(&api).set("sink.progress", progress));
        if goes_on {
            beginning.read_available();
            checkpoint_every_second_version(&beginning);
            api.add_rows(rows);
        }
        Self {
            name: format!(
                "{}, progress in the {}",
                if goes_on {
                    "a run that goes on"
                } else {
                    "a first run"
                },
                if logged { "offset log" } else { "table" }
            ),
            logged,
            rows: if goes_on { 2 * ROWS } else { ROWS },
            beginning,
            _api: api,
        }
    }

    /// A workspace at the scenario's beginning.
    fn begin(&self) -> Workspace {
        let work = Workspace::in_memory();
        copy(&self.beginning.path(""), &work.path(""));
        work
    }

    /// The steps of a run that nothing disturbs.
    fn steps(&self) -> Journal {
        let work = self.begin();
        let watched = Watched::new(&work, "undisturbed");
        watched.spawn(None).end().ok();
        self.assert_complete(&work);
        watched.journal()
    }

    /// Asserts that every row is in the table once, and that all who keep the next offset agree on it.
    #[track_caller]
    fn assert_complete(&self, work: &Workspace) {
        let table = work.table();
        table.assert_once_allowing(1..=self.rows, self.logged);
        let batch = table.last_batch("comments").unwrap();
        let entry = format!("lake/_checkpoints/comments/offsets/{batch}");
        let end = match self.logged {
            true => serde_json::from_str::<Value>(&work.read(&entry)).unwrap()["end"].clone(),
            false => table.end("comments").unwrap(),
        };
        assert_eq!(end["current"], self.rows);
    }

    /// Runs the program until all is read. Nothing disturbs it.
    #[track_caller]
    fn finish(&self, work: &Workspace) -> Ended {
        let ended = work.read_available();
        self.assert_complete(work);
        assert_eq!(work.read(NOTE), format!("{{\"current\":{}}}", self.rows));
        ended.saying(&[&format!("next at {{\"current\":{}}}", self.rows)])
    }
}

/// Sets `delta.checkpointInterval`, as another program would have when it created the table.
fn checkpoint_every_second_version(work: &Workspace) {
    const FIRST: &str = "lake/comments/_delta_log/00000000000000000000.json";
    let text = work.read(FIRST);
    let lines = text.lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        if let Some(metadata) = action.get_mut("metaData") {
            metadata["configuration"]["delta.checkpointInterval"] = "2".into();
        }
        action.to_string() + "\n"
    });
    let changed: String = lines.collect();
    assert_ne!(changed, text);
    work.write(FIRST, &changed);
    for file in work.files_in("lake/comments/_delta_log") {
        if file.extension().is_some_and(|extension| extension == "crc") {
            std::fs::remove_file(file).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The last offset that is committed, by the table alone.
fn committed(table: &Table) -> Option<Value> {
    table.batches("comments").last().map(|batch| batch["end"].clone())
}

/// Whether all cases are to be run, which takes minutes, or a part of them that still has every step in it.
fn everything() -> bool {
    std::env::var_os("SANDBAR_ALL_STEPS").is_some_and(|value| value == "1")
}

/// Runs the cases on as many threads as the machine has processors, and reports all that fail.
fn run_all<C: Sync>(cases: &[C], name: impl Fn(&C) -> String + Sync, run: impl Fn(&C) + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(vec![]);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(case))) {
                let failure = format!("{}: {}", name(case), text_of(&*panic));
                failures.lock().unwrap().push(failure);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, |number| number.get().min(4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    let shown = failures.iter().take(20).map(String::as_str).collect::<Vec<_>>();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        cases.len(),
        shown.join("\n")
    );
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a message",
    }
}
