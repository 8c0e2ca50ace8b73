//! One file for each command.

pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod demo;
pub(crate) mod demo_api;
pub(crate) mod inspect;
pub(crate) mod preview;
pub(crate) mod registry;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod status;

use std::path::Path;

use sandbar_runtime::{Compiler, PipelineFile, RunSummary, Runtime, RuntimeError};

use crate::CliError;
use crate::args::COMPILE_COMPONENT;
use crate::output::{plain, say};
use crate::remedy;

/// The runtime of this process. Components are compiled by another process of this program.
pub(crate) fn runtime() -> Result<Runtime, CliError> {
    runtime_within(None)
}

/// The same with a bound on the memory of all pipelines, in bytes.
pub(crate) fn runtime_within(memory: Option<u64>) -> Result<Runtime, CliError> {
    // On Linux the program that runs, though another version may lie at its path by now.
    let path = match cfg!(target_os = "linux") {
        true => "/proc/self/exe".into(),
        false => std::env::current_exe().map_err(|source| CliError::Io {
            context: "the program can't find itself".into(),
            source,
        })?,
    };
    let arguments = vec![COMPILE_COMPONENT.into()];
    let builder = Runtime::builder()
        .compiler(Compiler::Program { path, arguments })
        .memory(memory)
        .remedy_words(remedy::words);
    let builder = sandbar_components::BUILTIN
        .iter()
        .fold(builder, |builder, (name, bytes)| builder.builtin(*name, *bytes));
    Ok(builder.build()?)
}

/// Reads a pipeline file.
pub(crate) fn load(path: &Path) -> Result<PipelineFile, CliError> {
    Ok(PipelineFile::load(path).map_err(RuntimeError::from)?)
}

/// Where the run after this one starts.
pub(crate) fn next_start(summary: &RunSummary) -> String {
    match &summary.offset {
        Some(offset) => format!("next at {}", offset.shown()),
        None => "before its position was known".to_owned(),
    }
}

/// Says on stderr what went wrong. A wrong pipeline file is shown with its lines.
pub(crate) fn show_error(error: CliError) {
    match error {
        CliError::Reported | CliError::ReportedMistake => {}
        CliError::Runtime(RuntimeError::Config(e)) => say(&format!("{:?}", e.into_report())),
        other => say(&format!("error: {}", plain(&remedy::explain(&other)))),
    }
}
