//! One file for each command.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod demo_api;
pub(crate) mod inspect;
pub(crate) mod preview;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod status;

use std::path::Path;

use sandbar_runtime::{PipelineFile, RuntimeError};

use crate::CliError;

/// Reads a pipeline file.
pub(crate) fn load(path: &Path) -> Result<PipelineFile, CliError> {
    Ok(PipelineFile::load(path).map_err(RuntimeError::from)?)
}

/// Says on stderr what went wrong. A wrong pipeline file is shown with its lines.
pub(crate) fn show_error(error: CliError) {
    match error {
        CliError::Reported | CliError::ReportedMistake => {}
        CliError::Runtime(RuntimeError::Config(e)) => eprintln!("{:?}", e.into_report()),
        other => eprintln!("error: {other}"),
    }
}
