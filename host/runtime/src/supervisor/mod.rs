//! Many pipelines in one process: each by its name started, stopped, paused, and read with another version.

mod supervised;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandbar_pipeline::{
    BatchId, ComponentId, NoopObserver, Offset, PipelineObserver, RunSummary, StopSignal, Trigger,
};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::config::PipelineFile;
use crate::swap::{SwapReport, SwapRequest};
use crate::{Runtime, RuntimeError};

use supervised::{Supervised, Wanted};

/// Runs pipelines side by side, each in a task of its own. One that fails holds up nobody.
pub struct Supervisor {
    runtime: Arc<Runtime>,
    options: SupervisorOptions,
    pipelines: Mutex<BTreeMap<String, Arc<Supervised>>>,
}

/// How a [`Supervisor`] runs its pipelines.
#[derive(Clone)]
#[non_exhaustive]
pub struct SupervisorOptions {
    /// The trigger of all pipelines; `None` for that of each file.
    pub trigger: Option<Trigger>,
    /// What becomes of a pipeline that failed.
    pub restart: Restart,
    /// Makes the observer of a pipeline, by its name.
    pub observer: MakeObserver,
}

/// Makes the observer of a pipeline, by its name.
pub type MakeObserver = Arc<dyn Fn(&str) -> Arc<dyn PipelineObserver> + Send + Sync>;

/// What becomes of a pipeline that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// It ends.
    #[default]
    Never,
    /// It is opened and run again, after pauses that double from `base` to `max`. A pipeline that committed since begins
    /// with the shortest one.
    Always {
        /// The first pause.
        base: Duration,
        /// The longest one.
        max: Duration,
    },
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            trigger: None,
            restart: Restart::Never,
            observer: Arc::new(|_| NoopObserver::shared()),
        }
    }
}

impl SupervisorOptions {
    /// Sets the trigger of all pipelines.
    #[must_use]
    pub fn with_trigger(self, trigger: Option<Trigger>) -> Self {
        Self { trigger, ..self }
    }

    /// Sets what becomes of a pipeline that failed.
    #[must_use]
    pub fn with_restart(self, restart: Restart) -> Self {
        Self { restart, ..self }
    }

    /// Sets who observes the pipelines.
    #[must_use]
    pub fn with_observer(
        self,
        observer: impl Fn(&str) -> Arc<dyn PipelineObserver> + Send + Sync + 'static,
    ) -> Self {
        Self {
            observer: Arc::new(observer),
            ..self
        }
    }
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PipelineState {
    /// Its component is loaded, its table opened.
    Starting,
    /// It reads, or waits for its next poll.
    Running,
    /// It was paused.
    Paused,
    /// It failed and will be tried again.
    Failed,
    /// It was stopped, or its trigger is done.
    Stopped,
}

/// Where a pipeline of a [`Supervisor`] stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PipelineReport {
    /// Its name.
    pub pipeline: String,
    /// What it is doing.
    pub state: PipelineState,
    /// The version that reads.
    pub component: Option<ComponentId>,
    /// The reference by which that version was found.
    pub reference: Option<String>,
    /// Whether that version is on probation.
    pub probation: bool,
    /// The last committed micro-batch, as far as this run knows.
    pub batch: BatchId,
    /// Where the next one starts.
    pub offset: Option<Offset>,
    /// Micro-batches of this process.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Why it failed last.
    pub error: Option<String>,
    /// What became of the last swap that did not last.
    pub rolled_back: Option<String>,
}

impl Supervisor {
    /// A supervisor without pipelines.
    pub fn new(runtime: Arc<Runtime>, options: SupervisorOptions) -> Self {
        Self {
            runtime,
            options,
            pipelines: Mutex::default(),
        }
    }

    /// Starts a pipeline. The handle gives what became of it, once it ended by itself, was stopped, or failed for good.
    ///
    /// # Errors
    /// [`RuntimeError::Pipeline`] when one of this name is there already.
    pub fn start(
        &self,
        file: PipelineFile,
        stop: StopSignal,
    ) -> Result<JoinHandle<Result<RunSummary, RuntimeError>>, RuntimeError> {
        let name = file.config().name.clone();
        let mut pipelines = self.lock();
        if pipelines.get(&name).is_some_and(|known| !known.has_ended()) {
            return Err(pipeline_error(&name, "it runs here already"));
        }
        let observer = (self.options.observer)(&name);
        let supervised = Arc::new(Supervised::new(
            self.runtime.clone(),
            file,
            self.options.clone(),
            observer,
            stop,
        ));
        pipelines.insert(name, supervised.clone());
        drop(pipelines);
        Ok(tokio::spawn(async move {
            let watching = tokio::spawn(watch::watch(Arc::downgrade(&supervised)));
            let outcome = supervised.run().await;
            watching.abort();
            outcome
        }))
    }

