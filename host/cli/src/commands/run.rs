use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use sandbar_runtime::{
    Clock, PipelineFile, PipelineReport, Restart, RunSummary, RuntimeError, StopSignal, Supervisor,
    SupervisorOptions, SystemClock, Trigger,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinError;

use crate::CliError;
use crate::args::{ProgressFormat, RunArguments};
use crate::commands::{next_start, show_error};
use crate::control::{ControlServer, Controlled};
use crate::output::{plain, plural, say};
use crate::pipeline_files::{Change, PipelineFiles};
use crate::progress::ProgressOutput;
use crate::remedy;
use crate::service::{Board, Notifications, Service};
use crate::signals::stop_on_signals;

/// The time between two looks at a folder of pipeline files.
const LOOK: Duration = Duration::from_secs(2);
/// The pauses before a pipeline that failed is tried again.
const RESTART: Restart = Restart::Always {
    base: Duration::from_secs(1),
    max: Duration::from_secs(300),
};

/// The pipelines of this process, for whoever controls them.
pub(crate) struct Fleet {
    supervisor: Supervisor,
    board: Arc<Board>,
}

impl Fleet {
    pub(crate) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    pub(crate) async fn pause(&self, name: &str) -> Result<(), RuntimeError> {
        self.supervisor.pause(name).await?;
        self.board.paused(name);
        Ok(())
    }
}

/// Opens and runs all pipelines side by side. One that fails, or can't even be opened, does not disturb the others,
/// but the exit status. With a folder among the files it goes on until it is stopped, whatever fails.
pub(crate) async fn execute(arguments: RunArguments, notify: Notifications) -> Result<(), CliError> {
    // Without one it is that of each file.
    let trigger = match (arguments.available_now, arguments.once) {
        (true, _) => Some(Trigger::AvailableNow),
        (_, true) => Some(Trigger::Once),
        _ => None,
    };
    let stop = stop_on_signals().map_err(|source| CliError::Io {
        context: "signals can't be watched".into(),
        source,
    })?;
    let runtime = Arc::new(super::runtime_within(arguments.memory)?);
    // A disk that does not answer does not keep a stop waiting.
    let mut files = PipelineFiles::new(arguments.files);
    let has_folder = files.has_folder() && trigger.is_none();
    let loaded = tokio::task::spawn_blocking(move || {
        let changes = files.read_all()?;
        Ok::<_, CliError>((files, changes))
    });
    let (files, changes) = tokio::select! {
        biased;
        () = stop.stopped() => return Ok(()),
        loaded = loaded => loaded.map_err(unread)??,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let service = Service::start(arguments.listen, &notify, clock.clone(), stop.clone()).await?;
    let output = Arc::new(ProgressOutput::new(arguments.progress));
    let options = {
        let (board, output) = (service.board().clone(), output.clone());
        SupervisorOptions::default()
            .with_trigger(trigger.clone())
            .with_restart(match has_folder || arguments.restart {
                true => RESTART,
                false => Restart::Never,
            })
            .with_observer(move |name| board.observer(name, output.observer(name)))
    };
    let fleet = Arc::new(Fleet {
        supervisor: Supervisor::new(runtime, options),
        board: service.board().clone(),
    });
    let (orders, ordered) = mpsc::channel(1);
    let _control = match trigger {
        // It is over soon.
        Some(_) => None,
        None => listen(arguments.control, &fleet, &clock, orders)?,
    };
    let run = Run {
        fleet,
        service,
        output: output.clone(),
        progress: arguments.progress,
        stop,
        clock,
        files: Some(files),
        running: FuturesUnordered::new(),
        postponed: BTreeMap::new(),
        failed: false,
        misconfigured: false,
    };
    let outcome = run
        .until_end(changes, has_folder, trigger.is_none(), ordered)
        .await;
    let _ = tokio::task::spawn_blocking(move || output.finish()).await;
    outcome
}

/// A run without a control socket is better than none, unless someone named the socket.
fn listen(
    path: Option<PathBuf>,
    fleet: &Arc<Fleet>,
    clock: &Arc<dyn Clock>,
    orders: mpsc::Sender<Controlled>,
) -> Result<Option<ControlServer>, CliError> {
    match ControlServer::start(path.as_deref(), fleet.clone(), clock.clone(), orders) {
        Ok(server) => Ok(Some(server)),
        Err(e) if path.is_some() => Err(e),
        Err(e) => {
            tracing::warn!("the run can't be controlled: {}", remedy::explain(&e));
            Ok(None)
        }
    }
}

type Ended = Result<Result<RunSummary, RuntimeError>, JoinError>;

/// A run at work.
struct Run {
    fleet: Arc<Fleet>,
    service: Service,
    output: Arc<ProgressOutput>,
    progress: ProgressFormat,
    stop: StopSignal,
    clock: Arc<dyn Clock>,
    /// Out while a thread looks at them.
    files: Option<PipelineFiles>,
    running: FuturesUnordered<BoxFuture<'static, (String, Ended)>>,
    /// Changed files whose turn comes when the version that reads has proven itself.
    postponed: BTreeMap<String, PipelineFile>,
    failed: bool,
    misconfigured: bool,
}

impl Run {
    async fn until_end(
        mut self,
        changes: Vec<Change>,
        goes_on: bool,
        reloads: bool,
        mut ordered: mpsc::Receiver<Controlled>,
    ) -> Result<(), CliError> {
        self.apply(changes).await;
        self.service.notifier().ready();
        // Where a terminal is, its end is a reason to stop, as it is for any program.
        let mut hangups = match reloads && !std::io::stdin().is_terminal() {
            true => signal(SignalKind::hangup()).ok(),
            false => None,
        };
        let clock = self.clock.clone();
        while !self.running.is_empty() || (goes_on && !self.stop.is_stopped()) {
            tokio::select! {
                biased;
                Some((name, ended)) = self.running.next() => self.ended(&name, ended),
                () = self.stop.stopped(), if self.running.is_empty() => break,
                Some(order) = ordered.recv() => self.obey(order).await,
                () = hung_up(&mut hangups) => {
                    self.reload().await;
                }
                () = clock.sleep(LOOK), if self.looks(goes_on) => {
                    if goes_on {
                        let changes = self.look(false).await;
                        self.apply(changes).await;
                    }
                    let waiting: Vec<_> = self.postponed.values().cloned().collect();
                    for file in waiting {
                        self.take_up(file).await;
                    }
                }
            }
        }
        match (self.failed, self.misconfigured) {
            (true, _) => Err(CliError::Reported),
            (false, true) => Err(CliError::ReportedMistake),
            (false, false) => Ok(()),
        }
    }

    /// Whether there is something to look for every now and then.
    fn looks(&self, goes_on: bool) -> bool {
        (goes_on || !self.postponed.is_empty()) && !self.stop.is_stopped()
    }

    async fn obey(&mut self, order: Controlled) {
        match order {
            Controlled::Reload(answer) => {
                let changes = self.reload().await;
                let _ = answer.send(changes);
            }
            Controlled::Start(name, answer) => {
                let started = self.start_again(name).await;
                let _ = answer.send(started);
            }
        }
    }

    /// Reads all files again. Returns what changed, in words.
    async fn reload(&mut self) -> Vec<String> {
        self.service.notifier().reloading();
        let changes = self.look(true).await;
        let changed = self.apply(changes).await;
        self.service.notifier().ready();
        changed
    }

    async fn start_again(&mut self, name: String) -> Result<(), CliError> {
        let Some(mut files) = self.files.take() else {
            return Err(CliError::Usage(
                "the pipeline files are being read; try again".into(),
            ));
        };
        let read = tokio::task::spawn_blocking(move || {
            let file = files.read_again(&name);
            (files, file)
        });
        let (files, file) = read.await.map_err(unread)?;
        self.files = Some(files);
        self.start(file?)
    }

    async fn look(&mut self, all: bool) -> Vec<Change> {
        let Some(mut files) = self.files.take() else {
            return vec![];
        };
        let looked = tokio::task::spawn_blocking(move || {
            let changes = files.look(all);
            (files, changes)
        });
        match looked.await {
            Ok((files, changes)) => {
                self.files = Some(files);
                changes
            }
            Err(_) => vec![],
        }
    }

    async fn apply(&mut self, changes: Vec<Change>) -> Vec<String> {
        let mut done = vec![];
        for change in changes {
            match change {
                Change::Read(file) => done.extend(self.take_up(*file).await),
                Change::Bad(e) => {
                    done.push(remedy::explain(&e));
                    self.output.aside(|| show_error(e));
                }
                Change::Gone(name) => {
                    if self.fleet.supervisor.stop(&name).await.is_ok() {
                        self.fleet.supervisor.forget(&name);
                        self.fleet.board.forget(&name);
                        done.push(self.tell(&name, "stopped, because its file is gone"));
                    }
                }
            }
        }
        done
    }

    /// Starts the pipeline of a file, or lets it go on with a changed one.
    async fn take_up(&mut self, file: PipelineFile) -> Option<String> {
        let name = file.config().name.clone();
        let report = self.fleet.supervisor.report(&name);
        let alive = report.is_some_and(|report| report.state != sandbar_runtime::PipelineState::Stopped);
        if !alive {
            let again = self.fleet.supervisor.file(&name).is_some();
            let outcome = self.start(file);
            return match (outcome, again) {
                (Ok(()), true) => Some(self.tell(&name, "started again")),
                (Ok(()), false) => None,
                (Err(e), _) => Some(self.tell(&name, &remedy::explain(&e))),
            };
        }
        let reload = tokio::select! {
            biased;
            () = self.stop.stopped() => return None,
            reloaded = self.fleet.supervisor.reload(file.clone()) => reloaded,
        };
        if reload.as_ref().is_err_and(RuntimeError::waits_for_probation) {
            let told_before = self.postponed.insert(name.clone(), file).is_some();
            return match told_before {
                true => None,
                false => Some(self.tell(
                    &name,
                    "takes up its changed file once the version that reads is promoted",
                )),
            };
        }
        self.postponed.remove(&name);
        match reload {
            Ok(false) => None,
            Ok(true) => Some(self.tell(&name, "goes on with its changed file")),
            Err(e) => {
                let reason = remedy::explain_runtime(&e);
                Some(self.tell(&name, &format!("goes on with the file before: {reason}")))
            }
        }
    }

    fn tell(&self, name: &str, what: &str) -> String {
        let text = format!("{name}: {what}");
        self.output.aside(|| say(&plain(&text)));
        text
    }

    fn start(&mut self, file: PipelineFile) -> Result<(), CliError> {
        let name = file.config().name.clone();
        let task = self.fleet.supervisor.start(file, self.stop.clone())?;
        self.running.push(Box::pin(async move { (name, task.await) }));
        Ok(())
    }

    fn ended(&mut self, name: &str, ended: Ended) {
        self.fleet.board.ended(name, error_of(&ended).as_deref());
        let report = self.fleet.supervisor.report(name);
        match ended {
            Ok(Ok(summary)) => {
                self.output
                    .aside(|| show_summary(name, &summary, report.as_ref(), self.progress));
            }
            Ok(Err(e)) => {
                self.misconfigured |= e.is_configuration();
                self.failed |= !e.is_configuration();
                self.output.aside(|| show_failure(name, e));
            }
            Err(e) => {
                self.failed = true;
                let said = plain(&e.to_string());
                self.output
                    .aside(|| say(&format!("error: pipeline {name} ended unexpectedly: {said}")));
            }
        }
    }
}

async fn hung_up(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => _ = hangups.recv().await,
        None => std::future::pending().await,
    }
}

fn unread(e: JoinError) -> CliError {
    CliError::Io {
        context: "the pipeline files can't be read".into(),
        source: e.into(),
    }
}

/// Why a pipeline ended, when it failed.
fn error_of(ended: &Ended) -> Option<String> {
    match ended {
        Ok(Ok(_)) => None,
        Ok(Err(e)) => Some(remedy::explain_runtime(e)),
        Err(e) => Some(format!("it ended unexpectedly: {e}")),
    }
}

/// Says why a pipeline failed. What is wrong with its file is shown there, and a failed run names it already.
fn show_failure(name: &str, error: RuntimeError) {
    match error {
        RuntimeError::Config(_) | RuntimeError::Run { .. } => show_error(error.into()),
        other => say(&format!(
            "error: pipeline {name}: {}",
            plain(&remedy::explain_runtime(&other))
        )),
    }
}

fn show_summary(name: &str, summary: &RunSummary, report: Option<&PipelineReport>, format: ProgressFormat) {
    if format == ProgressFormat::None {
        return;
    }
    let state = match (summary.stopped, summary.batches) {
        (true, _) => "stopped: ",
        (false, 0) => "nothing new: ",
        _ => "",
    };
    let version = summary.revision.map(|v| format!(", table version {v}"));
    let rolled_back = report.and_then(|report| report.rolled_back.as_deref());
    let rolled_back = rolled_back.map(|what| format!("; rolled back from {what}"));
    say(&plain(&format!(
        "{name}: {state}{} in {}, {}{}{}",
        plural(summary.rows, "row", "rows"),
        plural(summary.batches, "batch", "batches"),
        next_start(summary),
        version.unwrap_or_default(),
        rolled_back.unwrap_or_default()
    )));
}
