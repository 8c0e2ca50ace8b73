use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sandbar_runtime::{
    PipelineFile, PipelineObserver, RunSummary, Runtime, RuntimeError, StopSignal, SystemClock, Trigger,
};
use tokio::task::JoinError;

use crate::CliError;
use crate::args::{ProgressFormat, RunArguments};
use crate::commands::{load, next_start, show_error};
use crate::output::{plain, plural, say};
use crate::progress::ProgressOutput;
use crate::remedy;
use crate::service::{Notifications, Service};
use crate::signals::stop_on_signals;

/// Opens and runs all pipelines side by side. One that fails, or can't even be opened, does not disturb the others,
/// but the exit status.
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
    let runtime = Arc::new(super::runtime()?);
    let loaded = {
        let paths = arguments.files.clone();
        tokio::task::spawn_blocking(move || load_all(&paths))
    };
    // A disk that does not answer does not keep a stop waiting.
    let files = tokio::select! {
        biased;
        () = stop.stopped() => return Ok(()),
        loaded = loaded => loaded.map_err(|e| CliError::Io {
            context: "the pipeline files can't be read".into(),
            source: e.into(),
        })??,
    };
    let clock = Arc::new(SystemClock::default());
    let service = Service::start(arguments.listen, &notify, clock, stop.clone()).await?;
    let board = service.board();
    let output = Arc::new(ProgressOutput::new(arguments.progress));
    let start = |file: PipelineFile| {
        let name = file.config().name.clone();
        let progress = board.observer(&name, output.observer(&name));
        let task = tokio::spawn(open_and_run(
            runtime.clone(),
            file,
            trigger.clone(),
            progress,
            stop.clone(),
        ));
        async move { (name, task.await) }
    };
    let mut running: FuturesUnordered<_> = files.into_iter().map(start).collect();
    service.notifier().ready();
    let (mut failed, mut misconfigured) = (false, false);
    while let Some((name, ended)) = running.next().await {
        board.ended(&name, error_of(&ended).as_deref());
        match ended {
            Ok(Ok(summary)) => output.aside(|| show_summary(&name, summary.as_ref(), arguments.progress)),
            Ok(Err(e)) => {
                misconfigured |= e.is_configuration();
                failed |= !e.is_configuration();
                output.aside(|| show_failure(&name, e));
            }
            Err(e) => {
                failed = true;
                let said = plain(&e.to_string());
                output.aside(|| say(&format!("error: pipeline {name} ended unexpectedly: {said}")));
            }
        }
    }
    let _ = tokio::task::spawn_blocking(move || output.finish()).await;
    match (failed, misconfigured) {
        (true, _) => Err(CliError::Reported),
        (false, true) => Err(CliError::ReportedMistake),
        (false, false) => Ok(()),
    }
}

/// All files are read and checked before anything starts.
fn load_all(paths: &[PathBuf]) -> Result<Vec<PipelineFile>, CliError> {
    let mut names = HashSet::new();
    let mut files: Vec<PipelineFile> = vec![];
    for path in paths {
        let file = load(path)?;
        let name = &file.config().name;
        if !names.insert(name.clone()) {
            return Err(CliError::Usage(format!(
                "two of the files name the pipeline {name:?}"
            )));
        }
        if let Some(other) = files.iter().find(|other| file.shares_checkpoint_location(other)) {
            return Err(CliError::Usage(format!(
                "{} and {} have one checkpoint location: {}; each pipeline needs a location of its own",
                other.path().display(),
                path.display(),
                file.checkpoint_location()
            )));
        }
        files.push(file);
    }
    Ok(files)
}

/// Runs one pipeline to its end. `None` when a stop came before it was open.
async fn open_and_run(
    runtime: Arc<Runtime>,
    file: PipelineFile,
    trigger: Option<Trigger>,
    progress: Arc<dyn PipelineObserver>,
    stop: StopSignal,
) -> Result<Option<RunSummary>, RuntimeError> {
    // A component that takes its time to be compiled or opened does not keep a stop waiting.
    let pipeline = tokio::select! {
        biased;
        () = stop.stopped() => return Ok(None),
        opened = runtime.open(&file) => opened?,
    };
    let trigger = trigger.unwrap_or_else(|| pipeline.trigger());
    pipeline.run(trigger, progress, stop).await.map(Some)
}

/// Why a pipeline ended, when it failed.
fn error_of<T>(ended: &Result<Result<T, RuntimeError>, JoinError>) -> Option<String> {
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

fn show_summary(name: &str, summary: Option<&RunSummary>, format: ProgressFormat) {
    if format == ProgressFormat::None {
        return;
    }
    let Some(summary) = summary else {
        say(&format!(
            "{name}: stopped: 0 rows in 0 batches, before it was opened"
        ));
        return;
    };
    let state = match (summary.stopped, summary.batches) {
        (true, _) => "stopped: ",
        (false, 0) => "nothing new: ",
        _ => "",
    };
    let version = summary.revision.map(|v| format!(", table version {v}"));
    say(&format!(
        "{name}: {state}{} in {}, {}{}",
        plural(summary.rows, "row", "rows"),
        plural(summary.batches, "batch", "batches"),
        next_start(summary),
        version.unwrap_or_default()
    ));
}
