use std::sync::{Arc, OnceLock, PoisonError};

use arrow_schema::SchemaRef;
use sandbar_pipeline::{
    Batch, Batches, CheckpointLocation, ComponentId, Offset, Partition, ReadLimit, Source, SourceError,
    SourceIdentity, SourceUsage,
};
use sandbar_policy::LimitKey;
use tokio::sync::{Mutex, MutexGuard};

use crate::abi::Handle;
use crate::capability::PipelineContext;
use crate::component::{Connector, StreamInfo, check_process, identity};
use crate::instance::{Instance, sandbox_error};
use crate::open_options::OpenOptions;

/// One stream of a connector, opened for one pipeline: the sandbox's side of [`Source`].
///
/// Planning and committing share one instance, which is replaced after any failure. Every partition is read
/// by an instance of its own.
pub struct SandboxSource {
    factory: Arc<InstanceFactory>,
    control: Mutex<Option<OpenSource>>,
    schema: SchemaRef,
    stream: StreamInfo,
    reads_ranges: bool,
    identity: SourceIdentity,
    spent: UnattributedUsage,
    key: Vec<String>,
    /// The key holds for sequential readings too.
    sequential_key: bool,
}

/// What no batch tells of: see [`Source::take_usage`].
#[derive(Clone, Default)]
struct UnattributedUsage(Arc<std::sync::Mutex<SourceUsage>>);

/// The batches of one partition, and the instance that reads them.
pub struct SandboxBatches {
    open: OpenSource,
    batches: Handle,
    schema: SchemaRef,
    /// Batches without a row since the last one with rows.
    empty: u32,
    spent: UnattributedUsage,
}

struct InstanceFactory {
    connector: Arc<Connector>,
    context: PipelineContext,
    stream: Option<String>,
    options: String,
    /// Known once the source is open.
    schema: OnceLock<SchemaRef>,
}

struct OpenSource {
    instance: Instance,
    source: Handle,
}

impl SandboxSource {
    /// Opens a stream and learns its schema. Makes no request.
    ///
    /// # Errors
    /// [`SourceError::InvalidOptions`] when the component refuses the options or the stream, another error of the
    /// component where it returns one, and [`SourceError::Sandbox`] with a [`SandboxError`](crate::SandboxError) when its
    /// schema breaks the contract or the host has to stop it.
    pub async fn open(
        connector: Arc<Connector>,
        checkpoint: CheckpointLocation,
        options: OpenOptions,
    ) -> Result<Self, SourceError> {
        let context = PipelineContext::new(checkpoint, &options);
        Self::open_in(&context, connector, options.stream.as_deref(), &options.options).await
    }

    /// Opens a stream in the context of another source, such as another version of the same component.
    ///
    /// # Errors
    /// As [`SandboxSource::open`].
    pub async fn open_in(
        context: &PipelineContext,
        connector: Arc<Connector>,
        stream: Option<&str>,
        options: &serde_json::Value,
    ) -> Result<Self, SourceError> {
        check_process(&connector)?;
        let factory = Arc::new(InstanceFactory {
            connector,
            context: context.clone(),
            stream: stream.map(str::to_owned),
            options: options.to_string(),
            schema: OnceLock::new(),
        });
        let mut open = factory.open().await?;
        let OpenSource { instance, source } = &mut open;
        let named = stream;
        let stream = instance.info(*source).await.map_err(sandbox_error)?;
        // What was read stands in each commit by this name.
        if let Some(named) = named.filter(|named| *named != stream.name) {
            let reason = format!(
                "it was to open the stream {named:?} and says that it opened {:?}",
                stream.name
            );
            return Err(sandbox_error(instance.guard.contract_violation("info", reason)));
        }
        let reads_ranges = instance.reads_ranges(*source).await.map_err(sandbox_error)?;
        let schema = instance.schema(*source).await?;
        instance.set_schema(schema.clone());
        let _ = factory.schema.set(schema.clone());
        let described = factory.connector.description();
        let identity = identity(&stream.name, options, &described.options_schema);
        Ok(Self {
            factory,
            control: Mutex::new(Some(open)),
            schema,
            stream,
            reads_ranges,
            identity,
            spent: UnattributedUsage::default(),
            key: vec![],
            sequential_key: false,
        })
    }

    /// The stream that is read, as the component describes it.
    pub fn stream(&self) -> &StreamInfo {
        &self.stream
    }

    /// What it shares with other sources of the same pipeline.
    pub fn context(&self) -> &PipelineContext {
        &self.factory.context
    }

    /// The same with rows that these columns tell apart: see [`Source::key`].
    #[must_use]
    pub fn with_key(mut self, key: Vec<String>, sequential: bool) -> Self {
        self.key = key;
        self.sequential_key = sequential;
        self
    }

    /// Asks the source whether its remote can be reached.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] and [`SourceError::Unauthorized`] when the component says that its remote is;
    /// [`SourceError::Sandbox`] when the host has to stop it.
    pub async fn check(&self) -> Result<(), SourceError> {
        let mut control = self.take_control().await?;
        let answer = control.open.instance.check(control.open.source).await;
        control.give_back(answer)
    }

    /// Takes the control instance out of its slot, or makes a new one.
    ///
    /// It is out while it is called, so that a call that is abandoned half way takes the instance with it.
    async fn take_control(&self) -> Result<ControlLease<'_>, SourceError> {
        // Before the lock: in a fork nobody may be left to open it.
        check_process(&self.factory.connector)?;
        let mut slot = self.control.lock().await;
        let open = match slot.take() {
            Some(open) => open,
            None => self.factory.open().await?,
        };
        Ok(ControlLease {
            slot,
            open,
            spent: &self.spent,
        })
    }

    fn batches(&self, open: OpenSource, batches: Handle) -> SandboxBatches {
        SandboxBatches {
            open,
            batches,
            schema: self.schema.clone(),
            empty: 0,
            spent: self.spent.clone(),
        }
    }
}

