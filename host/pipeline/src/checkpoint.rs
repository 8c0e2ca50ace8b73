use std::fmt;
use std::path::Path as FsPath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use serde::{Deserialize, Serialize};

use crate::folder::create_location;
use crate::{
    BatchId, CheckpointError, ComponentId, Json, MicroBatch, Offset, PipelineError, SourceIdentity,
    VersionRecord,
};

const NOTE: &str = "source/progress.json";
/// Where the PySpark job of the idea keeps its note.
const FOREIGN_NOTE: &str = "progress.json";
const OFFSETS: &str = "offsets";
/// What is durable of swaps.
const VERSIONS: &str = "component.json";
/// The folder of the components that the record of versions names.
const COMPONENTS: &str = "components";
const KEPT_ENTRIES: usize = 100;
/// The longest progress note, in bytes.
pub(crate) const MAX_NOTE_BYTES: usize = 64 * 1024;
/// Two offsets of the longest kind fit, though JSON can grow when it is written anew.
const MAX_ENTRY_BYTES: u64 = 16 * 1024 * 1024;
/// A hundred swaps and refused versions fit.
const MAX_VERSIONS_BYTES: u64 = 4 * 1024 * 1024;

/// A pipeline's folder of notes: the source's progress note, and the offset log of tables that can't carry
/// offsets.
///
/// Writes are atomic and durable. Losing the whole folder loses no row: see the crate's documentation.
///
/// It lies in a folder of this machine, in memory, or in whatever else is an [`ObjectStore`]. What is asked of
/// that store: a file is there whole or not at all; a read after a write sees it; and for the offset log alone,
/// [`PutMode::Create`] gives a name to one writer. It is never asked to copy, to rename or to take a file in parts.
#[derive(Clone)]
pub struct CheckpointLocation {
    store: Arc<dyn ObjectStore>,
    shown: Arc<str>,
    /// Whether the source's own note speaks of rows that are no longer in the table. Shared by all clones.
    pub(crate) own_note_outdated: Arc<AtomicBool>,
}

/// One entry of the offset log: what a micro-batch is about to bring, written before its commit.
///
/// It counts only if the table's `txn` has reached its batch. An entry's name is taken once and for all: a
/// runner that finds it taken uses the next number. So if the table holds batch N, entry N was written by the very
/// runner that committed it, whoever else tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetEntry {
    /// The micro-batch's number.
    pub batch: BatchId,
    /// The offset before its first row.
    pub start: Offset,
    /// The offset after its last row.
    pub end: Offset,
    /// The component that read it.
    pub component: ComponentId,
    /// How many rows it brings.
    pub rows: u64,
    /// The source that was read. Versions before 0.2 did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
}

impl OffsetEntry {
    pub(crate) fn of(batch: &MicroBatch) -> Self {
        Self {
            batch: batch.batch,
            start: batch.start.clone(),
            end: batch.end.clone(),
            component: batch.component.clone(),
            rows: batch.rows,
            source: batch.source.clone(),
        }
    }
}

