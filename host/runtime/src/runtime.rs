use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytesize::ByteSize;
use sandbar_egress::Process;
use sandbar_pipeline::{
    CheckpointLocation, Clock, Pipeline, PipelineOptions, Remedy, SinkFactory, Source, SourceError,
    SystemClock, Turn, Turns, read_beginning, with_causes,
};
use sandbar_policy::Limits;
use sandbar_sandbox::{
    Compiler, ComponentBytes, ComponentCache, Connector, OpenOptions, Sandbox, SandboxError, SandboxSource,
};
use tokio::sync::Mutex;

use crate::RuntimeError;
use crate::config::PipelineFile;
use crate::location::MissingFolder;
use crate::nearest::nearest;
use crate::open::{OpenPipeline, Parts};
use crate::place::{inside_of_table, one_spelling};
use crate::sink::table_of;

/// What all pipelines of a process share: the engine, the cache of compiled components, the clock.
///
/// It serves the process that it was made in, and so does everything that it opens. In a fork of that process all of them
/// answer with [`SandboxError::Forked`]; a runtime that is made there works.
pub struct Runtime {
    cache: Option<ComponentCache>,
    compiler: Compiler,
    clock: Arc<dyn Clock>,
    remedy_words: RemedyWords,
    builtins: Vec<Builtin>,
    process: Process,
    /// One engine for each size of the stack.
    sandboxes: Mutex<HashMap<u64, Sandbox>>,
    /// By digest and stack, as long as someone uses them. Each has a lock of its own, so that none waits for a slow one.
    loaded: Mutex<HashMap<(String, u64), Loaded>>,
    /// Where components of registries are kept.
    registry_cache: Option<PathBuf>,
    /// The turns of pipelines, where there is one bound on the memory of all.
    turns: Option<Turns>,
}

type Loaded = Arc<Mutex<Weak<Connector>>>;

/// Puts remedies into words that follow the text of an error, with what separates them from it. Empty for none.
pub type RemedyWords = fn(&[Remedy]) -> String;

/// Sets up a [`Runtime`].
#[must_use]
pub struct RuntimeBuilder {
    cache: Option<PathBuf>,
    compiler: Compiler,
    clock: Arc<dyn Clock>,
    remedy_words: RemedyWords,
    builtins: Vec<Builtin>,
    memory: Option<u64>,
}

/// The name of a component in pipeline files, and its bytes.
type Builtin = (String, Arc<[u8]>);

impl Default for RuntimeBuilder {
    fn default() -> Self {
        Self {
            cache: ComponentCache::user_folder(),
            compiler: Compiler::default(),
            clock: Arc::new(SystemClock::default()),
            remedy_words: |_| String::new(),
            builtins: vec![],
            memory: None,
        }
    }
}

impl RuntimeBuilder {
    /// Keeps compiled components in this folder, or nowhere. By default it is the user's cache folder.
    pub fn cache(self, folder: Option<&Path>) -> Self {
        Self {
            cache: folder.map(Path::to_owned),
            ..self
        }
    }

    /// Sets who compiles components. By default a thread of this process does: for components of strangers, see
    /// [`Compiler::Program`].
    pub fn compiler(self, compiler: Compiler) -> Self {
        Self { compiler, ..self }
    }

    /// Sets the clock. By default it is the machine's.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets the words for remedies in the texts of [`Runtime::check`] and [`Runtime::status`]. By default these state the
    /// faults only.
    pub fn remedy_words(self, remedy_words: RemedyWords) -> Self {
        Self { remedy_words, ..self }
    }

    /// Bounds the memory, in bytes, that the components of all pipelines may take together. By default only each pipeline
    /// has a bound, `source.limits.memory` for each instance.
    ///
    /// A pipeline then reads each micro-batch in a turn of its own, which it waits for as long as others take the memory:
    /// see [`Turns`].
    pub fn memory(self, bytes: Option<u64>) -> Self {
        Self {
            memory: bytes,
            ..self
        }
    }

