use std::collections::HashSet;
use std::sync::Arc;

use sandbar_runtime::{Host, OpenPipeline, RunMode, RunSummary};
use tokio::task::JoinSet;

use crate::CliError;
use crate::args::{ProgressFormat, RunArguments};
use crate::commands::{load, show_error};
use crate::output::plural;
use crate::progress::ProgressOutput;
use crate::signals::stop_on_signals;

/// Runs all pipelines side by side. One that fails does not disturb the others, but the exit status.
pub(crate) async fn execute(arguments: RunArguments) -> Result<(), CliError> {
    let mode = match (arguments.available_now, arguments.once) {
        (true, _) => RunMode::AvailableNow,
        (_, true) => RunMode::Once,
        _ => RunMode::Continuous,
    };
    let stop = stop_on_signals().map_err(|source| CliError::Io {
        context: "signals can't be watched".into(),
        source,
    })?;
    // All files are checked before the first row is read.
    let host = Host::new()?;
    let mut names = HashSet::new();
    let mut pipelines = vec![];
    for path in &arguments.files {
        let file = load(path)?;
        if !names.insert(file.config().name.clone()) {
            let name = &file.config().name;
            return Err(CliError::Usage(format!(
                "two of the files name the pipeline {name:?}"
            )));
        }
        pipelines.push(Arc::new(host.open(&file).await?));
    }
    let output = ProgressOutput::new(arguments.progress);
    let mut running = JoinSet::new();
    for pipeline in pipelines {
        let progress = output.sink(&pipeline.file().config().name);
        let stop = stop.clone();
        running.spawn(async move {
            let outcome = pipeline.run(mode, progress, stop).await;
            (pipeline, outcome)
        });
    }
    let (mut failed, mut misconfigured) = (false, false);
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((pipeline, Ok(summary))) => show_summary(&pipeline, &summary, arguments.progress),
            Ok((_, Err(e))) => {
                misconfigured |= e.is_configuration();
                failed |= !e.is_configuration();
                show_error(e.into());
            }
            Err(e) => {
                eprintln!("error: a pipeline ended unexpectedly: {e}");
                failed = true;
            }
        }
    }
    match (failed, misconfigured) {
        (true, _) => Err(CliError::Reported),
        (false, true) => Err(CliError::ReportedMistake),
        (false, false) => Ok(()),
    }
}

fn show_summary(pipeline: &OpenPipeline, summary: &RunSummary, format: ProgressFormat) {
    if format == ProgressFormat::None {
        return;
    }
    let name = &pipeline.file().config().name;
    let state = match (summary.stopped, summary.batches) {
        (true, _) => "stopped: ",
        (false, 0) => "nothing new: ",
        _ => "",
    };
    let version = summary.table_version.map(|v| format!(", table version {v}"));
    eprintln!(
        "{name}: {state}{} in {}, next at {}{}",
        plural(summary.rows, "row", "rows"),
        plural(summary.batches, "batch", "batches"),
        summary.offset,
        version.unwrap_or_default()
    );
}