impl CheckpointLocation {
    /// Takes a store and the prefix below which the location lies; `shown` is its name in messages. Nothing is
    /// asked of the store yet: [`probe`](Self::probe) does.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, shown: impl Into<Arc<str>>) -> Self {
        Self {
            store: Arc::new(PrefixStore::new(store, prefix)),
            shown: shown.into(),
            own_note_outdated: Arc::default(),
        }
    }

    /// A folder on this machine, created when missing. Every write is synced to the disk.
    ///
    /// # Errors
    /// [`CheckpointError::Location`] when no folder can be there, [`CheckpointError::Folder`] when the disk fails.
    pub fn local(folder: &FsPath) -> Result<Self, CheckpointError> {
        create_location(folder)?;
        let location = || folder.display().to_string();
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|e| CheckpointError::Location {
            location: location(),
            reason: e.to_string(),
        })?;
        Ok(Self {
            store: Arc::new(store.with_fsync(true)),
            shown: location().into(),
            own_note_outdated: Arc::default(),
        })
    }

    /// A location that is gone with the process, for previews and tests.
    pub fn memory() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            shown: "memory://".into(),
            own_note_outdated: Arc::default(),
        }
    }

    /// The same location through another store.
    #[must_use]
    pub fn through(&self, store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self {
            own_note_outdated: Arc::clone(&self.own_note_outdated),
            ..Self::new(store, prefix, Arc::clone(&self.shown))
        }
    }

    /// The source's progress note: its own, or else one that something else left at the top.
    ///
    /// Its own is passed over while the table holds nothing of the pipeline that saved it: the rows that it speaks of
    /// are gone, and whoever removed the table wants them again.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when the note can't be read, [`CheckpointError::Damaged`] when it is longer than 64 KiB or
    /// is not JSON.
    pub async fn load_note(&self) -> Result<Option<Json>, CheckpointError> {
        Ok(self.find_note().await?.map(|(_, note)| note))
    }

    /// The file of the note that [`load_note`](Self::load_note) finds, for messages.
    pub(crate) async fn note_file(&self) -> Result<Option<String>, CheckpointError> {
        Ok(self.find_note().await?.map(|(path, _)| self.full(path)))
    }

    async fn find_note(&self) -> Result<Option<(&'static str, Json)>, CheckpointError> {
        let outdated = self.own_note_outdated.load(Ordering::Relaxed);
        for path in [NOTE, FOREIGN_NOTE] {
            if path == NOTE && outdated {
                continue;
            }
            if let Some(text) = self.read_text(path, MAX_NOTE_BYTES as u64).await? {
                let note = Json::parse(&text).map_err(|e| self.not_json(path, e))?;
                return Ok(Some((path, note)));
            }
        }
        Ok(None)
    }

    /// Replaces the source's progress note. It is durable when this returns.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] when the text is longer than 64 KiB or is not JSON, [`CheckpointError::Store`] when it
    /// can't be written.
    pub async fn save_note(&self, text: &str) -> Result<(), CheckpointError> {
        let damaged = |reason: String| CheckpointError::Note { reason };
        if text.len() > MAX_NOTE_BYTES {
            return Err(damaged(format!(
                "{} bytes; {MAX_NOTE_BYTES} are allowed",
                text.len()
            )));
        }
        // What can't be loaded again is not saved.
        Json::parse(text).map_err(|e| damaged(format!("not JSON: {e}")))?;
        self.put(NOTE, text.to_owned(), PutMode::Overwrite).await?;
        self.own_note_outdated.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The record of versions; `None` where no version was ever swapped in.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when it can't be read, [`CheckpointError::Damaged`] when it is no such record.
    pub async fn load_versions(&self) -> Result<Option<VersionRecord>, CheckpointError> {
        let Some(text) = self.read_text(VERSIONS, MAX_VERSIONS_BYTES).await? else {
            return Ok(None);
        };
        let record = serde_json::from_str(&text).map_err(|e| self.not_json(VERSIONS, e))?;
        Ok(Some(record))
    }

    /// Replaces the record of versions. It is durable when this returns.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when it can't be written.
    pub async fn save_versions(&self, record: &VersionRecord) -> Result<(), CheckpointError> {
        let text = serde_json::to_string(record).map_err(|e| CheckpointError::Damaged {
            path: self.full(VERSIONS),
            reason: e.to_string(),
        })?;
        self.put(VERSIONS, text, PutMode::Overwrite).await
    }

    /// The bytes of a component that [`save_component`](Self::save_component) kept, `max` at most. Whoever uses them
    /// compares their digest: others may be able to write here.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when they can't be read, [`CheckpointError::Damaged`] when there are more.
    pub async fn load_component(&self, digest: &str, max: u64) -> Result<Option<Bytes>, CheckpointError> {
        self.read_bytes(&component_path(digest), max).await
    }

    /// Keeps the bytes of a component under its digest, `sha256:` and hexadecimal digits.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when they can't be written.
    pub async fn save_component(&self, digest: &str, bytes: Bytes) -> Result<(), CheckpointError> {
        let path = component_path(digest);
        match self.store.head(&Path::from(path.as_str())).await {
            Ok(found) if found.size == bytes.len() as u64 => Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {
                self.put(&path, bytes, PutMode::Overwrite).await
            }
            Err(source) => Err(self.failed(&path, source)),
        }
    }

    /// Removes the components whose digests are not among these.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when they can't be listed or removed.
    pub async fn prune_components(&self, kept: &[&str]) -> Result<(), CheckpointError> {
        let kept: Vec<_> = kept.iter().map(|digest| component_path(digest)).collect();
        for old in self.list(COMPONENTS).await? {
            if !kept.iter().any(|kept| kept == old.as_ref()) {
                self.remove(old.as_ref()).await?;
            }
        }
        Ok(())
    }

    /// The offset log's entry of a micro-batch.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when it can't be read, [`CheckpointError::Damaged`] when it is no entry of that number.
    pub async fn load_entry(&self, batch: BatchId) -> Result<Option<OffsetEntry>, CheckpointError> {
        let path = entry_path(batch);
        let Some(text) = self.read_text(&path, MAX_ENTRY_BYTES).await? else {
            return Ok(None);
        };
        let damaged = |reason: String| CheckpointError::Damaged {
            path: self.full(&path),
            reason,
        };
        let entry: OffsetEntry = serde_json::from_str(&text).map_err(|e| match e.is_data() {
            true => damaged(e.to_string()),
            false => self.not_json(&path, e),
        })?;
        if entry.batch != batch {
            return Err(damaged(format!("it speaks of batch {}", entry.batch)));
        }
        Ok(Some(entry))
    }

    /// The entry of a committed micro-batch, which knows its end offset. That must have this fingerprint, if the
    /// table has one: see [`Committed`](crate::Committed).
    ///
    /// # Errors
    /// [`PipelineError::OffsetUnknown`] when there is no entry or it is another attempt's;
    /// [`PipelineError::Checkpoint`] when it can't be read.
    pub async fn load_end(
        &self,
        batch: BatchId,
        fingerprint: Option<u64>,
    ) -> Result<OffsetEntry, PipelineError> {
        let entry = self.load_entry(batch).await?;
        let state = match entry {
            None => "is missing",
            Some(entry) if fingerprint.is_none_or(|print| print == entry.end.fingerprint()) => {
                return Ok(entry);
            }
            Some(_) => "is there, but of another attempt",
        };
        Err(PipelineError::OffsetUnknown { batch, state })
    }

    /// Writes an entry under its number if that is free. `false` means that it is taken.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when the entry can't be written.
    pub async fn claim_entry(&self, entry: &OffsetEntry) -> Result<bool, CheckpointError> {
        let path = entry_path(entry.batch);
        let text = serde_json::to_string(entry).map_err(|e| CheckpointError::Damaged {
            path: self.full(&path),
            reason: e.to_string(),
        })?;
        match self.put(&path, text, PutMode::Create).await {
            Ok(()) => Ok(true),
            Err(CheckpointError::Store {
                source: object_store::Error::AlreadyExists { .. },
                ..
            }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes all entries but the newest hundred up to `batch`, the last committed one.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when the entries can't be listed or removed.
    pub async fn prune_entries(&self, batch: BatchId) -> Result<(), CheckpointError> {
        let entries = self.list(OFFSETS).await?;
        let mut batches: Vec<BatchId> = entries
            .iter()
            .filter_map(|entry| entry.filename()?.parse().ok())
            .filter(|n| *n <= batch)
            .collect();
        batches.sort_unstable_by(|a, b| b.cmp(a));
        for old in batches.iter().skip(KEPT_ENTRIES) {
            self.remove(&entry_path(*old)).await?;
        }
        Ok(())
    }

    /// Writes and removes a file, to find out whether the location can be written.
    ///
    /// # Errors
    /// [`CheckpointError::Store`] when the file can't be written or removed.
    pub async fn probe(&self) -> Result<(), CheckpointError> {
        const PROBE: &str = ".sandbar-probe";
        self.put(PROBE, String::new(), PutMode::Overwrite).await?;
        self.remove(PROBE).await
    }

    /// A file's name for messages.
    pub(crate) fn full(&self, path: &str) -> String {
        let slash = if self.shown.ends_with('/') { "" } else { "/" };
        format!("{}{slash}{path}", self.shown)
    }

    async fn list(&self, folder: &str) -> Result<Vec<Path>, CheckpointError> {
        let found = self.store.list(Some(&Path::from(folder)));
        let found = found.map_ok(|found| found.location).try_collect().await;
        found.map_err(|source| self.failed(folder, source))
    }

    /// Removes a file. That somebody else did is no error.
    async fn remove(&self, path: &str) -> Result<(), CheckpointError> {
        match self.store.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed(path, source)),
        }
    }

    fn failed(&self, path: &str, source: object_store::Error) -> CheckpointError {
        CheckpointError::Store {
            path: self.full(path),
            source,
        }
    }

    pub(crate) async fn put(
        &self,
        path: &str,
        content: impl Into<PutPayload>,
        mode: PutMode,
    ) -> Result<(), CheckpointError> {
        self.store
            .put_opts(&Path::from(path), content.into(), mode.into())
            .await
            .map(|_| ())
            .map_err(|source| self.failed(path, source))
    }

    pub(crate) async fn read_text(&self, path: &str, max: u64) -> Result<Option<String>, CheckpointError> {
        let Some(bytes) = self.read_bytes(path, max).await? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes.into()).map_err(|e| self.not_json(path, e))?;
        Ok(Some(text))
    }

    async fn read_bytes(&self, path: &str, max: u64) -> Result<Option<Bytes>, CheckpointError> {
        let found = match self.store.get(&Path::from(path)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.failed(path, source)),
        };
        if found.meta.size > max {
            return Err(CheckpointError::Damaged {
                path: self.full(path),
                reason: format!("{} bytes; {max} are allowed", found.meta.size),
            });
        }
        let bytes = found.bytes().await.map_err(|source| self.failed(path, source))?;
        Ok(Some(bytes))
    }

    fn not_json(&self, path: &str, error: impl fmt::Display) -> CheckpointError {
        CheckpointError::Damaged {
            path: self.full(path),
            reason: format!("not JSON: {error}"),
        }
    }
}

impl fmt::Display for CheckpointLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for CheckpointLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointLocation({})", self.shown)
    }
}

/// `components/sha256-<hexadecimal digits>.wasm`. Whatever else a digest holds is left out.
fn component_path(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let hex: String = hex.chars().filter(char::is_ascii_hexdigit).collect();
    format!("{COMPONENTS}/sha256-{hex}.wasm")
}

fn entry_path(batch: BatchId) -> String {
    format!("{OFFSETS}/{batch}")
}

#[cfg(test)]
mod tests;
