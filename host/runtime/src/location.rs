use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use sandbar_pipeline::{CheckpointError, CheckpointLocation};
use url::Url;

/// A place in an object store, ready for use. `store` is `None` for folders of this machine.
pub(crate) struct TableLocation {
    pub(crate) url: Url,
    pub(crate) store: Option<Arc<dyn ObjectStore>>,
}

/// Finds a table: a folder of this machine, or `s3://`, `az://`, `gs://` with settings from the environment
/// (`AWS_*`, `AZURE_*`, `GOOGLE_*`).
pub(crate) fn table(location: &str) -> Result<TableLocation, String> {
    if !location.contains("://") {
        let url = Url::from_directory_path(Path::new(location))
            .map_err(|()| format!("{location:?} is no absolute path"))?;
        return Ok(TableLocation { url, store: None });
    }
    let url = Url::parse(location).map_err(|e| format!("{location:?}: {e}"))?;
    if url.scheme() == "file" {
        return Ok(TableLocation { url, store: None });
    }
    let (store, _) = open_store(&url)?;
    Ok(TableLocation {
        url,
        store: Some(store),
    })
}

/// Opens a checkpoint location.
pub(crate) fn checkpoint(location: &str) -> Result<CheckpointLocation, CheckpointError> {
    let bad = |reason: String| CheckpointError::Location {
        location: location.to_owned(),
        reason,
    };
    if location.starts_with("dbfs:") {
        return Err(bad(
            "Unity Catalog volumes (dbfs:/Volumes/...) can't be used yet; use a path, s3://, az:// or gs://"
                .into(),
        ));
    }
    if !location.contains("://") {
        return CheckpointLocation::local(Path::new(location));
    }
    let url = Url::parse(location).map_err(|e| bad(e.to_string()))?;
    match url.scheme() {
        "memory" => Ok(CheckpointLocation::memory()),
        "file" => {
            let path = url
                .to_file_path()
                .map_err(|()| bad("it is no local path".into()))?;
            CheckpointLocation::local(&path)
        }
        _ => {
            let (store, prefix) = open_store(&url).map_err(bad)?;
            Ok(CheckpointLocation::new(store, prefix, location))
        }
    }
}

fn open_store(url: &Url) -> Result<(Arc<dyn ObjectStore>, object_store::path::Path), String> {
    // Names that a store does not know are ignored by it.
    let settings = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, path) = object_store::parse_url_opts(url, settings).map_err(|e| e.to_string())?;
    Ok((store.into(), path))
}
