use std::path::Path;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use sandbar_pipeline::look_at_file;
use sandbar_pipeline::{CheckpointError, CheckpointLocation, Clock};
use url::Url;

use crate::conditional_put::{Denied, Place};
use crate::place::unreadable_name;
use sandbar_volumes::VolumeStore;

/// Beginnings of the environment's names that speak of stores. Others would be taken as well if they were
/// offered: `TOKEN`, `REGION`, `BUCKET`.
const SETTINGS: [&str; 6] = [
    "aws_",
    "azure_",
    "google_",
    "service_account",
    "msi_endpoint",
    "identity_endpoint",
];
/// Those of them that name a file.
const FILES: [&str; 7] = [
    "aws_container_authorization_token_file",
    "aws_web_identity_token_file",
    "azure_federated_token_file",
    "google_application_credentials",
    "google_service_account",
    "google_service_account_path",
    "service_account",
];
/// The longest file of a key or a token.
const MAX_FILE: u64 = 1 << 20;
/// Tries of a request that finds out what a store can do, beside the first one. It may be answered with 501.
const PROBE_RETRIES: usize = 2;

/// Where a table lies. `place` is `None` for folders of this machine.
pub(crate) struct TableLocation {
    pub(crate) url: Url,
    pub(crate) place: Option<Place>,
}

/// A checkpoint location, and what its offset log depends on.
pub(crate) struct CheckpointPlace {
    pub(crate) location: CheckpointLocation,
    place: Option<Place>,
}

impl CheckpointPlace {
    /// One that is gone with the process.
    pub(crate) fn memory() -> Self {
        CheckpointLocation::memory().into()
    }

    /// The location for an offset log, whose entries' names are taken once. Asks the store where it is not known
    /// whether it can do that.
    pub(crate) async fn for_offset_log(&self, single_writer: bool) -> Result<CheckpointLocation, Denied> {
        let Some(place) = &self.place else {
            return Ok(self.location.clone());
        };
        let store = place.exclusive(single_writer).await?;
        Ok(self.location.through(store, place.folder.clone()))
    }
}

impl From<CheckpointLocation> for CheckpointPlace {
    fn from(location: CheckpointLocation) -> Self {
        Self {
            location,
            place: None,
        }
    }
}

/// Finds a table: a folder of this machine, or `s3://`, `az://`, `gs://` with settings from the environment
/// (`AWS_*`, `AZURE_*`, `GOOGLE_*`).
pub(crate) fn table(location: &str) -> Result<TableLocation, String> {
    if let Some(fault) = unreadable_name(location) {
        return Err(fault);
    }
    if !location.contains("://") {
        let url = Url::from_directory_path(Path::new(location))
            .map_err(|()| format!("{location:?} is no absolute path"))?;
        return Ok(TableLocation { url, place: None });
    }
    let url = Url::parse(location).map_err(|e| format!("{location:?}: {e}"))?;
    if url.scheme() == "file" {
        return Ok(TableLocation { url, place: None });
    }
    let place = open_store(&url)?;
    Ok(TableLocation {
        url,
        place: Some(place),
    })
}

/// What becomes of a folder that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingFolder {
    /// It is created.
    Create,
    /// It counts as empty, for whoever only looks.
    Leave,
}

/// Opens a checkpoint location: a folder of this machine, `memory://`, `s3://`, `az://`, `gs://`, or a folder of a
/// Unity Catalog volume.
pub(crate) fn checkpoint(
    location: &str,
    missing: MissingFolder,
    clock: Arc<dyn Clock>,
) -> Result<CheckpointPlace, CheckpointError> {
    let bad = |reason: String| CheckpointError::Location {
        location: location.to_owned(),
        reason,
    };
    if location.starts_with("dbfs:") {
        let store = VolumeStore::open(location, variable, clock).map_err(bad)?;
        let location = CheckpointLocation::new(Arc::new(store), "".into(), location);
        return Ok(location.into());
    }
    let local = |folder: &Path| match missing == MissingFolder::Leave && !folder.exists() {
        true => Ok(CheckpointPlace::memory()),
        false => Ok(CheckpointLocation::local(folder)?.into()),
    };
    if !location.contains("://") {
        return local(Path::new(location));
    }
    let url = Url::parse(location).map_err(|e| bad(e.to_string()))?;
    match url.scheme() {
        "memory" => Ok(CheckpointPlace::memory()),
        "file" => {
            let path = url
                .to_file_path()
                .map_err(|()| bad("it is no local path".into()))?;
            local(&path)
        }
        _ => {
            let place = open_store(&url).map_err(bad)?;
            let location = CheckpointLocation::new(place.store.clone(), place.folder.clone(), location);
            Ok(CheckpointPlace {
                location,
                place: Some(place),
            })
        }
    }
}

