use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens to the next put of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen, and says so.
    Lost,
    /// It happens, and says that it failed.
    Unheard,
    /// It happens, and after it nothing can be read.
    Blind,
    /// It does not happen, and says that the object is already there.
    FalseConflict,
}

/// A local store that counts requests and fails on demand.
#[derive(Debug)]
pub struct TestStore {
    inner: LocalFileSystem,
    pub requests: Mutex<Vec<String>>,
    fault: Mutex<Option<Fault>>,
    blind: Mutex<bool>,
}

impl TestStore {
    pub fn new() -> Self {
        Self {
            inner: LocalFileSystem::new(),
            requests: Mutex::default(),
            fault: Mutex::default(),
            blind: Mutex::default(),
        }
    }

    pub fn fail_next(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    pub fn restore_sight(&self) {
        *self.blind.lock().unwrap() = false;
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn note(&self, what: &str, path: impl fmt::Display) -> Result<()> {
        let path = path.to_string();
        let name = path.rsplit('/').next().unwrap_or_default();
        self.requests.lock().unwrap().push(format!("{what} {name}"));
        if *self.blind.lock().unwrap() && !what.starts_with("put") {
            return Err(unavailable());
        }
        Ok(())
    }
}

fn unavailable() -> Error {
    Error::Generic {
        store: "test",
        source: "the store is unavailable".into(),
    }
}

impl fmt::Display for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("test store")
    }
}

#[async_trait]
impl ObjectStore for TestStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.note("put", location)?;
        let is_commit = location.as_ref().ends_with(".json") && location.as_ref().contains("_delta_log");
        let fault = if is_commit {
            self.fault.lock().unwrap().take()
        } else {
            None
        };
        match fault {
            None => self.inner.put_opts(location, payload, opts).await,
            Some(Fault::Lost) => Err(unavailable()),
            Some(Fault::FalseConflict) => Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "409".into(),
            }),
            Some(fault) => {
                self.inner.put_opts(location, payload, opts).await?;
                *self.blind.lock().unwrap() = fault == Fault::Blind;
                Err(unavailable())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.note("put multipart", location)?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.note("get", location)?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.note("list", prefix.cloned().unwrap_or_default()) {
            Ok(()) => self.inner.list(prefix),
            Err(e) => async move { Err(e) }.into_stream().boxed(),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.note("list", prefix.cloned().unwrap_or_default()) {
            Ok(()) => self.inner.list_with_offset(prefix, offset),
            Err(e) => async move { Err(e) }.into_stream().boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.note("list", prefix.cloned().unwrap_or_default())?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.note("copy", from)?;
        self.inner.copy_opts(from, to, options).await
    }
}