    /// Gives a component a name in pipeline files. By default none has one, and files name components by their path.
    pub fn builtin(mut self, name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.builtins.push((name.into(), bytes.into()));
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    /// [`RuntimeError::Sandbox`] when this machine can't run WebAssembly.
    pub fn build(self) -> Result<Runtime, RuntimeError> {
        let stack = Limits::default().stack;
        Ok(Runtime {
            cache: self.cache.as_deref().and_then(ComponentCache::open),
            compiler: self.compiler,
            clock: self.clock,
            remedy_words: self.remedy_words,
            builtins: self.builtins,
            process: Process::this(),
            sandboxes: Mutex::new(HashMap::from([(stack, Sandbox::new(stack)?)])),
            loaded: Mutex::default(),
            turns: self.memory.map(Turns::new),
            registry_cache: self.cache.map(|cache| cache.join("registry")),
        })
    }
}

impl Runtime {
    /// A runtime with the defaults of [`RuntimeBuilder`].
    ///
    /// # Errors
    /// As [`RuntimeBuilder::build`].
    pub fn new() -> Result<Self, RuntimeError> {
        Self::builder().build()
    }

    /// Sets up a runtime.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// Loads a component: a built-in by its name, or else the file at `path`. Each digest is loaded once.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownComponent`] and [`RuntimeError::ComponentFile`] when it is not there,
    /// [`RuntimeError::Sandbox`] when it can't be used: see [`Connector::load`].
    pub async fn load(&self, name: &str, path: Option<&Path>) -> Result<Arc<Connector>, RuntimeError> {
        self.load_within(name, path, &Limits::default()).await
    }

    async fn load_within(
        &self,
        name: &str,
        path: Option<&Path>,
        limits: &Limits,
    ) -> Result<Arc<Connector>, RuntimeError> {
        let component = self.read(name, path, limits).await?;
        self.load_component(name, component, limits).await
    }

    /// Loads a component from its bytes; `name` is for messages. Each digest is loaded once.
    ///
    /// # Errors
    /// [`RuntimeError::Sandbox`] when it can't be used: see [`Connector::load`].
    pub async fn load_bytes(
        &self,
        name: &str,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Arc<Connector>, RuntimeError> {
        self.check_process()?;
        let bytes = bytes.into();
        let component = hash(move || Ok(bytes)).await;
        let component = component.map_err(|e| RuntimeError::Source(SourceError::Sandbox(Box::new(e))))?;
        self.load_component(name, component, &Limits::default()).await
    }

    /// A component, as far as it may be long and one byte more.
    pub(crate) async fn read(
        &self,
        name: &str,
        path: Option<&Path>,
        limits: &Limits,
    ) -> Result<ComponentBytes, RuntimeError> {
        self.check_process()?;
        let unreadable = |path: &Path, source| RuntimeError::ComponentFile {
            path: path.to_owned(),
            source,
        };
        match path {
            Some(path) => {
                // A disk that does not answer must not keep a stop waiting.
                let (file, max) = (path.to_owned(), limits.component_size);
                let read = hash(move || Ok(read_beginning(&file, max)?.into())).await;
                read.map_err(|e| unreadable(path, e))
            }
            None => {
                let found = self.builtins.iter().find(|(known, _)| known == name);
                let Some((_, bytes)) = found.cloned() else {
                    return Err(self.unknown_component(name));
                };
                let read = hash(move || Ok(bytes)).await;
                read.map_err(|e| unreadable(Path::new(name), e))
            }
        }
    }

    fn unknown_component(&self, name: &str) -> RuntimeError {
        let known: Vec<&str> = self.builtins.iter().map(|(name, _)| name.as_str()).collect();
        RuntimeError::UnknownComponent {
            name: name.to_owned(),
            nearest: nearest(name, known.iter().copied()).map(str::to_owned),
            known: match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            },
        }
    }

