use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbar_egress::Process;
use sandbar_pipeline::{Clock, SystemClock, read_beginning};
use sandbar_policy::Limits;
use sandbar_sandbox::{Compiler, ComponentCache, Connector, Sandbox, SandboxError, digest};
use tokio::sync::{Mutex, OnceCell};

use crate::config::{PipelineFile, nearest};
use crate::open::OpenPipeline;
use crate::place::inside_of_table;
use crate::{Description, RuntimeError};

/// The longest that checking options is waited for.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// What all pipelines of a process share: the engine, the cache of compiled components, the clock.
///
/// It serves the process that it was made in, and so does everything that it opens. In a fork of that process all of them
/// answer with [`SandboxError::Forked`]; a runtime that is made there works.
pub struct Runtime {
    cache: Option<ComponentCache>,
    compiler: Compiler,
    clock: Arc<dyn Clock>,
    process: Process,
    /// One engine for each size of the stack.
    sandboxes: Mutex<HashMap<u64, Sandbox>>,
    /// By digest and stack. Each has a cell of its own, so that none waits for a slow one.
    loaded: Mutex<HashMap<(String, u64), Loaded>>,
}

type Loaded = Arc<OnceCell<Arc<Connector>>>;

impl Runtime {
    /// A runtime with the machine's clock and the user's cache folder. A thread of this process compiles components: for those
    /// of strangers, see [`compiling_with`](Self::compiling_with).
    ///
    /// # Errors
    /// This machine can't run WebAssembly.
    pub fn new() -> Result<Self, RuntimeError> {
        Self::with_cache(ComponentCache::user_folder().as_deref())
    }

    /// A runtime that keeps compiled components in this folder, or nowhere.
    ///
    /// # Errors
    /// This machine can't run WebAssembly.
    pub fn with_cache(folder: Option<&Path>) -> Result<Self, RuntimeError> {
        let stack = Limits::default().stack;
        Ok(Self {
            cache: folder.and_then(ComponentCache::open),
            compiler: Compiler::default(),
            clock: Arc::new(SystemClock::default()),
            process: Process::this(),
            sandboxes: Mutex::new(HashMap::from([(stack, Sandbox::new(stack)?)])),
            loaded: Mutex::default(),
        })
    }

    /// The same with components compiled by another process, which can be stopped and kept within bounds: see
    /// [`Compiler::Program`].
    #[must_use]
    pub fn compiling_with(self, compiler: Compiler) -> Self {
        Self { compiler, ..self }
    }

    /// Loads a component: a built-in by its name, or else the file at `path`. Each digest is loaded once.
    ///
    /// # Errors
    /// It is not there, or can't be used: see [`Connector::load`].
    pub async fn load(&self, name: &str, path: Option<&Path>) -> Result<Arc<Connector>, RuntimeError> {
        self.load_within(name, path, &Limits::default()).await
    }

    async fn load_within(
        &self,
        name: &str,
        path: Option<&Path>,
        limits: &Limits,
    ) -> Result<Arc<Connector>, RuntimeError> {
        let bytes = self.read(name, path, limits).await?;
        self.load_bytes(name, bytes, limits).await
    }

    /// The bytes of a component, as far as it may be long and one more.
    async fn read(
        &self,
        name: &str,
        path: Option<&Path>,
        limits: &Limits,
    ) -> Result<Arc<[u8]>, RuntimeError> {
        self.check_process()?;
        match path {
            Some(path) => read_component(path.to_owned(), limits.component_size).await,
            None => match sandbar_components::builtin(name) {
                Some(bytes) => Ok(bytes.into()),
                None => Err(RuntimeError::UnknownComponent {
                    name: name.to_owned(),
                    nearest: nearest(name, sandbar_components::builtin_names()),
                    known: sandbar_components::builtin_names().collect::<Vec<_>>().join(", "),
                }),
            },
        }
    }

    async fn load_bytes(
        &self,
        name: &str,
        bytes: Arc<[u8]>,
        limits: &Limits,
    ) -> Result<Arc<Connector>, RuntimeError> {
        let sandbox = self.sandbox(limits.stack).await?;
        let cell = {
            let mut loaded = self.loaded.lock().await;
            loaded.entry((digest(&bytes), limits.stack)).or_default().clone()
        };
        let connector = cell.get_or_try_init(|| async {
            let connector =
                Connector::load(&sandbox, bytes, name, &self.compiler, self.cache.as_ref(), limits);
            let connector = connector.await?;
            Ok::<_, RuntimeError>(Arc::new(connector))
        });
        connector.await.cloned()
    }

