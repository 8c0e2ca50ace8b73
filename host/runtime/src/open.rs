use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use sandbar_delta::DeltaSinkFactory;
use sandbar_pipeline::{
    BatchReport, CheckpointError, CheckpointLocation, CheckpointOwner, Clock, Offset, Pipeline,
    PipelineError, PipelineObserver, PipelineOptions, ReadLimit, RefusedVersion, RetryPolicy, RunSummary,
    Sink, SinkError, SinkFactory, Source, SourceError, Start, StopSignal, Successors, Trigger, Turns,
    VersionRecord, with_causes,
};
use sandbar_sandbox::{Connector, SandboxError, SandboxSource};
use uuid::Uuid;

use crate::RuntimeError;
use crate::check_options::check_options;
use crate::conditional_put::Denied;
use crate::config::PipelineFile;
use crate::loaded_version::{LoadedVersion, StartingVersion};
use crate::location::CheckpointPlace;
use crate::source_options::{open_options, permissions};

/// The interval of polls when the file does not say.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// A pipeline whose file was checked, whose component is loaded and whose source is open.
///
/// It writes to the Delta table that the file names, or to another sink: see
/// [`Runtime::open_with`](crate::Runtime::open_with).
pub struct OpenPipeline<F = DeltaSinkFactory> {
    pub(crate) file: PipelineFile,
    pub(crate) version: LoadedVersion,
    /// What the checkpoint location holds of earlier versions.
    pub(crate) record: Option<VersionRecord>,
    /// Whether the record changed because the process before ended while a version was on probation.
    pub(crate) interrupted: bool,
    /// Whether the record could not be read, so that it is not known which version has to run.
    pub(crate) unread: bool,
    pub(crate) source: Arc<SandboxSource>,
    pub(crate) parts: Parts<F>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What it may do, in plain words.
    pub(crate) permissions: Vec<String>,
    /// The turns that it waits for, with the bytes that a micro-batch may take.
    turns: Option<(Turns, u64)>,
}

/// What a pipeline stands on besides its source.
pub(crate) struct Parts<F> {
    /// The sink, or why its location can't be one.
    pub(crate) sink: Result<F, String>,
    pub(crate) checkpoint: CheckpointPlace,
    /// The table's location, spelled in one way only.
    pub(crate) table: String,
}

