//! The pipeline file: TOML in; a typed configuration, or errors that point into the file, out.
//!
//! The text is parsed once into a tree that knows where everything stands, and that tree is walked by hand:
//! so each mistake has a place, all of them come at once, and nothing in the file is ignored in silence.

mod error;
mod grant;
mod model;
mod options;
mod read;
mod redact_snippet;
mod reference;
mod secret;
mod section;
mod spans;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;
use sandbar_pipeline::read_text_file;

pub use error::{ConfigError, Problem};
pub use model::{
    CheckpointConfig, CredentialConfig, CredentialKind, OAuth2Config, PipelineConfig, RegistryConfig,
    SinkConfig, SourceConfig, SwapConfig, TlsConfig, TriggerConfig,
};
pub use reference::{pipeline_file_reference, pipeline_file_schema};
pub use sandbar_policy::Secret;
pub use secret::{SecretError, SecretRef};

use crate::place::{CheckpointPlace, without_parents};
use error::Mistake;
use spans::Spans;

/// The longest pipeline file.
const MAX_BYTES: u64 = 1 << 20;

/// A pipeline file that was read and found right, as far as the file alone can tell.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    config: PipelineConfig,
    path: PathBuf,
    folder: PathBuf,
    source: Arc<NamedSource<String>>,
    /// A fingerprint of the text, which may hold what nobody should see.
    text: u64,
    /// The same for everything but the component and its digest.
    rest: u64,
    spans: Spans,
}

impl PipelineFile {
    /// Reads and parses the file at `path`, which is a regular one of at most 1 MiB.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match read_text_file(path, MAX_BYTES) {
            Ok(text) => Self::parse(&text, path),
            Err(error) => Err(ConfigError::unreadable(path, &error)),
        }
    }

    /// Parses `text` as the content of the file at `path`, which need not exist.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let folder = folder_of(path);
        let read = read::read(text, &folder);
        let source = Arc::new(NamedSource::new(path.to_string_lossy(), read.shown));
        match read.outcome {
            Ok((config, spans)) => Self {
                config,
                path: path.to_path_buf(),
                folder,
                source,
                text: fingerprint(text),
                rest: fingerprint(&without_component(text)),
                spans,
            }
            .with_nameable_folder(),
            Err(mistakes) => Err(ConfigError::new(&source, mistakes)),
        }
    }

    /// What the file says.
    #[must_use]
    pub fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// The file, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The table's location: a URL as it stands, or an absolute path.
    #[must_use]
    pub fn table_location(&self) -> String {
        self.resolve(&self.config.sink.table)
    }

    /// The checkpoint location: a URL as it stands, or an absolute path.
    #[must_use]
    pub fn checkpoint_location(&self) -> String {
        self.resolve(&self.config.checkpoint.location)
    }

    /// The checkpoint location as it is found at this moment, to compare with that of other pipelines. Blocks.
    #[must_use]
    pub fn checkpoint_place(&self) -> CheckpointPlace {
        CheckpointPlace::find(&self.checkpoint_location())
    }

    /// The folder of the file, in which its relative paths begin.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether another file says the same, letter by letter, in the same place.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.text == other.text && self.folder == other.folder
    }

    /// Whether another file says the same but for the component and its digest.
    pub(crate) fn differs_by_component_only(&self, other: &Self) -> bool {
        self.rest == other.rest && self.folder == other.folder && !self.is_same_as(other)
    }

    /// An error at a dotted key of the file, `sink.table` for example, or at the nearest table above it.
    #[must_use]
    pub fn error_at(&self, key: &str, message: &str, help: Option<&str>) -> ConfigError {
        let pointer = format!("/{}", key.replace('.', "/"));
        let mistake = Mistake::new(self.spans.value_or_above(&pointer), message).label("here");
        ConfigError::new(&self.source, vec![mistake.help(help)])
    }

    /// A location is text, everywhere: where a folder's name is none, another folder would be made.
    fn with_nameable_folder(self) -> Result<Self, ConfigError> {
        if self.folder.to_str().is_some() {
            return Ok(self);
        }
        let locations = [
            ("sink.table", &self.config.sink.table),
            ("checkpoint.location", &self.config.checkpoint.location),
        ];
        let relative = locations
            .into_iter()
            .find(|(_, location)| !value::is_url(location) && !Path::new(location).is_absolute());
        match relative {
            None => Ok(self),
            Some((key, _)) => Err(self.error_at(
                key,
                &format!(
                    "`{key}` is relative to the file's folder, whose name is not UTF-8: {}",
                    self.folder.display()
                ),
                Some("write an absolute path, or rename the folder"),
            )),
        }
    }

    fn resolve(&self, location: &str) -> String {
        if value::is_url(location) {
            location.to_owned()
        } else {
            let path = without_parents(self.folder.join(location));
            path.to_string_lossy().into_owned()
        }
    }
}

/// What a file says, without its component and the digest of that.
fn without_component(text: &str) -> String {
    let Ok(mut table) = text.parse::<toml::Table>() else {
        return text.to_owned();
    };
    if let Some(source) = table.get_mut("source").and_then(toml::Value::as_table_mut) {
        source.remove("component");
        source.remove("digest");
    }
    table.to_string()
}

fn fingerprint(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.parent().map(Path::to_path_buf).unwrap_or_default()
}
