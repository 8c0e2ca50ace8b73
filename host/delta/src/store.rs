use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use serde::Deserialize;

/// The folder of a table's log.
pub(crate) const LOG: &str = "_delta_log";

/// A table's store, which brings no folder to life again and knows the log entries that it wrote.
///
/// A local store creates the folders above a file. So whoever removes a table's folder would get it back, with one
/// file in it. Here only [`Table::create_folder`](crate::engine::Table::create_folder) creates the folders that
/// make a table.
#[derive(Debug)]
pub(crate) struct TableStore {
    inner: Arc<dyn ObjectStore>,
    /// The table's folder, where it is one of this machine.
    folder: Option<PathBuf>,
    log: Path,
    tags: EntryTags,
}

/// Log entries whose tags are kept: more than are written while one log checkpoint is.
const KEPT_TAGS: usize = 1000;

/// The newest log entries that were written or read here, each with the tag that the store gave it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryTags(Arc<Mutex<VecDeque<(Path, String)>>>);

impl EntryTags {
    /// The tag that the log entry at this path had.
    pub(crate) fn get(&self, path: &Path) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = kept.iter().rfind(|(kept, _)| kept == path);
        newest.map(|(_, tag)| tag.clone())
    }

    pub(crate) fn note(&self, path: &Path, tag: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((path.clone(), tag));
        if kept.len() > KEPT_TAGS {
            kept.pop_front();
        }
    }
}

/// What changes whenever a file does.
pub(crate) fn tag_of(meta: &ObjectMeta) -> String {
    let dated = || format!("{}-{}", meta.last_modified.timestamp_micros(), meta.size);
    meta.e_tag.clone().unwrap_or_else(dated)
}

impl TableStore {
    /// `root` is the table's path in the store.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, folder: Option<PathBuf>, root: &Path) -> Self {
        Self {
            inner,
            folder,
            log: root.clone().join(LOG),
            tags: EntryTags::default(),
        }
    }

    pub(crate) fn tags(&self) -> EntryTags {
        self.tags.clone()
    }

    /// Fails unless the log entry is there, and the one that is known.
    async fn check_entry(&self, entry: &Path) -> Result<()> {
        let found = tag_of(&self.inner.head(entry).await?);
        match self.tags.get(entry).is_none_or(|known| known == found) {
            true => Ok(()),
            false => Err(Error::NotFound {
                path: entry.to_string(),
                source: "the entry of another table is there".into(),
            }),
        }
    }

    /// Refuses to write below a folder that is gone.
    async fn check_folder(&self, path: &Path) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let needed = match path.prefix_matches(&self.log) {
            true => folder.join(LOG),
            false => folder.clone(),
        };
        let looked_for = needed.clone();
        let looking = tokio::task::spawn_blocking(move || looked_for.is_dir());
        let is_there = looking.await.map_err(|source| Error::JoinError { source })?;
        match is_there {
            true => Ok(()),
            false => Err(Error::NotFound {
                path: path.to_string(),
                source: format!("the folder {} is gone", needed.display()).into(),
            }),
        }
    }

    /// The log entry of the version that a log checkpoint, a checksum or a hint at a checkpoint is about. Without that
    /// entry they would be taken for a part of whatever table comes after one that was removed.
    fn entry_of(&self, path: &Path, payload: &PutPayload) -> Option<Path> {
        let name = path.filename().filter(|_| path.prefix_matches(&self.log))?;
        if name == "_last_checkpoint" {
            let bytes: Vec<u8> = payload.iter().flatten().copied().collect();
            let hint: Hint = serde_json::from_slice(&bytes).ok()?;
            return Some(self.entry(&format!("{:020}", hint.version)));
        }
        let (version, kind) = name.split_once('.')?;
        let is_number = version.len() == 20 && version.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && kind != "json").then(|| self.entry(version))
    }

    fn entry(&self, version: &str) -> Path {
        self.log.clone().join(format!("{version}.json"))
    }
}

/// What matters of `_last_checkpoint`.
#[derive(Deserialize)]
struct Hint {
    version: u64,
}

#[async_trait]
impl ObjectStore for TableStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let entry = self.entry_of(path, &payload);
        if let Some(entry) = &entry {
            self.check_entry(entry).await?;
        }
        self.check_folder(path).await?;
        let done = self.inner.put_opts(path, payload, options).await?;
        if let Some(entry) = &entry
            && let Err(e @ Error::NotFound { .. }) = self.check_entry(entry).await
        {
            self.inner.delete(path).await?;
            return Err(e);
        }
        if path.prefix_matches(&self.log)
            && path.extension() == Some("json")
            && let Some(tag) = &done.e_tag
        {
            self.tags.note(path, tag.clone());
        }
        Ok(done)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if let Some(entry) = self.entry_of(path, &PutPayload::default()) {
            self.check_entry(&entry).await?;
        }
        self.check_folder(path).await?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check_folder(to).await?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.check_folder(to).await?;
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Display for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
