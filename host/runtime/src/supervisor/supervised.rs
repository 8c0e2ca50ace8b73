use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbar_pipeline::{
    Backoff, BatchId, BatchReport, ComponentId, Offset, PipelineError, PipelineObserver, RunSummary,
    StopSignal, Stopper, SuccessorSender, SwapEvent, SwapOrder, successors,
};
use sandbar_sandbox::SandboxSource;
use tokio::sync::watch;

use super::{PipelineReport, PipelineState, Restart, SupervisorOptions, pipeline_error};
use crate::config::PipelineFile;
use crate::loaded_version::ReadingVersion;
use crate::open::OpenPipeline;
use crate::swap::{Running, SwapCheck, SwapReport, SwapRequest};
use crate::{Runtime, RuntimeError};

/// What someone wants of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Running,
    Paused,
    Stopped,
}

/// One pipeline of a supervisor.
pub(super) struct Supervised {
    runtime: Arc<Runtime>,
    options: SupervisorOptions,
    /// Of the whole process.
    stop: StopSignal,
    observer: Arc<dyn PipelineObserver>,
    /// What is wanted, counted up with each wish, so that the same one can be said twice.
    wanted: watch::Sender<(Wanted, u64)>,
    known: Arc<Known>,
    file: Mutex<PipelineFile>,
    live: Mutex<Option<Arc<Live>>>,
    /// One swap or reload at a time.
    changing: tokio::sync::Mutex<()>,
}

/// What a run is made of.
pub(super) struct Live {
    open: OpenPipeline,
    sender: SuccessorSender<SandboxSource>,
}

/// What is known of a pipeline from its reports.
struct Known {
    report: watch::Sender<PipelineReport>,
    versions: Mutex<Versions>,
}

/// The version that reads, and the one before it as long as the newer one is on probation.
#[derive(Default)]
struct Versions {
    current: Option<ReadingVersion>,
    previous: Option<ReadingVersion>,
}