    async fn sandbox(&self, stack: u64) -> Result<Sandbox, RuntimeError> {
        let mut sandboxes = self.sandboxes.lock().await;
        if let Some(sandbox) = sandboxes.get(&stack) {
            return Ok(sandbox.clone());
        }
        let sandbox = Sandbox::new(stack)?;
        sandboxes.insert(stack, sandbox.clone());
        Ok(sandbox)
    }

    /// Loads the component that a pipeline file names, after it was compared with the file's pin: a foreign one is neither
    /// compiled nor asked anything.
    ///
    /// # Errors
    /// As [`Runtime::load`]; [`RuntimeError::Config`] when the digest is another one.
    pub async fn load_for(&self, file: &PipelineFile) -> Result<Arc<Connector>, RuntimeError> {
        let config = &file.config().source;
        let path = file.component_path();
        let bytes = self
            .read(&config.component, path.as_deref(), &config.limits)
            .await?;
        // What is too long was not read to its end, and is refused by whoever loads it.
        let whole = bytes.len() as u64 <= config.limits.component_size;
        if let Some(pin) = config.digest.as_ref().filter(|_| whole) {
            let found = digest(&bytes);
            if *pin != found {
                let message = format!("the component has the digest {found}");
                let help = "compare where the component came from; write the new digest only if you trust it";
                return Err(file.error_at("source.digest", &message, Some(help)).into());
            }
        }
        self.load_bytes(&config.component, bytes, &config.limits).await
    }

    /// Opens what a pipeline file describes. Nothing is read from the remote yet, and no table is created.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the component, its options or the checkpoint location.
    pub async fn open(&self, file: &PipelineFile) -> Result<OpenPipeline, RuntimeError> {
        self.check_process()?;
        let connector = self.load_for(file).await?;
        let location = file.checkpoint_location();
        if let Some(fault) = inside_of_table(&file.table_location(), &location) {
            let help = "write a location of its own, such as \"lake/_checkpoints/my-pipeline\"";
            return Err(file.error_at("checkpoint.location", fault, Some(help)).into());
        }
        let checkpoint = crate::location::checkpoint(&location, self.clock.clone())?;
        OpenPipeline::open(file, connector, checkpoint, self.clock.clone()).await
    }

    /// Before anything that may wait: in a fork nobody may be left to wait for.
    pub(crate) fn check_process(&self) -> Result<(), SandboxError> {
        Ok(self.process.check()?)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}

/// Reads a component's file, as far as it may be long and one byte more, which shows that it is too long. A disk that does
/// not answer must not keep a stop waiting.
async fn read_component(path: PathBuf, max: u64) -> Result<Arc<[u8]>, RuntimeError> {
    let reading = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || read_beginning(&path, max))
    };
    let read = reading.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    match read {
        Ok(bytes) => Ok(bytes.into()),
        Err(source) => Err(RuntimeError::ComponentFile { path, source }),
    }
}

/// Checks the options of a file against what the component wants. The component's schema decides how long that takes,
/// so it is done on a thread where nothing else waits, and waited for a few seconds only. The thread goes on until it
/// is done, which what is counted before bounds.
pub(crate) async fn check_options(
    file: &PipelineFile,
    description: &Description,
) -> Result<(), RuntimeError> {
    let schema = description.options_schema.clone();
    let checked = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || file.check_options(&schema))
    };
    let unchecked = |message: &str| -> RuntimeError {
        let help = "tell the component's author";
        file.error_at("source.component", message, Some(help)).into()
    };
    match tokio::time::timeout(CHECK_TIME, checked).await {
        Ok(Ok(checked)) => Ok(checked?),
        Ok(Err(error)) => Err(unchecked(&format!(
            "the options can't be checked against the component's schema: {error}"
        ))),
        Err(_) => Err(unchecked(&format!(
            "checking the options against the component's schema took longer than {} s; the schema is too expensive",
            CHECK_TIME.as_secs()
        ))),
    }
}
