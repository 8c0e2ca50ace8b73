use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::process::{Answer, Effect, Fault, Process, StepKind};

/// A store as one process reaches it: every request is a step of the process, and goes wrong when the process's
/// step does.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    process: Arc<Process>,
}

impl FaultyStore {
    /// `inner` through the eyes of `process`.
    pub fn new(inner: Arc<dyn ObjectStore>, process: Arc<Process>) -> Self {
        Self { inner, process }
    }

    async fn write<T: Send + 'static>(
        &self,
        what: &str,
        path: &Path,
        write: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(fault) = self.process.begin(StepKind::Write, step_name(what, path)).await else {
            return write.await;
        };
        match fault.effect {
            Effect::Before => {}
            Effect::After => drop(write.await),
            Effect::Late => self.process.keep_late(write.map(drop).boxed()),
        }
        Err(self.answer(fault, path))
    }

    async fn read(&self, what: &str, path: &Path) -> Result<()> {
        match self.process.begin(StepKind::Read, step_name(what, path)).await {
            None => Ok(()),
            Some(fault) => Err(self.answer(fault, path)),
        }
    }

    fn answer(&self, fault: Fault, path: &Path) -> Error {
        let generic = |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic {
            store: "faulty",
            source,
        };
        match fault.answer {
            Answer::Error => generic("the store is unavailable".into()),
            Answer::Timeout => generic(Box::new(io::Error::from(io::ErrorKind::TimedOut))),
            Answer::Conflict => Error::AlreadyExists {
                path: path.to_string(),
                source: "409".into(),
            },
            Answer::Crash => {
                self.process.kill();
                generic("the process is gone".into())
            }
        }
    }

    fn listed<T: Send + 'static>(
        &self,
        prefix: Option<&Path>,
        list: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let begun = async move { store.read("list", &prefix).await.map(|()| list) };
        begun.into_stream().try_flatten().boxed()
    }
}

/// The last two parts of a path, with what is random in them left out.
fn step_name(what: &str, path: &Path) -> String {
    let parts: Vec<_> = path.parts().collect();
    let tail: Vec<_> = parts
        .iter()
        .skip(parts.len().saturating_sub(2))
        .map(|part| part.as_ref())
        .collect();
    match tail.as_slice() {
        [.., name] if name.ends_with(".zstd.parquet") => format!("{what} data file"),
        tail => format!("{what} {}", tail.join("/")),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (inner, path) = (Arc::clone(&self.inner), location.clone());
        let put = async move { inner.put_opts(&path, payload, opts).await };
        self.write("put", location, put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.read("begin", location).await?;
        Ok(Box::new(FaultyUpload {
            upload: Arc::new(tokio::sync::Mutex::new(
                self.inner.put_multipart_opts(location, opts).await?,
            )),
            store: self.clone(),
            path: location.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let what = if options.head { "head" } else { "get" };
        self.read(what, location).await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .and_then(move |path| {
                let store = store.clone();
                async move {
                    let (inner, gone) = (Arc::clone(&store.inner), path.clone());
                    let delete = async move {
                        let one = futures::stream::once(async move { Ok(gone) }).boxed();
                        inner.delete_stream(one).try_collect::<Vec<_>>().await
                    };
                    store.write("delete", &path, delete).await.map(|_| path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.read("list", &prefix.cloned().unwrap_or_default()).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (inner, source, target) = (Arc::clone(&self.inner), from.clone(), to.clone());
        let copy = async move { inner.copy_opts(&source, &target, options).await };
        self.write("copy to", to, copy).await
    }
}

/// An upload in parts, each of them a step.
#[derive(Debug)]
struct FaultyUpload {
    upload: Arc<tokio::sync::Mutex<Box<dyn MultipartUpload>>>,
    store: FaultyStore,
    path: Path,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (store, path) = (self.store.clone(), self.path.clone());
        let upload = Arc::clone(&self.upload);
        let put = async move { upload.lock().await.put_part(data).await };
        async move { store.write("put part of", &path, put).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let upload = Arc::clone(&self.upload);
        let complete = async move { upload.lock().await.complete().await };
        self.store.write("complete", &self.path, complete).await
    }

    async fn abort(&mut self) -> Result<()> {
        let upload = Arc::clone(&self.upload);
        let abort = async move { upload.lock().await.abort().await };
        self.store.write("abort", &self.path, abort).await
    }
}