    pub(crate) async fn load_component(
        &self,
        name: &str,
        component: ComponentBytes,
        limits: &Limits,
    ) -> Result<Arc<Connector>, RuntimeError> {
        let sandbox = self.sandbox(limits.stack).await?;
        let cell = {
            let mut loaded = self.loaded.lock().await;
            // Versions that were swapped out are gone once nothing reads with them any more.
            loaded.retain(|_, cell| {
                cell.try_lock().is_ok_and(|known| known.strong_count() > 0) || Arc::strong_count(cell) > 1
            });
            let key = (component.digest().to_owned(), limits.stack);
            loaded.entry(key).or_default().clone()
        };
        let mut known = cell.lock().await;
        if let Some(connector) = known.upgrade() {
            return Ok(connector);
        }
        let connector = Connector::load(
            &sandbox,
            &component,
            name,
            &self.compiler,
            self.cache.as_ref(),
            limits,
        );
        let connector = Arc::new(connector.await?);
        *known = Arc::downgrade(&connector);
        Ok(connector)
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

    /// Opens what a pipeline file describes. Nothing is read from the remote yet, and no table is created.
    ///
    /// # Errors
    /// [`RuntimeError::Config`] when the file or its options are wrong; the errors of [`load_for`](Self::load_for);
    /// [`RuntimeError::Checkpoint`] when the checkpoint location can't be used; [`RuntimeError::Source`] when the component
    /// refuses to be opened.
    pub async fn open(&self, file: &PipelineFile) -> Result<OpenPipeline, RuntimeError> {
        self.open_table(file, MissingFolder::Create).await
    }

    /// The same for whoever only looks: a checkpoint location that is not there stays so.
    pub(crate) async fn open_to_look(&self, file: &PipelineFile) -> Result<OpenPipeline, RuntimeError> {
        self.open_table(file, MissingFolder::Leave).await
    }

    async fn open_table(
        &self,
        file: &PipelineFile,
        missing: MissingFolder,
    ) -> Result<OpenPipeline, RuntimeError> {
        let sink = {
            let (file, clock) = (file.clone(), self.clock.clone());
            move || table_of(&file, clock)
        };
        self.open_parts(file, sink, missing).await
    }

    /// The same with another sink than the table of the file.
    ///
    /// # Errors
    /// As [`Runtime::open`].
    pub async fn open_with<F: SinkFactory>(
        &self,
        file: &PipelineFile,
        sink: F,
    ) -> Result<OpenPipeline<F>, RuntimeError> {
        self.open_parts(file, || Ok(sink), MissingFolder::Create).await
    }

    /// A pipeline without a file: of a component that is loaded, what it is opened with, and a sink. It runs by this
    /// runtime's clock, whatever the options say.
    ///
    /// # Errors
    /// [`RuntimeError::Source`] when the component refuses to be opened, [`RuntimeError::Sink`] when the sink can't be.
    pub async fn pipeline<F: SinkFactory>(
        &self,
        connector: Arc<Connector>,
        source: OpenOptions,
        sink: &F,
        checkpoint: CheckpointLocation,
        options: PipelineOptions,
    ) -> Result<Pipeline<SandboxSource, F::Sink>, RuntimeError> {
        self.check_process()?;
        let opened = source.with_clock(self.clock.clone());
        let source = SandboxSource::open(connector, checkpoint.clone(), opened).await?;
        let sink = sink.open(&options.name, &source.schema()).await?;
        let (source, clock) = (Arc::new(source), self.clock.clone());
        Ok(Pipeline::new(source, sink, checkpoint, clock, options))
    }

    async fn open_parts<F: SinkFactory>(
        &self,
        file: &PipelineFile,
        sink: impl FnOnce() -> Result<F, String> + Send + 'static,
        missing: MissingFolder,
    ) -> Result<OpenPipeline<F>, RuntimeError> {
        self.check_process()?;
        // Locations are looked up in file systems.
        let found = {
            let (file, clock) = (file.clone(), self.clock.clone());
            tokio::task::spawn_blocking(move || find_parts(&file, sink, missing, clock))
        };
        let parts = found.await.map_err(|e| SourceError::Sandbox(Box::new(e)))??;
        let turns = self.turns_for(file)?;
        let turn = self.take_turn(file).await;
        let start = self.start_version(file, &parts.checkpoint.location).await?;
        let open = OpenPipeline::from_parts(file, start, parts, self.clock.clone()).await?;
        if turn.is_some() {
            open.source.rest().await;
        }
        Ok(open.with_turns(turns))
    }

    /// The turns for a pipeline, with the bytes that a micro-batch of it may take: an instance for each partition, and one
    /// that plans.
    fn turns_for(&self, file: &PipelineFile) -> Result<Option<(Turns, u64)>, RuntimeError> {
        let Some(turns) = &self.turns else {
            return Ok(None);
        };
        let limits = &file.config().source.limits;
        let bytes = limits.memory.saturating_mul(u64::from(limits.parallelism) + 1);
        if bytes <= turns.bytes() {
            return Ok(Some((turns.clone(), bytes)));
        }
        let message = format!(
            "{} partitions at once and one more instance of {} each may take {}, and all pipelines together have {}",
            limits.parallelism,
            ByteSize(limits.memory),
            ByteSize(bytes),
            ByteSize(turns.bytes())
        );
        let help = "lower `memory` or `parallelism` under [source.limits], or raise `--memory`";
        Err(file.error_at("source.limits", &message, Some(help)).into())
    }

    /// The text of an error: what failed, its causes, and the words for its remedies.
    pub(crate) fn explain(&self, error: &RuntimeError) -> String {
        format!("{}{}", with_causes(error), (self.remedy_words)(&error.remedies()))
    }

    pub(crate) fn remedy_words(&self) -> RemedyWords {
        self.remedy_words
    }

    /// Before anything that may wait: in a fork nobody may be left to wait for.
    pub(crate) fn check_process(&self) -> Result<(), SandboxError> {
        Ok(self.process.check()?)
    }

    /// Waits for a turn in which one instance of a pipeline's component may be made, where there is one bound on the
    /// memory of all.
    pub(crate) async fn take_turn(&self, file: &PipelineFile) -> Option<Turn> {
        match &self.turns {
            Some(turns) => Some(turns.take(file.config().source.limits.memory).await),
            None => None,
        }
    }

    pub(crate) fn registry_cache(&self) -> Option<&Path> {
        self.registry_cache.as_deref()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}

/// Gets a component's bytes, and their digest, on a thread where nothing else waits.
pub(crate) async fn hash(
    bytes: impl FnOnce() -> std::io::Result<Arc<[u8]>> + Send + 'static,
) -> std::io::Result<ComponentBytes> {
    let hashing = tokio::task::spawn_blocking(move || Ok(ComponentBytes::new(bytes()?)));
    hashing.await.unwrap_or_else(|e| Err(std::io::Error::other(e)))
}

/// Finds the locations of a file. Blocks.
fn find_parts<F>(
    file: &PipelineFile,
    sink: impl FnOnce() -> Result<F, String>,
    missing: MissingFolder,
    clock: Arc<dyn Clock>,
) -> Result<Parts<F>, RuntimeError> {
    let location = file.checkpoint_location();
    if let Some(fault) = inside_of_table(&file.table_location(), &location) {
        let help = "write a location of its own, such as \"lake/_checkpoints/my-pipeline\"";
        return Err(file.error_at("checkpoint.location", fault, Some(help)).into());
    }
    Ok(Parts {
        sink: sink(),
        checkpoint: crate::location::checkpoint(&location, missing, clock)?,
        table: one_spelling(&file.table_location()),
    })
}