impl Drop for SandboxSource {
    /// A fork leaves the connections alone: they are its parent's, and so are the tasks that serve them.
    fn drop(&mut self) {
        if check_process(&self.factory.connector).is_err() {
            std::mem::forget(self.factory.clone());
            std::mem::forget(self.control.get_mut().take());
        }
    }
}

struct ControlLease<'a> {
    slot: MutexGuard<'a, Option<OpenSource>>,
    open: OpenSource,
    spent: &'a UnattributedUsage,
}

impl ControlLease<'_> {
    /// Puts the instance back, unless the host had to stop it.
    fn give_back<T>(mut self, answer: Result<T, SourceError>) -> Result<T, SourceError> {
        self.spent.add(&self.open.instance.take_usage());
        if !matches!(answer, Err(SourceError::Sandbox(_))) {
            *self.slot = Some(self.open);
        }
        answer
    }
}

impl UnattributedUsage {
    fn add(&self, usage: &SourceUsage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(usage);
    }

    fn take(&self) -> SourceUsage {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InstanceFactory {
    async fn open(&self) -> Result<OpenSource, SourceError> {
        let connector = &self.connector;
        check_process(connector)?;
        let engine = connector.sandbox.engine();
        let mut instance = Instance::new(engine, &connector.linked, &connector.label, &self.context)
            .await
            .map_err(sandbox_error)?;
        let source = instance.open(self.stream.as_deref(), &self.options).await?;
        if let Some(schema) = self.schema.get() {
            instance.set_schema(schema.clone());
        }
        Ok(OpenSource { instance, source })
    }
}

impl Source for SandboxSource {
    type Batches = SandboxBatches;

    fn component(&self) -> &ComponentId {
        self.factory.connector.id()
    }

    fn identity(&self) -> SourceIdentity {
        self.identity.clone()
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn key(&self, sequential: bool) -> &[String] {
        match sequential && !self.sequential_key {
            true => &[],
            false => &self.key,
        }
    }

    async fn initial_offset(&self) -> Result<Offset, SourceError> {
        let mut control = self.take_control().await?;
        let answer = control.open.instance.initial_offset(control.open.source).await;
        control.give_back(answer)
    }

    async fn latest_offset(
        &self,
        start: &Offset,
        up_to: Option<&Offset>,
        limit: ReadLimit,
    ) -> Result<Option<Offset>, SourceError> {
        if !self.reads_ranges {
            return Ok(None);
        }
        let mut control = self.take_control().await?;
        let OpenSource { instance, source } = &mut control.open;
        let latest = match up_to {
            Some(up_to) => Ok(up_to.clone()),
            None => instance.latest_offset(*source, start, limit.max_rows).await,
        };
        let answer = match latest {
            Ok(latest) if latest != *start && limit != ReadLimit::default() => {
                instance.batch_end(*source, start, &latest, limit).await
            }
            latest => latest,
        };
        control.give_back(answer.map(Some))
    }

    async fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<Partition>, SourceError> {
        let mut control = self.take_control().await?;
        let OpenSource { instance, source } = &mut control.open;
        let answer = instance.partitions(*source, start, end).await;
        control.give_back(answer)
    }

    async fn read(&self, partition: &Partition) -> Result<SandboxBatches, SourceError> {
        let mut open = self.factory.open().await?;
        let batches = open.instance.read(open.source, partition).await?;
        Ok(self.batches(open, batches))
    }

    async fn read_from(&self, start: &Offset, limit: ReadLimit) -> Result<SandboxBatches, SourceError> {
        let mut open = self.factory.open().await?;
        let batches = open.instance.read_from(open.source, start, limit).await?;
        Ok(self.batches(open, batches))
    }

    async fn commit(&self, end: &Offset) -> Result<(), SourceError> {
        let mut control = self.take_control().await?;
        let answer = control.open.instance.commit(control.open.source, end).await;
        control.give_back(answer)
    }

    async fn rest(&self) {
        if check_process(&self.factory.connector).is_ok() {
            *self.control.lock().await = None;
        }
    }

    fn take_usage(&self) -> SourceUsage {
        match check_process(&self.factory.connector) {
            Ok(()) => self.spent.take(),
            Err(_) => SourceUsage::default(),
        }
    }
}

impl Batches for SandboxBatches {
    async fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        let OpenSource { instance, .. } = &mut self.open;
        let Some((rows, bytes, end)) = instance.next(self.batches, &self.schema).await? else {
            self.spent.add(&instance.take_usage());
            return Ok(None);
        };
        let mut usage = instance.take_usage();
        usage.arrow_bytes = bytes;
        // Each of them is a call within its limits: only here it shows that they lead nowhere.
        self.empty = match rows.iter().any(|batch| batch.num_rows() > 0) {
            true => 0,
            false => self.empty + 1,
        };
        if self.empty > instance.guard.limits.empty_batches {
            let limit = format!("it gave {} batches in a row that hold nothing", self.empty);
            let error = instance
                .guard
                .limit_exceeded("next", limit, LimitKey::EmptyBatches);
            return Err(sandbox_error(error));
        }
        Ok(Some(Batch { rows, end, usage }))
    }
}