fn open_store(url: &Url) -> Result<Place, String> {
    let settings = settings(std::env::vars_os().filter_map(|(name, value)| {
        // Names and values that are no text are none of a store's settings.
        Some((name.into_string().ok()?, value.into_string().ok()?))
    }));
    look_at_files(&settings)?;
    let (scheme, _) = ObjectStoreScheme::parse(url).map_err(|e| e.to_string())?;
    let (store, folder) =
        object_store::parse_url_opts(url, settings.iter().cloned()).map_err(|e| e.to_string())?;
    let mut place = Place {
        store: store.into(),
        folder,
        shown: url.to_string(),
        doubted: None,
    };
    if matches!(scheme, ObjectStoreScheme::AmazonS3) {
        let (store, endpoint) = impatient_s3(url, &settings)?;
        place.doubted = Some(store);
        if let Some(endpoint) = endpoint {
            place.shown = format!("{} (at {endpoint})", place.shown);
        }
    }
    Ok(place)
}

/// A store reads these files as soon as it is set up, or when it needs a token, whatever they are.
fn look_at_files(settings: &[(String, String)]) -> Result<(), String> {
    for (name, path) in settings.iter().filter(|(name, _)| FILES.contains(&name.as_str())) {
        look_at_file(Path::new(path), MAX_FILE)
            .map_err(|e| format!("{}, {path}: {e}", name.to_uppercase()))?;
    }
    Ok(())
}

/// The same store, for a question to which many stores answer with an error, and its endpoint where one is set.
fn impatient_s3(
    url: &Url,
    settings: &[(String, String)],
) -> Result<(Arc<dyn ObjectStore>, Option<String>), String> {
    let mut builder = AmazonS3Builder::new().with_url(url.as_str());
    for (name, value) in settings {
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    let retry = RetryConfig {
        max_retries: PROBE_RETRIES,
        ..RetryConfig::default()
    };
    let store = builder.with_retry(retry).build().map_err(|e| e.to_string())?;
    Ok((Arc::new(store), endpoint))
}

/// What the environment says of stores, with names in lower case. Names that a store does not know are ignored by
/// it.
fn settings(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    variables
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| SETTINGS.iter().any(|beginning| name.starts_with(beginning)))
        .collect()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_of_stores_is_a_stores_setting() {
        let names = ["AWS_REGION", "Azure_Storage_Account_Name", "GOOGLE_BUCKET"];
        let others = ["TOKEN", "REGION", "BUCKET", "ENDPOINT", "USER_AGENT", "PATH"];
        let all = names.iter().chain(&others);
        let found = settings(all.map(|name| ((*name).to_owned(), "x".to_owned())));
        let found: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            found,
            ["aws_region", "azure_storage_account_name", "google_bucket"]
        );
        // What would happen to them.
        assert!("token".parse::<AmazonS3ConfigKey>().is_ok());
    }

    #[test]
    fn only_s3_is_doubted() {
        let open = |url: &str| open_store(&Url::parse(url).unwrap()).unwrap();
        assert!(open("s3://bucket/table").doubted.is_some());
        assert!(
            open("https://account.r2.cloudflarestorage.com/bucket")
                .doubted
                .is_some()
        );
        let azure = "https://account.blob.core.windows.net/container/table";
        assert!(open(azure).doubted.is_none());
    }
}