    /// Asks a pipeline to stop. What is being read is abandoned, what is being committed is finished.
    ///
    /// # Errors
    /// [`RuntimeError::Pipeline`] when there is none of this name.
    pub async fn stop(&self, name: &str) -> Result<(), RuntimeError> {
        self.find(name)?.want(Wanted::Stopped).await;
        Ok(())
    }

    /// Asks a pipeline to stop reading until it is resumed. What it knows of its component stays in memory.
    ///
    /// # Errors
    /// [`RuntimeError::Pipeline`] when there is none of this name, or it ended.
    pub async fn pause(&self, name: &str) -> Result<(), RuntimeError> {
        let pipeline = self.find_alive(name)?;
        pipeline.want(Wanted::Paused).await;
        Ok(())
    }

    /// Lets a paused pipeline go on, and one that waits after a failure go on at once.
    ///
    /// # Errors
    /// [`RuntimeError::Pipeline`] when there is none of this name, or it ended.
    pub async fn resume(&self, name: &str) -> Result<(), RuntimeError> {
        let pipeline = self.find_alive(name)?;
        pipeline.want(Wanted::Running).await;
        Ok(())
    }

    /// Lets another version of the component read a pipeline. It is found, loaded and checked while the one before reads
    /// on, and takes over between two micro-batches.
    ///
    /// # Errors
    /// [`RuntimeError::Swap`] with the check that it did not pass; [`RuntimeError::Pipeline`] when there is no such
    /// pipeline, or it does not run. The version before reads on.
    pub async fn swap(&self, name: &str, request: SwapRequest) -> Result<SwapReport, RuntimeError> {
        self.find_alive(name)?.swap(request).await
    }

    /// Goes on with a file that was changed: by a swap where nothing but the component or its digest is another and the
    /// pipeline reads, else stopped and started anew, once the new file is known to open. Returns whether anything was
    /// changed.
    ///
    /// # Errors
    /// [`RuntimeError::Pipeline`] when there is no such pipeline; the errors of [`Runtime::open`] and of
    /// [`swap`](Self::swap). The pipeline goes on with the file before.
    pub async fn reload(&self, file: PipelineFile) -> Result<bool, RuntimeError> {
        let name = file.config().name.clone();
        self.find_alive(&name)?.reload(file).await
    }

    /// Where all pipelines stand, by their names.
    pub fn reports(&self) -> Vec<PipelineReport> {
        self.lock().values().map(|pipeline| pipeline.report()).collect()
    }

    /// Where one pipeline stands.
    pub fn report(&self, name: &str) -> Option<PipelineReport> {
        self.lock().get(name).map(|pipeline| pipeline.report())
    }

    /// The file of a pipeline.
    pub fn file(&self, name: &str) -> Option<PipelineFile> {
        self.lock().get(name).map(|pipeline| pipeline.file())
    }

    /// Forgets a pipeline that ended.
    pub fn forget(&self, name: &str) {
        let mut pipelines = self.lock();
        if pipelines.get(name).is_some_and(|known| known.has_ended()) {
            pipelines.remove(name);
        }
    }

    fn find(&self, name: &str) -> Result<Arc<Supervised>, RuntimeError> {
        let pipelines = self.lock();
        pipelines.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = pipelines.keys().map(String::as_str).collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            pipeline_error(name, &format!("it is not one of those that run here: {known}"))
        })
    }

    fn find_alive(&self, name: &str) -> Result<Arc<Supervised>, RuntimeError> {
        let pipeline = self.find(name)?;
        match pipeline.has_ended() {
            true => Err(pipeline_error(name, "it has ended; start it again")),
            false => Ok(pipeline),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Supervised>>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pipeline_error(name: &str, reason: &str) -> RuntimeError {
    RuntimeError::Pipeline {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}
