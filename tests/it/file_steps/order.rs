//! What a power cut may take: everything that was not synced. So the order of the steps decides, and a journal shows
//! it.

use std::collections::{BTreeMap, BTreeSet};

use super::Scenario;
use crate::support::{Journal, Step, files_below};

/// Steps that every kind of run must have in it. If one is missing, the library does not see it, or the program no
/// longer does it.
const ALWAYS: [&str; 19] = [
    "data file: create",
    "data file: write",
    "data file: sync",
    "data file: rename",
    "folder \"comments\": sync",
    "log entry: create",
    "log entry: write",
    "log entry: sync",
    "log entry: link",
    "log entry: remove",
    "folder \"comments/_delta_log\": sync",
    "progress note: create",
    "progress note: write",
    "progress note: sync",
    "progress note: rename",
    "folder \"_checkpoints/comments/source\": sync",
    "folder \"_checkpoints/comments\": folder",
    "folder \"\": folder",
    "folder \"_checkpoints\": folder",
];
const WITH_AN_OFFSET_LOG: [&str; 6] = [
    "offset entry: create",
    "offset entry: write",
    "offset entry: sync",
    "offset entry: link",
    "offset entry: remove",
    "folder \"_checkpoints/comments/offsets\": sync",
];
const WITH_A_LOG_CHECKPOINT: [&str; 12] = [
    "log checkpoint: create",
    "log checkpoint: write",
    "log checkpoint: sync",
    "log checkpoint: rename",
    "pointer to the log checkpoint: create",
    "pointer to the log checkpoint: write",
    "pointer to the log checkpoint: sync",
    "pointer to the log checkpoint: rename",
    "checksum file: create",
    "checksum file: write",
    "checksum file: sync",
    "checksum file: link",
];

#[test]
fn every_kind_of_file_step_is_seen() {
    for scenario in Scenario::all() {
        let goes_on = scenario.rows > super::ROWS;
        let kinds: BTreeSet<_> = scenario.steps().steps.iter().map(Step::kind).collect();
        let mut wanted: Vec<&str> = ALWAYS.into();
        if goes_on {
            wanted.retain(|kind| !kind.ends_with(": folder") || kind.contains("_checkpoints/comments\""));
            wanted.extend(WITH_A_LOG_CHECKPOINT);
        }
        if scenario.logged {
            wanted.extend(WITH_AN_OFFSET_LOG);
        }
        for kind in wanted {
            assert!(
                kinds.contains(kind),
                "{kind:?} is not among the steps of {}: {kinds:#?}",
                scenario.name
            );
        }
    }
}

#[test]
fn nothing_gets_into_the_lake_but_by_a_step_that_is_seen() {
    let scenario = Scenario::new(true, false);
    let work = scenario.begin();
    let watched = crate::support::Watched::new(&work, "seen");
    watched.spawn(None).end().ok();
    let named: BTreeSet<_> = watched
        .journal()
        .steps
        .into_iter()
        .filter(|step| matches!(step.call.as_str(), "rename" | "link"))
        .map(|step| step.path)
        .collect();
    let lake = work.path("lake");
    let there = files_below(&lake).into_iter();
    let there: BTreeSet<_> = there
        .map(|file| file.strip_prefix(&lake).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, there);
}

#[test]
fn what_a_commit_rests_on_is_durable_before_it_and_the_commit_before_the_note() {
    for scenario in Scenario::all() {
        assert_order(&scenario.name, &scenario.steps());
    }
}

/// What was changed and not synced since.
#[derive(Default)]
struct Cache {
    /// Files whose content is not on the disk for sure.
    contents: BTreeSet<String>,
    /// Names in folders, of files and folders, that are not on the disk for sure.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Cache {
    fn take(&mut self, step: &Step) {
        let path = step.path.clone();
        match step.call.as_str() {
            _ if step.failed => {}
            "create" | "write" | "truncate" => drop(self.contents.insert(path)),
            "sync" => {
                self.contents.remove(&path);
                self.names.remove(&path);
            }
            "rename" | "link" | "folder" => {
                let folder = step.parent().to_owned();
                if !path.is_empty() {
                    self.names.entry(folder).or_default().insert(path);
                }
            }
            _ => {}
        }
    }
}

fn assert_order(name: &str, journal: &Journal) {
    let mut cache = Cache::default();
    let (mut commits, mut notes) = (0, 0);
    // Log checkpoints and checksums are made beside, and nothing rests on them.
    let beside = ["log checkpoint", "pointer", "checksum"];
    let steps = journal.steps.iter();
    for step in steps.filter(|step| !beside.iter().any(|kind| step.kind().starts_with(kind))) {
        let kind = step.kind();
        if kind == "log entry: link" && !step.failed {
            commits += 1;
            assert_eq!(
                cache.contents,
                BTreeSet::new(),
                "{name}: not synced before {step:?}"
            );
            assert_eq!(cache.names, BTreeMap::new(), "{name}: not synced before {step:?}");
        }
        if kind == "progress note: create" {
            notes += 1;
            let log = cache.names.get("comments/_delta_log");
            assert_eq!(log, None, "{name}: not synced before {step:?}");
        }
        if matches!(
            kind.as_str(),
            "data file: rename" | "offset entry: link" | "progress note: rename"
        ) {
            assert_eq!(
                cache.contents,
                BTreeSet::new(),
                "{name}: not synced before {step:?}"
            );
        }
        cache.take(step);
    }
    assert_eq!(commits, 2, "{name}");
    assert!(notes >= 2, "{name}");
}
