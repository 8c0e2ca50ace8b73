//! Somebody removes the table, puts another one in its place, cuts its log back or turns it back, before, between and
//! behind all steps of a run. The log is replayed by hand afterwards: what is there is a table, and the right one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sandbar_harness::store::{Exhaustive, Process, StepKind, Turns};
use sandbar_pipeline::{PipelineError, RunSummary, SinkError};
use serde_json::{Value, json};

use super::lake::Lake;
use super::source::offset;
use super::world::{Setup, World};
use crate::support::say;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// All of it is gone.
    Removed,
    /// An empty table of another id with so many versions.
    Replaced(u64),
    /// The log's newest entry is gone.
    CutBack,
    /// Another writer's RESTORE to the first version, in which the table is empty.
    TurnedBack,
}

const ACTS: [Act; 6] = [
    Act::Removed,
    Act::Replaced(1),
    Act::Replaced(2),
    Act::Replaced(9),
    Act::CutBack,
    Act::TurnedBack,
];

#[derive(Default)]
struct Count {
    cases: usize,
    refused: usize,
}

#[tokio::test]
async fn a_table_that_is_removed_or_replaced_at_any_step_gets_no_commit() {
    every_act("table", false).await;
}

#[tokio::test]
async fn the_same_with_progress_in_the_offset_log() {
    every_act("offset log", true).await;
}

async fn every_act(place: &str, logged: bool) {
    for act in ACTS {
        let mut count = Count::default();
        for setup in Setup::all().filter(|setup| setup.logged() == logged && is_wanted(*setup, act)) {
            let mut choices = Exhaustive::default();
            while choices.next_round() {
                case(setup, act, &mut choices, &mut count).await;
            }
        }
        say(&format!(
            "the table {act:?}, offsets in the {place}: {} places of a run; {} runs stopped for it",
            count.cases, count.refused
        ));
        assert!(count.cases > 100 && count.refused > 10, "{act:?}");
    }
}

/// A RESTORE needs something to go back to; what can be cut back is the pipeline's.
fn is_wanted(setup: Setup, act: Act) -> bool {
    act != Act::TurnedBack || setup.existing
}

async fn case(setup: Setup, act: Act, choices: &mut Exhaustive, count: &mut Count) {
    let world = World::new(setup).await;
    let turns = Arc::new(Turns::new(|_, _| true));
    let run = async {
        let process = Process::taking_turns(|_| None, &turns, 0);
        let outcome = world.run(&process, "0.1.0").await;
        turns.done(0);
        outcome
    };
    let other = async {
        turns.wait(1, StepKind::Write, "beside").await;
        let left = act.on(&world.lake).await;
        turns.done(1);
        left
    };
    let (outcome, left, _) = tokio::join!(run, other, turns.conduct(|| choices.below(2)));
    let told = format!("{setup:?}, {act:?}, {:?}", choices.taken());
    count.cases += 1;
    let refused = is_refusal(&outcome, act, &told);
    count.refused += usize::from(refused);
    let now = world.lake.everything().await;
    if refused && act != Act::TurnedBack {
        // Where only the log was cut, data files of the run were there already, and may be gone.
        let kept = |files: &BTreeMap<String, Vec<u8>>| {
            let counts = |path: &&String| act != Act::CutBack || path.starts_with("t/_delta_log/");
            files.keys().filter(counts).cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            kept(&now),
            kept(&left),
            "{told}: {:?}",
            outcome.err().map(|e| e.to_string())
        );
        assert!(
            now.iter().all(|(path, bytes)| left.get(path) == Some(bytes)),
            "{told}"
        );
    }
    // What is there is a table, whoever made it.
    let ids = world.lake.replay(&told).await;
    let twice: BTreeSet<_> = ids.iter().collect();
    assert_eq!(twice.len(), ids.len(), "{told}: {ids:?}");
    go_on(&world, act, refused, &told).await;
}

/// Whether the run stopped because of what was done; it must not stop for anything else.
fn is_refusal(outcome: &Result<RunSummary, PipelineError>, act: Act, told: &str) -> bool {
    match (outcome, act) {
        (Ok(_), _) => false,
        (Err(PipelineError::Sink(SinkError::RolledBack(_))), Act::TurnedBack) => true,
        (Err(PipelineError::Sink(error @ SinkError::TableChanged { .. })), _) if act != Act::TurnedBack => {
            let message = error.to_string();
            assert!(message.contains("memory:///t/"), "{told}: {message}");
            true
        }
        // What a start finds half taken away while it reads it.
        (
            Err(PipelineError::Sink(SinkError::Store { .. })),
            Act::Removed | Act::Replaced(_) | Act::CutBack,
        ) => true,
        (Err(error), _) => panic!("{told}: {error}"),
    }
}

