//! A checkpoint location in memory whose calls are counted, and which can be lost or restored.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::process::{Point, Process};
use super::script::{Shared, lock, shared};
use crate::CheckpointLocation;

/// What lies in a checkpoint location, and a copy of what lay there before anything was written.
#[derive(Clone)]
pub(crate) struct Files {
    now: Arc<InMemory>,
    older: Shared<Option<InMemory>>,
}

/// One process's way to the files.
struct Counted {
    files: Files,
    process: Process,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            now: Arc::new(InMemory::new()),
            older: shared(None),
        }
    }
}

impl Files {
    /// Another place with the same files.
    pub(crate) fn fork(&self) -> Self {
        Self {
            now: Arc::new(self.now.fork()),
            older: shared(None),
        }
    }

    /// The way for tests: nothing is counted.
    pub(crate) fn location(&self) -> CheckpointLocation {
        CheckpointLocation::new(self.now.clone(), Path::default(), "memory://")
    }

    pub(crate) fn location_of(&self, process: &Process) -> CheckpointLocation {
        let store = Counted {
            files: self.clone(),
            process: process.clone(),
        };
        CheckpointLocation::new(Arc::new(store), Path::default(), "memory://")
    }

    /// Leaves a file as something else would.
    pub(crate) async fn leave(&self, path: &str, text: &str) {
        self.now
            .put(&Path::from(path), text.to_owned().into())
            .await
            .unwrap();
    }

    /// The numbers in the offset log.
    pub(crate) async fn entries(&self) -> Vec<u64> {
        let found = self.paths().await;
        let mut numbers: Vec<u64> = found.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    pub(crate) async fn lose(&self) {
        for path in self.paths().await {
            self.now.delete(&path).await.unwrap();
        }
    }

    /// Loses the offset log's entries from this one on.
    pub(crate) async fn lose_entries_from(&self, batch: u64) {
        for path in self.paths().await {
            if number(&path).is_some_and(|n| n >= batch) {
                self.now.delete(&path).await.unwrap();
            }
        }
    }

    /// Goes back to what was there before any process wrote. `false` if none did.
    pub(crate) async fn restore_older(&self) -> bool {
        let Some(copy) = lock(&self.older).take() else {
            return false;
        };
        self.restore(&copy).await;
        true
    }

    /// Goes back to a copy.
    pub(crate) async fn restore_from(&self, copy: &Self) {
        self.restore(&copy.now).await;
    }

    async fn restore(&self, copy: &InMemory) {
        self.lose().await;
        for meta in copy.list(None).try_collect::<Vec<_>>().await.unwrap() {
            let bytes = copy.get(&meta.location).await.unwrap().bytes().await.unwrap();
            self.now.put(&meta.location, bytes.into()).await.unwrap();
        }
    }

    async fn paths(&self) -> Vec<Path> {
        let found = self.now.list(None).map_ok(|meta| meta.location);
        found.try_collect().await.unwrap()
    }
}

fn number(path: &Path) -> Option<u64> {
    path.as_ref().strip_prefix("offsets/")?.parse().ok()
}

fn is_versions(path: &Path) -> bool {
    path.as_ref() == "component.json"
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let point = match number(path) {
            Some(_) => Point::Claim,
            None if is_versions(path) => Point::SaveVersions,
            None => Point::SaveNote,
        };
        let begun = self.process.begin(point).await?;
        lock(&self.files.older).get_or_insert_with(|| self.files.now.fork());
        let result = self.files.now.put_opts(path, payload, options).await;
        begun.end().await?;
        result
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let point = match number(path) {
            Some(_) => Point::LoadEntry,
            None if is_versions(path) => Point::LoadVersions,
            None => Point::LoadNote,
        };
        let begun = self.process.begin(point).await?;
        let result = self.files.now.get_opts(path, options).await;
        begun.end().await?;
        result
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (process, now, prefix) = (self.process.clone(), self.files.now.clone(), prefix.cloned());
        let found = async move {
            let begun = process.begin(Point::List).await?;
            let found: Vec<_> = now.list(prefix.as_ref()).try_collect().await?;
            begun.end().await?;
            Ok::<_, object_store::Error>(stream::iter(found).map(Ok))
        };
        stream::once(found).try_flatten().boxed()
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (process, now) = (self.process.clone(), self.files.now.clone());
        let delete = move |path: Result<Path>| {
            let (process, now) = (process.clone(), now.clone());
            async move {
                let path = path?;
                let begun = process.begin(Point::Delete).await?;
                let result = now.delete(&path).await;
                begun.end().await?;
                result.map(|()| path)
            }
        };
        paths.then(delete).boxed()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("notes are small")
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        unreachable!("nobody lists folders")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unreachable!("nobody copies")
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counted")
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counted")
    }
}
