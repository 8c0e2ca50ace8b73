//! A folder of a Unity Catalog volume as an object store, through the Files API of Databricks.
//!
//! It does what a checkpoint location needs: small files, read and written whole; names that are taken once;
//! listing; removing. Whatever the server sends is checked before use, and bounded.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod client;
mod create;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod list;
mod reply;
mod retry;
mod settings;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use http::Method;
use object_store::client::{HttpConnector, ReqwestConnector};
use object_store::path::Path;
use object_store::{
    ClientOptions, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use sandbar_pipeline::Clock;

use client::{Answer, Client, Request};
use error::{VolumeError, not_implemented};
use list::Bounds;
use reply::Entry;

/// A folder of a volume.
#[derive(Clone)]
pub struct VolumeStore {
    client: Arc<Client>,
    /// Begins with `/Volumes/` and has no slash at its end.
    root: Arc<str>,
}

impl VolumeStore {
    /// Opens `dbfs:/Volumes/...` with `DATABRICKS_HOST` and `DATABRICKS_TOKEN`. Asks for nothing yet.
    ///
    /// # Errors
    /// A sentence naming the location when it is no folder of a volume, or the variable that is missing or not usable. It
    /// never holds the token.
    pub fn open(
        location: &str,
        variable: impl Fn(&str) -> Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let root = settings::folder(location)?;
        let workspace = settings::workspace(variable)?;
        // Only a host on loopback may be reached without TLS.
        let plain = workspace.origin.starts_with("http://");
        let options = ClientOptions::new().with_allow_http(plain);
        let http = ReqwestConnector::default()
            .connect(&options)
            .map_err(|e| sandbar_pipeline::with_causes(&e))?;
        Ok(Self {
            client: Arc::new(Client::new(http, workspace, clock)?),
            root: root.into(),
        })
    }

    fn full(&self, location: &Path) -> String {
        match location.as_ref() {
            "" => self.root.to_string(),
            below => format!("{}/{below}", self.root),
        }
    }

    fn meta(&self, folder: &Path, entry: &Entry) -> Result<ObjectMeta> {
        Ok(ObjectMeta {
            location: below(folder, &entry.name)?,
            last_modified: entry.modified,
            size: entry.size,
            e_tag: None,
            version: None,
        })
    }

    async fn entries(&self, folder: &Path, bounds: &mut Bounds) -> Result<Vec<Entry>> {
        let path = self.full(folder);
        list::folder(&self.client, &path, bounds)
            .await
            .map_err(|e| e.at(&path))
    }

    async fn all_below(self, folder: Path) -> Result<Vec<Result<ObjectMeta>>> {
        let mut bounds = Bounds::default();
        let (mut found, mut open) = (vec![], vec![folder]);
        while let Some(folder) = open.pop() {
            for entry in self.entries(&folder, &mut bounds).await? {
                match entry.is_directory {
                    true => open.push(below(&folder, &entry.name)?),
                    false => found.push(self.meta(&folder, &entry)),
                }
            }
        }
        Ok(found)
    }

    async fn remove(&self, location: Path) -> Result<Path> {
        let path = self.full(&location);
        let sent = self.client.send(&Request::file(Method::DELETE, &path)).await;
        match sent.outcome {
            // A try without an answer removed it.
            Err(e) if e.is_not_found() && sent.maybe_done_before => Ok(location),
            Err(e) => Err(e.at(&path)),
            Ok(_) => Ok(location),
        }
    }

    async fn read(&self, path: &str, head: bool) -> Result<(Answer, u64), VolumeError> {
        let method = if head { Method::HEAD } else { Method::GET };
        let request = Request::file(method, path);
        let answer = self.client.ask(&request).await?;
        let size = match head {
            true => reply::length(&answer.headers)
                .ok_or_else(|| self.client.malformed(&request, "a file without a length"))?,
            false => answer.body.len() as u64,
        };
        Ok((answer, size))
    }
}

/// Names come as they are: nothing in them is an escape.
fn below(folder: &Path, name: &str) -> Result<Path> {
    let text = match folder.as_ref() {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    Ok(Path::parse(text)?)
}

#[async_trait]
impl ObjectStore for VolumeStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = self.full(location);
        let content = Bytes::from(payload);
        let done = match options.mode {
            PutMode::Overwrite => create::overwrite(&self.client, &path, content).await,
            PutMode::Create => create::create(&self.client, &path, content).await,
            PutMode::Update(_) => return Err(not_implemented("put with PutMode::Update")),
        };
        done.map_err(|e| e.at(&path))?;
        Ok(PutResult {
            e_tag: None,
            version: None,
            extensions: Default::default(),
        })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_implemented("put_multipart"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.version.is_some() {
            return Err(not_implemented("get of a version"));
        }
        let path = self.full(location);
        let (answer, size) = self.read(&path, options.head).await.map_err(|e| e.at(&path))?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: reply::modified(&answer.headers),
            size,
            e_tag: None,
            version: None,
        };
        options.check_preconditions(&meta)?;
        let range = match (&options.range, options.head) {
            (Some(range), false) => range.as_range(size).map_err(|e| object_store::Error::Generic {
                store: "Databricks volume",
                source: e.into(),
            })?,
            _ => 0..size,
        };
        let body = match options.head {
            true => Bytes::new(),
            // Both ends lie in the body, whose length is `size`.
            false => answer.body.slice(range.start as usize..range.end as usize),
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async { Ok(body) }).boxed()),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .and_then(move |location| {
                let store = store.clone();
                async move { store.remove(location).await }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = prefix.cloned().unwrap_or_default();
        let all = self.clone().all_below(folder);
        all.map(|found| found.map(stream::iter))
            .into_stream()
            .try_flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = prefix.cloned().unwrap_or_default();
        let entries = self.entries(&folder, &mut Bounds::default()).await?;
        let (folders, files): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_directory);
        Ok(ListResult {
            common_prefixes: folders
                .iter()
                .map(|entry| below(&folder, &entry.name))
                .collect::<Result<_>>()?,
            objects: files
                .iter()
                .map(|entry| self.meta(&folder, entry))
                .collect::<Result<_>>()?,
            extensions: Default::default(),
        })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_implemented("copy"))
    }
}

impl fmt::Display for VolumeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.root, self.client.origin())
    }
}

impl fmt::Debug for VolumeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VolumeStore({self})")
    }
}
