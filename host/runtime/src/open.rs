use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use sandbar_delta::{DeltaOptions, DeltaSink, OffsetStorage};
use sandbar_pipeline::{
    BatchReport, CheckpointError, CheckpointLocation, CheckpointOwner, Clock, Offset, Pipeline,
    PipelineError, PipelineObserver, PipelineOptions, ReadLimit, RetryPolicy, RunSummary, Sink, SinkError,
    Source, SourceError, Start, StopSignal, Stopper, Trigger,
};
use sandbar_sandbox::{Connector, SandboxError, SandboxSource, StreamInfo};

use crate::conditional_put::Denied;
use crate::config::{PipelineFile, Progress};
use crate::location::{CheckpointPlace, TableLocation};
use crate::place::one_spelling;
use crate::runtime::check_options;
use crate::source_options::{open_options, permissions};
use crate::{RuntimeError, location};

/// How often an interval trigger looks when the file does not say.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// When it is stopped; it looks again after each interval of the file.
    Continuous,
    /// When what existed at its start is read.
    AvailableNow,
    /// After one micro-batch.
    Once,
}

/// A pipeline whose file was checked, whose component is loaded and whose source is open.
pub struct OpenPipeline {
    pub(crate) file: PipelineFile,
    pub(crate) connector: Arc<Connector>,
    pub(crate) source: Arc<SandboxSource>,
    pub(crate) checkpoint: CheckpointPlace,
    pub(crate) clock: Arc<dyn Clock>,
    /// What it may do, in plain words.
    pub(crate) permissions: Vec<String>,
}

/// A progress sink that says nothing.
pub struct NoopObserver;

impl NoopObserver {
    /// One to hand over.
    pub fn shared() -> Arc<dyn PipelineObserver> {
        Arc::new(Self)
    }
}

impl PipelineObserver for NoopObserver {
    fn committed(&self, _: &BatchReport) {}
}

