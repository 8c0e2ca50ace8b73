use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sandbar_pipeline::{Clock, SystemClock};
use sandbar_sandbox::{ComponentCache, Connector, Sandbox, digest};
use tokio::sync::Mutex;

use crate::config::PipelineFile;
use crate::open::OpenPipeline;
use crate::{Description, RuntimeError};

/// What all pipelines of a process share: the engine, the cache of compiled components, the clock.
pub struct Host {
    sandbox: Sandbox,
    cache: Option<ComponentCache>,
    clock: Arc<dyn Clock>,
    loaded: Mutex<HashMap<String, Arc<Connector>>>,
}

impl Host {
    /// A host with the machine's clock and the user's cache folder.
    ///
    /// # Errors
    /// This machine can't run WebAssembly.
    pub fn new() -> Result<Self, RuntimeError> {
        let cache = ComponentCache::user_folder().and_then(|folder| ComponentCache::open(&folder));
        Ok(Self {
            sandbox: Sandbox::new()?,
            cache,
            clock: Arc::new(SystemClock::default()),
            loaded: Mutex::default(),
        })
    }

    /// Loads a component: a built-in by its name, or else the file at `path`. Each digest is loaded once.
    ///
    /// # Errors
    /// It is not there, or can't be used: see [`Connector::load`].
    pub async fn load(&self, name: &str, path: Option<&Path>) -> Result<Arc<Connector>, RuntimeError> {
        let bytes: Arc<[u8]> = match path {
            Some(path) => std::fs::read(path)
                .map_err(|source| RuntimeError::ComponentFile {
                    path: path.to_owned(),
                    source,
                })?
                .into(),
            None => sandbar_components::builtin(name)
                .ok_or_else(|| RuntimeError::UnknownComponent {
                    name: name.to_owned(),
                    known: sandbar_components::builtin_names().collect::<Vec<_>>().join(", "),
                })?
                .into(),
        };
        let digest = digest(&bytes);
        let mut loaded = self.loaded.lock().await;
        if let Some(connector) = loaded.get(&digest) {
            return Ok(connector.clone());
        }
        let connector = Connector::load(&self.sandbox, bytes, name, self.cache.as_ref()).await?;
        let connector = Arc::new(connector);
        loaded.insert(digest, connector.clone());
        Ok(connector)
    }

    /// Loads the component that a pipeline file names, and compares it with the file's pin.
    ///
    /// # Errors
    /// As [`Host::load`]; [`RuntimeError::Config`] when the digest is another one.
    pub async fn load_for(&self, file: &PipelineFile) -> Result<Arc<Connector>, RuntimeError> {
        let config = &file.config().source;
        let path = file.component_path();
        let connector = self.load(&config.component, path.as_deref()).await?;
        match &config.digest {
            Some(pin) if *pin != connector.id().digest => Err(file
                .error_at(
                    "source.digest",
                    &format!("the component has the digest {}", connector.id().digest),
                    Some("compare where the component came from; write the new digest only if you trust it"),
                )
                .into()),
            _ => Ok(connector),
        }
    }

    /// Opens what a pipeline file describes. Nothing is read from the remote yet, and no table is created.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the component, its options or the checkpoint location.
    pub async fn open(&self, file: &PipelineFile) -> Result<OpenPipeline, RuntimeError> {
        let connector = self.load_for(file).await?;
        let location = file.checkpoint_location();
        let checkpoint = crate::location::checkpoint(&location, self.clock.clone())?;
        OpenPipeline::open(file, connector, checkpoint, self.clock.clone()).await
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}

/// Checks the options of a file against what the component wants.
pub(crate) fn check_options(file: &PipelineFile, description: &Description) -> Result<(), RuntimeError> {
    Ok(file.check_options(&description.options_schema)?)
}