impl<F: SinkFactory> OpenPipeline<F> {
    pub(crate) async fn from_parts(
        file: &PipelineFile,
        start: StartingVersion,
        parts: Parts<F>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RuntimeError> {
        let StartingVersion {
            version,
            record,
            interrupted,
            unread,
        } = start;
        let connector = version.connector.clone();
        check_options(file, connector.description()).await?;
        let options = {
            // It reads the secrets' files.
            let (file, clock) = (file.clone(), clock.clone());
            tokio::task::spawn_blocking(move || open_options(&file, clock))
        };
        let options = options.await.map_err(|e| SourceError::Sandbox(Box::new(e)))??;
        let permissions = permissions(&options);
        let location = parts.checkpoint.location.clone();
        let opened = SandboxSource::open(connector, location, options).await;
        let source = with_key(opened.map_err(|e| opening_error(file, e))?, file)?;
        Ok(Self {
            file: file.clone(),
            version,
            record,
            interrupted,
            unread,
            source: Arc::new(source),
            parts,
            clock,
            permissions,
            turns: None,
        })
    }

    pub(crate) fn with_turns(self, turns: Option<(Turns, u64)>) -> Self {
        Self { turns, ..self }
    }

    /// The component that reads.
    pub fn connector(&self) -> &Connector {
        &self.version.connector
    }

    /// The file that describes it.
    pub fn file(&self) -> &PipelineFile {
        &self.file
    }

    /// The source, to be read without a sink: see [`Reader`](crate::Reader).
    pub fn source(&self) -> &Arc<SandboxSource> {
        &self.source
    }

    /// The schema of the source's rows.
    pub fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    /// The trigger of a run that goes on until it is stopped: the interval or the schedule of the file.
    pub fn trigger(&self) -> Trigger {
        let config = &self.file.config().trigger;
        match &config.schedule {
            Some(schedule) => Trigger::Schedule(Arc::new(schedule.clone())),
            None => Trigger::Interval(config.interval.unwrap_or(DEFAULT_INTERVAL)),
        }
    }

    /// Runs until the trigger's end, a stop or a failure.
    ///
    /// # Errors
    /// [`RuntimeError::Sink`] when the table can't be opened, [`RuntimeError::Run`] when the run fails. What
    /// was committed before stays committed.
    pub async fn run(
        &self,
        trigger: Trigger,
        observer: Arc<dyn PipelineObserver>,
        stop: StopSignal,
    ) -> Result<RunSummary, RuntimeError> {
        self.check_process()?;
        let pipeline = self.pipeline().await?;
        self.run_pipeline(pipeline, trigger, observer, stop).await
    }

    async fn run_pipeline(
        &self,
        pipeline: Pipeline<SandboxSource, F::Sink>,
        trigger: Trigger,
        observer: Arc<dyn PipelineObserver>,
        stop: StopSignal,
    ) -> Result<RunSummary, RuntimeError> {
        let id = self.connector().id();
        tracing::info!(
            pipeline = %self.name(),
            component = %id.name,
            version = %id.version,
            digest = %id.digest,
            may = ?self.permissions,
            "starting"
        );
        let mut pipeline = pipeline
            .with_trigger(trigger)
            .with_observer(observer)
            .with_stop(stop);
        let outcome = pipeline.run().await;
        pipeline.close().await;
        outcome.map_err(|e| self.failed(e))
    }

    /// The same with other versions of the component, which take over when they are offered.
    pub(crate) async fn run_with_successors(
        &self,
        trigger: Trigger,
        observer: Arc<dyn PipelineObserver>,
        stop: StopSignal,
        successors: Successors<SandboxSource>,
    ) -> Result<RunSummary, RuntimeError> {
        self.check_process()?;
        if let Some(refused) = self.interrupted_version() {
            tracing::warn!(
                pipeline = %self.name(), refused = %refused.component.digest, runs = %self.connector().id().digest,
                "a version was on probation when the process ended; the one before it reads on, and the other is refused"
            );
        }
        if let Some(record) = self.record.as_ref().filter(|_| self.interrupted)
            && let Err(e) = self.parts.checkpoint.location.save_versions(record).await
        {
            // The next start finds it once more, and decides the same.
            tracing::warn!(pipeline = %self.name(), error = %with_causes(&e), "the record of versions can't be written");
        }
        let pipeline = self
            .pipeline()
            .await?
            .with_successors(successors, self.record.clone());
        self.run_pipeline(pipeline, trigger, observer, stop).await
    }

    /// Sets where the next micro-batch starts, as a micro-batch without rows.
    ///
    /// # Errors
    /// As [`OpenPipeline::run`].
    pub async fn reset(&self, to: Offset) -> Result<BatchReport, RuntimeError> {
        self.check_process()?;
        let mut pipeline = self.pipeline().await?;
        let outcome = pipeline.reset(to).await;
        pipeline.close().await;
        outcome.map_err(|e| self.failed(e))
    }

    /// The pipeline itself, with its sink open, for a program that drives it step by step. Without an observer and
    /// without a way to stop it: see [`Pipeline::with_observer`] and [`Pipeline::with_stop`].
    ///
    /// # Errors
    /// [`RuntimeError::Config`] when the table's location can't be one, [`RuntimeError::Sink`] when the table can't be
    /// opened, [`RuntimeError::Checkpoint`] when the checkpoint location can't be used.
    pub async fn pipeline(&self) -> Result<Pipeline<SandboxSource, F::Sink>, RuntimeError> {
        self.pipeline_with(varied(self.file.config().retry)).await
    }

    /// The version that was on probation when the process before ended.
    fn interrupted_version(&self) -> Option<&RefusedVersion> {
        self.record.as_ref().filter(|_| self.interrupted)?.refused.last()
    }

    fn check_process(&self) -> Result<(), SandboxError> {
        Ok(self.connector().process().check()?)
    }

    pub(crate) fn name(&self) -> &str {
        &self.file.config().name
    }

    pub(crate) fn sink(&self) -> Result<&F, RuntimeError> {
        let sink = self.parts.sink.as_ref();
        sink.map_err(|reason| self.file.error_at("sink.table", reason, None).into())
    }

    /// The checkpoint location for a table that carries the offset, or does not.
    pub(crate) async fn checkpoint_for(
        &self,
        carries_offset: bool,
    ) -> Result<CheckpointLocation, RuntimeError> {
        let checkpoint = &self.parts.checkpoint;
        if carries_offset {
            return Ok(checkpoint.location.clone());
        }
        let single_writer = self.file.config().sink.single_writer;
        let location = checkpoint.for_offset_log(single_writer).await;
        location.map_err(|denied| match denied {
            Denied::NotExclusive(place) => {
                let message = place.to_string();
                self.file.error_at("checkpoint.location", &message, None).into()
            }
            Denied::Store(path, source) => CheckpointError::Store { path, source }.into(),
        })
    }

    /// Whose the checkpoint location has to be.
    pub(crate) fn owner(&self) -> CheckpointOwner {
        CheckpointOwner {
            pipeline: self.name().to_owned(),
            table: self.parts.table.clone(),
        }
    }

    /// Where the next micro-batch would start. Writes nothing.
    pub(crate) async fn find_start(&self) -> Result<Start, RuntimeError> {
        let mut pipeline = self.pipeline_with(RetryPolicy::new(1)).await?;
        pipeline.find_start().await.map_err(|e| self.failed(e))
    }

    /// An error of the sink, shown in the file where that is at fault.
    pub(crate) fn sink_error(&self, error: SinkError) -> RuntimeError {
        match error {
            SinkError::NotExclusive { place, reason } => {
                let message = crate::conditional_put::NotExclusive { place, reason }.to_string();
                self.file.error_at("sink.table", &message, None).into()
            }
            other => other.into(),
        }
    }

    async fn pipeline_with(
        &self,
        retry: RetryPolicy,
    ) -> Result<Pipeline<SandboxSource, F::Sink>, RuntimeError> {
        let opened = self.sink()?.open(self.name(), &self.source.schema()).await;
        let sink = opened.map_err(|e| self.sink_error(e))?;
        if self.unread {
            self.parts.checkpoint.location.load_versions().await?;
            return Err(RuntimeError::Pipeline {
                name: self.name().to_owned(),
                reason: "which version has to run could not be read at first, and can be now; start again"
                    .into(),
            });
        }
        let checkpoint = self.checkpoint_for(sink.carries_offset()).await?;
        let config = self.file.config();
        let options = PipelineOptions::new(self.name(), self.parts.table.clone())
            .with_limit(ReadLimit {
                max_rows: Some(config.trigger.max_rows_per_batch),
                max_bytes: Some(config.trigger.max_bytes_per_batch),
            })
            .with_parallelism(config.source.limits.parallelism as usize)
            .with_retry(retry)
            .with_probation(config.swap.probation);
        let (source, clock) = (self.source.clone(), self.clock.clone());
        let pipeline = Pipeline::new(source, sink, checkpoint, clock, options);
        Ok(match &self.turns {
            Some((turns, bytes)) => pipeline.with_turns(turns.clone(), *bytes),
            None => pipeline,
        })
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

/// An error of a component that is opened with the options of a file.
pub(crate) fn opening_error(file: &PipelineFile, error: SourceError) -> RuntimeError {
    match error {
        SourceError::InvalidOptions(message) => file.option_error(&message).into(),
        other => other.into(),
    }
}

/// A policy with pauses that no other process has.
fn varied(policy: RetryPolicy) -> RetryPolicy {
    let (seed, _) = Uuid::new_v4().as_u64_pair();
    policy.with_jitter(seed)
}

/// The source with the key of its rows: the file's for every reading, the component's for ranges alone. A
/// row that changed comes again in many a sequential reading, and its key with it.
pub(crate) fn with_key(source: SandboxSource, file: &PipelineFile) -> Result<SandboxSource, RuntimeError> {
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
    let key = source.stream().key.clone();
    match missing(&key) {
        None => Ok(source.with_key(key, false)),
        Some(_) => Ok(source),
    }
}
