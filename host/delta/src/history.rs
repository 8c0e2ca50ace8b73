use std::collections::BTreeSet;

use sandbar_pipeline::{BatchId, MicroBatch, Rollback, SinkError};

use crate::engine::Table;
use crate::log::{Entry, read_commits};

/// Versions that are looked through for the pipeline's own commits.
const LOOK_BACK: u64 = 1000;
/// Versions that are read at once.
const CHUNK: u64 = 32;

/// Refuses to go on when another writer turned the table back since the pipeline's last commit.
///
/// The log's `txn` does not show that: RESTORE and REPLACE take data files out and keep it. So the versions since the
/// pipeline's last commit are read, which is one file, that commit itself, for a table that nobody else writes. A
/// commit of the pipeline after such a version means that someone decided how to go on.
///
/// What else takes rows out (DELETE, UPDATE, MERGE, an overwrite) is the owner's right, and only said.
///
/// `newest` is the version to begin at, `last` the last micro-batch by the `txn`. What lies more than 1,000 versions
/// back, or was removed by a log cleanup, is not seen.
pub(crate) async fn refuse_rollback(
    table: &Table,
    pipeline: &str,
    newest: u64,
    last: BatchId,
) -> Result<(), SinkError> {
    let mut log = Backwards::from(table, newest);
    let mut since: Vec<Entry> = Vec::new();
    let own = loop {
        match log.next().await? {
            None => return Ok(()),
            Some(entry) if is_of(&entry, pipeline) => break entry,
            Some(entry) => since.push(entry),
        }
    };
    since.reverse();
    let Some(turn) = since.iter().rfind(|entry| turns_back(entry)) else {
        since.iter().for_each(|entry| warn_of_removed_rows(table, entry));
        return Ok(());
    };
    let reach = Reach::of(&since, own.version);
    let mut lost: Vec<MicroBatch> = Vec::new();
    let mut next = Some(own);
    let mut missing = reach.files.clone();
    while let Some(entry) = next {
        if reach.ends_before(entry.version) || (reach.version.is_none() && missing.is_empty()) {
            break;
        }
        let mut out = reach.version.is_some();
        for path in &entry.added {
            out |= missing.remove(path);
        }
        let batch = entry.note.map(|note| note.batch);
        lost.extend(batch.filter(|batch| out && batch.pipeline == pipeline && batch.batch <= last));
        next = log.next().await?;
    }
    match (lost.first(), lost.last()) {
        (Some(newest), Some(oldest)) => Err(SinkError::RolledBack(Box::new(Rollback {
            table: table.root.to_string(),
            operation: turn.operation.clone().unwrap_or_default(),
            version: turn.version,
            first: oldest.batch,
            last: newest.batch,
            start: oldest.start.clone(),
            end: newest.end.clone(),
        }))),
        _ => Ok(()),
    }
}

/// Whether any of these versions, made by others beside a run, asks for [`refuse_rollback`]. Says what else they
/// took out.
pub(crate) async fn turned_back(
    table: &Table,
    pipeline: &str,
    versions: impl Iterator<Item = u64>,
) -> Result<bool, SinkError> {
    let entries = read_commits(table, versions).await?;
    let foreign = entries.iter().flatten().filter(|entry| !is_of(entry, pipeline));
    let mut turned = false;
    for entry in foreign {
        match turns_back(entry) {
            true => turned = true,
            false => warn_of_removed_rows(table, entry),
        }
    }
    Ok(turned)
}

fn is_of(entry: &Entry, pipeline: &str) -> bool {
    entry
        .note
        .as_ref()
        .is_some_and(|note| note.batch.pipeline == pipeline)
}

/// Whether a version makes the table what it was before, or another one, rather than changing rows in it.
fn turns_back(entry: &Entry) -> bool {
    let operation = entry
        .operation
        .as_deref()
        .unwrap_or_default()
        .to_ascii_uppercase();
    operation == "RESTORE" || operation.contains("REPLACE TABLE")
}

fn warn_of_removed_rows(table: &Table, entry: &Entry) {
    if entry.note.is_none() && !entry.removed.is_empty() {
        tracing::warn!(
            table = %table.root,
            version = entry.version,
            operation = entry.operation.as_deref().unwrap_or("unknown"),
            files = entry.removed.len(),
            "another writer removed or replaced rows of the table"
        );
    }
}

/// How far a table was turned back.
struct Reach {
    /// Rows of the versions after this one are out, where that is known.
    version: Option<u64>,
    /// The data files that went and did not come back.
    files: BTreeSet<String>,
}

impl Reach {
    /// By the versions of others after the pipeline's last commit, `own`, in their order.
    fn of(since: &[Entry], own: u64) -> Self {
        let mut files = BTreeSet::new();
        for entry in since {
            for path in &entry.added {
                files.remove(path);
            }
            if turns_back(entry) {
                files.extend(entry.removed.iter().cloned());
            }
        }
        // A RESTORE to a version that was itself made by one is a RESTORE to where that one went.
        let mut below = u64::MAX;
        let version = loop {
            let turn = since
                .iter()
                .rfind(|entry| entry.version <= below && turns_back(entry));
            match turn {
                None => break Some(below.max(own)),
                Some(turn) => match turn.restored_to {
                    Some(to) if to < turn.version && to > own => below = to,
                    Some(to) if to < turn.version => break Some(to),
                    _ => break None,
                },
            }
        };
        Self { version, files }
    }

    fn ends_before(&self, version: u64) -> bool {
        self.version.is_some_and(|kept| version <= kept)
    }
}

/// The log's entries from a version on downwards, as far as there are any.
struct Backwards<'a> {
    table: &'a Table,
    /// Versions below this one are not read yet, and none below `least` will be.
    below: u64,
    least: u64,
    chunk: u64,
    read: Vec<Entry>,
}

impl<'a> Backwards<'a> {
    fn from(table: &'a Table, newest: u64) -> Self {
        Self {
            table,
            below: newest + 1,
            least: (newest + 1).saturating_sub(LOOK_BACK),
            // Mostly the first one ends the search.
            chunk: 1,
            read: Vec::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Entry>, SinkError> {
        if self.read.is_empty() && self.below > self.least {
            let from = self.below.saturating_sub(self.chunk).max(self.least);
            let entries = read_commits(self.table, from..self.below).await?;
            if let Some(gap) = entries.iter().rposition(Option::is_none) {
                // A log cleanup came as far as this.
                self.least = from + gap as u64 + 1;
            }
            let kept = entries.into_iter().flatten();
            self.read = kept.filter(|entry| entry.version >= self.least).collect();
            (self.below, self.chunk) = (from.max(self.least), CHUNK);
        }
        Ok(self.read.pop())
    }
}