impl OpenPipeline {
    pub(crate) async fn open(
        file: &PipelineFile,
        connector: Arc<Connector>,
        checkpoint: CheckpointPlace,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RuntimeError> {
        check_options(file, connector.description()).await?;
        let options = {
            // It reads the secrets' files.
            let file = file.clone();
            tokio::task::spawn_blocking(move || open_options(&file))
        };
        let options = options.await.map_err(|e| SourceError::Sandbox(Box::new(e)))??;
        let permissions = permissions(&options);
        let opened = SandboxSource::open(connector.clone(), checkpoint.location.clone(), options).await;
        let source = opened.map_err(|e| match e {
            SourceError::InvalidOptions(message) => RuntimeError::from(file.option_error(&message)),
            other => other.into(),
        })?;
        let source = with_key(source, file, &connector).await?;
        Ok(Self {
            file: file.clone(),
            connector,
            source: Arc::new(source),
            checkpoint,
            clock,
            permissions,
        })
    }

    /// The component that reads.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The file that describes it.
    pub fn file(&self) -> &PipelineFile {
        &self.file
    }

    /// The schema of the source's rows.
    pub fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    /// Runs until the mode's end, a stop or a failure.
    ///
    /// # Errors
    /// [`RuntimeError::Sink`] when the table can't be opened, [`RuntimeError::Run`] when the run fails. What
    /// was committed before stays committed.
    pub async fn run(
        &self,
        mode: RunMode,
        progress: Arc<dyn PipelineObserver>,
        stop: StopSignal,
    ) -> Result<RunSummary, RuntimeError> {
        self.connector.process().check().map_err(SandboxError::from)?;
        let trigger = match mode {
            RunMode::Continuous => {
                Trigger::Interval(self.file.config().trigger.interval.unwrap_or(DEFAULT_INTERVAL))
            }
            RunMode::AvailableNow => Trigger::AvailableNow,
            RunMode::Once => Trigger::Once,
        };
        tracing::info!(
            pipeline = %self.name(),
            component = %self.connector.id().name,
            version = %self.connector.id().version,
            digest = %self.connector.id().digest,
            may = ?self.permissions,
            "starting"
        );
        let mut pipeline = self.pipeline(trigger, progress, stop).await?;
        let outcome = pipeline.run().await;
        pipeline.into_sink().close().await;
        outcome.map_err(|e| self.failed(e))
    }

    /// Sets where the next micro-batch starts, as a micro-batch without rows.
    ///
    /// # Errors
    /// As [`OpenPipeline::run`].
    pub async fn reset(&self, to: Offset) -> Result<BatchReport, RuntimeError> {
        self.connector.process().check().map_err(SandboxError::from)?;
        let (_stopper, stop) = Stopper::new();
        let mut pipeline = self.pipeline(Trigger::Once, NoopObserver::shared(), stop).await?;
        let outcome = pipeline.reset(to).await;
        pipeline.into_sink().close().await;
        outcome.map_err(|e| self.failed(e))
    }

    pub(crate) fn name(&self) -> &str {
        &self.file.config().name
    }

    /// How the table is opened to be written. Asks the store where it is not known whether it keeps two writers
    /// apart.
    pub(crate) async fn sink_options(&self) -> Result<DeltaOptions, RuntimeError> {
        let table = table(&self.file)?;
        let mut options = options_for(&self.file, &table, self.clock.clone());
        if let Some(place) = &table.place {
            let store = place.exclusive(self.single_writer()).await;
            options.store = Some(store.map_err(|denied| match denied {
                Denied::NotExclusive(message) => self.file.error_at("sink.table", &message, None).into(),
                Denied::Store(place, source) => RuntimeError::from(SinkError::Store {
                    context: format!("can't write to {place}"),
                    source: source.into(),
                }),
            })?);
        }
        Ok(options)
    }

    /// The checkpoint location for a table that carries the offset, or does not.
    pub(crate) async fn checkpoint_for(
        &self,
        carries_offset: bool,
    ) -> Result<CheckpointLocation, RuntimeError> {
        if carries_offset {
            return Ok(self.checkpoint.location.clone());
        }
        let location = self.checkpoint.for_offset_log(self.single_writer()).await;
        location.map_err(|denied| match denied {
            Denied::NotExclusive(message) => self.file.error_at("checkpoint.location", &message, None).into(),
            Denied::Store(path, source) => CheckpointError::Store { path, source }.into(),
        })
    }

    /// Whose the checkpoint location has to be.
    pub(crate) fn owner(&self) -> CheckpointOwner {
        CheckpointOwner {
            pipeline: self.name().to_owned(),
            table: one_spelling(&self.file.table_location()),
        }
    }

    pub(crate) fn read_limit(&self) -> ReadLimit {
        ReadLimit {
            max_rows: Some(self.file.config().trigger.max_rows_per_batch),
            max_bytes: Some(self.file.config().trigger.max_bytes_per_batch),
        }
    }

    async fn pipeline(
        &self,
        trigger: Trigger,
        progress: Arc<dyn PipelineObserver>,
        stop: StopSignal,
    ) -> Result<Pipeline<SandboxSource, DeltaSink>, RuntimeError> {
        let retry = &self.file.config().retry;
        let retry = RetryPolicy {
            attempts: retry.attempts,
            base: retry.base,
            max: retry.max,
        };
        self.pipeline_with(trigger, retry, progress, stop).await
    }

    /// Where the next micro-batch would start. Writes nothing.
    pub(crate) async fn find_start(&self) -> Result<Start, RuntimeError> {
        let (_stopper, stop) = Stopper::new();
        let once = RetryPolicy {
            attempts: 1,
            ..RetryPolicy::default()
        };
        let mut pipeline = self
            .pipeline_with(Trigger::Once, once, NoopObserver::shared(), stop)
            .await?;
        pipeline.find_start().await.map_err(|e| self.failed(e))
    }

    async fn pipeline_with(
        &self,
        trigger: Trigger,
        retry: RetryPolicy,
        progress: Arc<dyn PipelineObserver>,
        stop: StopSignal,
    ) -> Result<Pipeline<SandboxSource, DeltaSink>, RuntimeError> {
        let sink = DeltaSink::open(self.sink_options().await?, &self.source.schema()).await?;
        let checkpoint = self.checkpoint_for(sink.carries_offset()).await?;
        let config = self.file.config();
        let CheckpointOwner {
            pipeline: name,
            table,
        } = self.owner();
        let options = PipelineOptions {
            name,
            table,
            trigger,
            limit: self.read_limit(),
            parallelism: config.source.limits.parallelism as usize,
            retry,
        };
        let (source, clock) = (self.source.clone(), self.clock.clone());
        Ok(Pipeline::new(
            source, sink, checkpoint, clock, progress, stop, options,
        ))
    }

    fn single_writer(&self) -> bool {
        self.file.config().sink.single_writer
    }

    fn failed(&self, error: PipelineError) -> RuntimeError {
        match error {
            PipelineError::Source(SourceError::InvalidOptions(message)) => {
                self.file.option_error(&message).into()
            }
            source => RuntimeError::Run {
                name: self.name().to_owned(),
                source,
            },
        }
    }
}

/// The source with the key of its rows: the file's for every reading, the component's for ranges alone. A
/// row that changed comes again in many a sequential reading, and its key with it.
async fn with_key(
    source: SandboxSource,
    file: &PipelineFile,
    connector: &Connector,
) -> Result<SandboxSource, RuntimeError> {
    let schema = source.schema();
    let missing = |key: &[String]| {
        let mut key = key.iter();
        key.find(|name| schema.column_with_name(name).is_none()).cloned()
    };
    let config = &file.config().source;
    if let Some(key) = &config.key {
        if let Some(name) = missing(key) {
            let columns: Vec<_> = schema
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            let help = format!("write columns that the source has: {}", columns.join(", "));
            let message = format!("the source has no column {name:?}");
            return Err(file.error_at("source.key", &message, Some(&help)).into());
        }
        return Ok(source.with_key(key.clone(), true));
    }
    let options = config.options.clone().into();
    let streams = match connector.discover(&options).await {
        Ok(streams) => streams,
        Err(error) => {
            tracing::debug!(%error, "the key of the rows is not known");
            return Ok(source);
        }
    };
    let named = |stream: &&StreamInfo| match &config.stream {
        Some(name) => stream.name == *name,
        None => streams.len() == 1,
    };
    let key = streams.iter().find(named).map(|stream| stream.key.clone());
    match key.filter(|key| missing(key).is_none()) {
        Some(key) => Ok(source.with_key(key, false)),
        None => Ok(source),
    }
}

/// How the table is opened that a file names, to be read.
pub(crate) fn delta_options(
    file: &PipelineFile,
    clock: Arc<dyn Clock>,
) -> Result<DeltaOptions, RuntimeError> {
    Ok(options_for(file, &table(file)?, clock))
}

fn table(file: &PipelineFile) -> Result<TableLocation, RuntimeError> {
    location::table(&file.table_location())
        .map_err(|reason| file.error_at("sink.table", &reason, None).into())
}

fn options_for(file: &PipelineFile, table: &TableLocation, clock: Arc<dyn Clock>) -> DeltaOptions {
    let config = file.config();
    let mut options = DeltaOptions::new(table.url.clone(), config.name.clone(), clock);
    options.store = table.place.as_ref().map(|place| place.store.clone());
    options.partition_by = config.sink.partition_by.clone();
    options.ingested_at = config.sink.ingested_at.clone();
    options.progress = match config.sink.progress {
        Progress::Table => OffsetStorage::Table,
        Progress::Checkpoint => OffsetStorage::Checkpoint,
    };
    options
}