/// The next start takes what is there for what it is; a turned table only once it is told where to go on.
async fn go_on(world: &World, act: Act, refused: bool, told: &str) {
    let healthy = async || world.run(&Process::healthy(), "0.1.0").await;
    let summary = match healthy().await {
        Err(PipelineError::Sink(SinkError::RolledBack(rollback))) if act == Act::TurnedBack => {
            let back = rollback.start.value()["current"].as_u64().unwrap();
            let _ = world.reset(back).await;
            healthy().await
        }
        Err(PipelineError::OffsetUnknown { .. }) if world.setup.logged() => return,
        outcome => outcome,
    };
    let summary = summary.unwrap_or_else(|e| panic!("{told}, refused {refused}: {e}"));
    assert_eq!(summary.offset, Some(offset(world.setup.rows)), "{told}");
    let ids = world.lake.replay(told).await;
    if act == Act::TurnedBack {
        let all: Vec<_> = (1..=world.setup.rows as i64).collect();
        assert_eq!(ids, all, "{told}");
    }
    let twice: BTreeSet<_> = ids.iter().collect();
    assert_eq!(twice.len(), ids.len(), "{told}: {ids:?}");
}

impl Act {
    /// Does it, and tells what is there then.
    async fn on(self, lake: &Lake) -> BTreeMap<String, Vec<u8>> {
        let versions = lake.versions().await;
        match self {
            Self::Removed => lake.remove_all().await,
            Self::Replaced(count) => {
                lake.remove_all().await;
                lake.put_json(0, &other_table()).await;
                for version in 1..count {
                    let info =
                        json!({"commitInfo": {"timestamp": 0, "operation": "WRITE", "isBlindAppend": true}});
                    lake.put_json(version, &[info]).await;
                }
            }
            Self::CutBack => {
                if let Some(newest) = versions.len().checked_sub(1) {
                    lake.remove(&format!("t/_delta_log/{newest:020}.json")).await;
                    // Its checksum and log checkpoint went with it.
                    for path in lake.everything().await.into_keys() {
                        if path.contains(&format!("{newest:020}.")) || path.ends_with("_last_checkpoint") {
                            lake.remove(&path).await;
                        }
                    }
                }
            }
            Self::TurnedBack => {
                let added = versions.iter().flatten().filter_map(|action| action.get("add"));
                let remove = |add: &Value| json!({"remove": {"path": add["path"], "dataChange": true, "deletionTimestamp": 0}});
                let mut actions: Vec<_> = added.map(remove).collect();
                let parameters = json!({"version": "0", "timestamp": null});
                actions.push(json!({"commitInfo": {"timestamp": 0, "operation": "RESTORE",
                    "operationParameters": parameters}}));
                lake.put_json(versions.len() as u64, &actions).await;
            }
        }
        lake.everything().await
    }
}

/// It takes the rows of each setup, with the offset in the table or in the log.
fn other_table() -> [Value; 2] {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    [
        json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [],
            "writerFeatures": ["domainMetadata"]}}),
        json!({"metaData": {"id": "other", "format": {"provider": "parquet", "options": {}},
            "schemaString": schema, "partitionColumns": [], "configuration": {}, "createdTime": 0}}),
    ]
}

impl Lake {
    async fn paths(&self) -> Vec<Path> {
        let found = self.store.list(None).map_ok(|meta| meta.location);
        found.try_collect().await.unwrap()
    }

    /// Each file with what is in it.
    async fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for path in self.paths().await {
            let bytes = self.store.get(&path).await.unwrap().bytes().await.unwrap();
            files.insert(path.to_string(), bytes.to_vec());
        }
        files
    }

    async fn remove(&self, path: &str) {
        self.store.delete(&Path::from(path)).await.unwrap();
    }

    async fn remove_all(&self) {
        for path in self.paths().await {
            self.store.delete(&path).await.unwrap();
        }
    }

    async fn put_json(&self, version: u64, actions: &[Value]) {
        let text: Vec<_> = actions.iter().map(Value::to_string).collect();
        let path = Path::from(format!("t/_delta_log/{version:020}.json"));
        self.store.put(&path, text.join("\n").into()).await.unwrap();
    }

    /// The ids in the table by its log alone: entries from the first on without a gap, each data file that they name.
    async fn replay(&self, told: &str) -> Vec<i64> {
        let mut active: BTreeSet<String> = BTreeSet::new();
        let versions = self.versions().await;
        let entries = self.everything().await;
        let in_log = entries.keys().filter(|path| path.starts_with("t/_delta_log/"));
        assert!(
            !versions.is_empty() || in_log.count() == 0,
            "{told}: {:?}",
            entries.keys()
        );
        for action in versions.iter().flatten() {
            if let Some(add) = action.get("add") {
                active.insert(add["path"].as_str().unwrap().to_owned());
            }
            if let Some(remove) = action.get("remove") {
                active.remove(remove["path"].as_str().unwrap());
            }
        }
        let mut ids = Vec::new();
        for path in active {
            assert!(
                entries.contains_key(&format!("t/{path}")),
                "{told}: {path} is missing"
            );
            ids.extend(self.ids(&path).await);
        }
        ids.sort_unstable();
        ids
    }
}