impl Supervised {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        file: PipelineFile,
        options: SupervisorOptions,
        observer: Arc<dyn PipelineObserver>,
        stop: StopSignal,
    ) -> Self {
        let report = PipelineReport {
            pipeline: file.config().name.clone(),
            state: PipelineState::Starting,
            component: None,
            reference: None,
            probation: false,
            batch: 0,
            offset: None,
            batches: 0,
            rows: 0,
            error: None,
            rolled_back: None,
        };
        Self {
            runtime,
            options,
            stop,
            observer,
            wanted: watch::Sender::new((Wanted::Running, 0)),
            known: Arc::new(Known {
                report: watch::Sender::new(report),
                versions: Mutex::default(),
            }),
            file: Mutex::new(file),
            live: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn report(&self) -> PipelineReport {
        self.known.report.borrow().clone()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.known.report.borrow().state == PipelineState::Stopped
    }

    pub(super) fn file(&self) -> PipelineFile {
        lock(&self.file).clone()
    }

    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn name(&self) -> String {
        self.known.report.borrow().pipeline.clone()
    }

    /// Says what is wanted, and waits until it is so, or the pipeline ended.
    pub(super) async fn want(&self, wanted: Wanted) {
        self.wanted
            .send_modify(|(now, count)| (*now, *count) = (wanted, *count + 1));
        let mut report = self.known.report.subscribe();
        let reached = report.wait_for(|report| match (wanted, report.state) {
            (_, PipelineState::Stopped) => true,
            (Wanted::Paused, state) => state == PipelineState::Paused,
            (Wanted::Running, state) => state != PipelineState::Paused,
            (Wanted::Stopped, _) => false,
        });
        let _ = reached.await;
    }

    /// Runs until the trigger is done, a stop, or a failure that is not tried again.
    pub(super) async fn run(self: Arc<Self>) -> Result<RunSummary, RuntimeError> {
        let outcome = self.run_on().await;
        self.known.report.send_modify(|report| {
            report.state = PipelineState::Stopped;
            report.error = outcome.as_ref().err().map(|e| self.runtime.explain(e));
        });
        outcome
    }

    async fn run_on(&self) -> Result<RunSummary, RuntimeError> {
        let mut total = RunSummary::default();
        let mut backoff = self.new_backoff();
        let mut wishes = self.wanted.subscribe();
        loop {
            let (wanted, _) = *wishes.borrow_and_update();
            match wanted {
                Wanted::Running => {}
                Wanted::Stopped => break,
                Wanted::Paused => {
                    self.set_state(PipelineState::Paused);
                    tokio::select! {
                        () = self.stop.stopped() => break,
                        _ = wishes.changed() => continue,
                    }
                }
            }
            let before = self.report().batches;
            let (stopper, signal) = Stopper::new();
            let outcome = {
                let run = self.run_once(signal);
                tokio::pin!(run);
                tokio::select! {
                    biased;
                    outcome = &mut run => outcome,
                    () = self.stop.stopped() => { stopper.stop(); run.await }
                    _ = wishes.changed() => { stopper.stop(); run.await }
                }
            };
            *lock(&self.live) = None;
            let failure = match outcome {
                Ok(summary) => {
                    let done = !summary.stopped;
                    add(&mut total, summary);
                    if done || self.stop.is_stopped() {
                        break;
                    }
                    continue;
                }
                Err(e) => e,
            };
            if self.stop.is_stopped() {
                return Err(failure);
            }
            if self.report().batches > before {
                backoff = self.new_backoff();
            }
            let Some(pause) = backoff.as_mut().map(Backoff::next_pause) else {
                return Err(failure);
            };
            let text = self.runtime.explain(&failure);
            tracing::warn!(pipeline = %self.name(), "failed, next try in {pause:.1?}: {text}");
            self.known.report.send_modify(|report| {
                report.state = PipelineState::Failed;
                report.error = Some(text);
            });
            let clock = self.runtime.clock();
            tokio::select! {
                biased;
                () = self.stop.stopped() => break,
                _ = wishes.changed() => {}
                () = clock.sleep(pause) => {}
            }
        }
        total.stopped |= self.stop.is_stopped();
        Ok(total)
    }

    /// The pauses before a pipeline that failed is tried again, if it is.
    fn new_backoff(&self) -> Option<Backoff> {
        match self.options.restart {
            Restart::Never => None,
            Restart::Always { base, max } => Some(Backoff::new(base, max)),
        }
    }

    fn set_state(&self, state: PipelineState) {
        self.known.report.send_modify(|report| report.state = state);
    }

    /// Opens the pipeline and runs it once. A stop before it is open is no failure.
    async fn run_once(&self, stop: StopSignal) -> Result<RunSummary, RuntimeError> {
        self.set_state(PipelineState::Starting);
        let file = self.file();
        let open = tokio::select! {
            biased;
            () = stop.stopped() => {
                return Ok(stopped());
            }
            opened = self.runtime.open(&file) => opened?,
        };
        self.known.starts_with(ReadingVersion {
            version: open.version.clone(),
            schema: open.schema(),
        });
        let trigger = self.options.trigger.clone().unwrap_or_else(|| open.trigger());
        let (sender, receiver) = successors();
        let live = Arc::new(Live { open, sender });
        *lock(&self.live) = Some(live.clone());
        let observer = Arc::new(Reports {
            known: self.known.clone(),
            next: self.observer.clone(),
        });
        live.open
            .run_with_successors(trigger, observer, stop, receiver)
            .await
    }

    pub(super) async fn swap(&self, request: SwapRequest) -> Result<SwapReport, RuntimeError> {
        let _one_at_a_time = self.changing.lock().await;
        self.swap_to(&self.file(), request).await
    }

    async fn swap_to(&self, file: &PipelineFile, request: SwapRequest) -> Result<SwapReport, RuntimeError> {
        let name = &file.config().name;
        let live = lock(&self.live).clone();
        let (report, current) = (self.report(), lock(&self.known.versions).current.clone());
        let (Some(live), Some(current), Some(offset)) = (live, current, report.offset) else {
            let reason = match report.state {
                PipelineState::Paused => "it is paused; resume it first",
                _ => {
                    "it does not read at the moment, so a new version can't be tried; name it in the pipeline file instead"
                }
            };
            return Err(pipeline_error(name, reason));
        };
        if report.probation {
            let version = current.version.connector.id().clone();
            let refused = live.open.run_error(PipelineError::OnProbation { version });
            return Err(SwapCheck::Takeover.failed(refused));
        }
        let reference = match request.reference.as_str() {
            "" => file.config().source.component.as_str(),
            given => given,
        };
        let running = Running {
            open: &live.open,
            file,
            current: &current,
            offset,
        };
        let Some(checked) = self.runtime.check_version(&running, reference).await? else {
            let digest = current.version.connector.id().digest.clone();
            return Ok(SwapReport::Unchanged { digest });
        };
        // Before the offer: what the pipeline reports of it comes at once.
        self.known.expect(Some(checked.reading.clone()));
        let offered = self
            .runtime
            .offer_version(&running, &checked, &request, &live.sender)
            .await;
        if offered.is_err() {
            self.known.expect(None);
        }
        Ok(SwapReport::TookOver(offered?))
    }

    pub(super) async fn reload(&self, file: PipelineFile) -> Result<bool, RuntimeError> {
        let _one_at_a_time = self.changing.lock().await;
        let before = self.file();
        if before.is_same_as(&file) {
            return Ok(false);
        }
        let reads = self.report().state == PipelineState::Running;
        if reads && before.differs_by_component_only(&file) {
            let request = SwapRequest {
                order: SwapOrder {
                    by: "reload".into(),
                    reason: format!("{} names another version", file.path().display()),
                },
                // Who pins what failed before wants it all the same, as at a start.
                again: file.config().source.digest.is_some(),
                ..SwapRequest::default()
            };
            let _ = self.swap_to(&file, request).await?;
            *lock(&self.file) = file;
            return Ok(true);
        }
        // What can't be opened does not take the place of what runs.
        drop(self.runtime.open_to_look(&file).await?);
        *lock(&self.file) = file;
        self.wanted.send_modify(|(_, count)| *count += 1);
        Ok(true)
    }

    /// Whether the file leads to a version whose probation was cut short by a stop before this start.
    pub(super) fn has_unproven(&self) -> bool {
        let live = lock(&self.live).clone();
        let record = live.as_ref().and_then(|live| live.open.record.as_ref());
        let unproven = record.and_then(|record| record.unproven.as_ref());
        unproven.is_some_and(|version| version.reference == lock(&self.file).config().source.component)
    }

    /// Waits until it reads.
    pub(super) async fn reads(&self) {
        let mut report = self.known.report.subscribe();
        let _ = report
            .wait_for(|report| report.state == PipelineState::Running)
            .await;
    }

    /// The version that reads came from the reference of the file.
    pub(super) fn follows_file(&self) -> bool {
        let report = self.known.report.borrow();
        report.reference.as_deref() == Some(&lock(&self.file).config().source.component)
    }
}

/// The summary of a run that was stopped before it began.
fn stopped() -> RunSummary {
    let mut summary = RunSummary::default();
    summary.stopped = true;
    summary
}

fn add(total: &mut RunSummary, run: RunSummary) {
    total.batches += run.batches;
    total.rows += run.rows;
    total.last_batch = run.last_batch;
    total.revision = run.revision.or(total.revision);
    total.offset = run.offset.or(total.offset.take());
    total.stopped = run.stopped;
}

impl Known {
    fn starts_with(&self, reading: ReadingVersion) {
        self.report.send_modify(|report| {
            report.probation = false;
            report.show(&reading);
        });
        *lock(&self.versions) = Versions {
            current: Some(reading),
            previous: None,
        };
    }

    /// A version may take over soon.
    fn expect(&self, reading: Option<ReadingVersion>) {
        lock(&self.versions).previous = reading;
    }

    /// A version reads from now on: the one that was expected, or the one before.
    fn reads_with(&self, id: &ComponentId, probation: bool) {
        let mut versions = lock(&self.versions);
        let other = versions.previous.take();
        if let Some(other) = other.filter(|other| other.version.connector.id().digest == id.digest) {
            versions.previous = versions.current.replace(other);
        }
        let current = versions.current.clone();
        drop(versions);
        self.report.send_modify(|report| {
            report.probation = probation;
            if let Some(current) = current {
                report.show(&current);
            }
        });
    }

    fn promoted(&self) {
        lock(&self.versions).previous = None;
        self.report.send_modify(|report| report.probation = false);
    }
}

impl PipelineReport {
    fn show(&mut self, reading: &ReadingVersion) {
        let version = &reading.version;
        self.component = Some(version.connector.id().clone());
        self.reference = Some(version.reference.clone());
    }
}

/// Keeps what a pipeline reports, and hands it on.
struct Reports {
    known: Arc<Known>,
    next: Arc<dyn PipelineObserver>,
}

impl PipelineObserver for Reports {
    fn started(&self, last: BatchId, offset: &Offset) {
        self.known.report.send_modify(|report| {
            report.state = PipelineState::Running;
            report.error = None;
            report.batch = last;
            report.offset = Some(offset.clone());
        });
        self.next.started(last, offset);
    }

    fn rows_staged(&self, rows: u64) {
        self.next.rows_staged(rows);
    }

    fn committed(&self, batch: &BatchReport) {
        self.known.report.send_modify(|report| {
            report.batch = batch.batch;
            report.offset = Some(batch.end.clone());
            report.batches += 1;
            report.rows += batch.rows;
        });
        self.next.committed(batch);
    }

    fn nothing_new(&self, offset: &Offset) {
        self.next.nothing_new(offset);
    }

    fn swapped(&self, event: &SwapEvent) {
        match event {
            SwapEvent::TookOver(takeover) => self.known.reads_with(&takeover.to, true),
            SwapEvent::RolledBack { from, to, reason } => {
                self.known.reads_with(to, false);
                self.known.report.send_modify(|report| {
                    report.rolled_back = Some(format!(
                        "{} {} ({}): {reason}",
                        from.name, from.version, from.digest
                    ));
                });
            }
            _ => self.known.promoted(),
        }
        self.next.swapped(event);
    }

    fn retrying(&self, failures: u32, pause: std::time::Duration, message: &str) {
        self.next.retrying(failures, pause, message);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
