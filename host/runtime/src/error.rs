use std::path::PathBuf;

use sandbar_pipeline::{CheckpointError, PipelineError, SinkError, SourceError};
use sandbar_policy::PolicyError;
use sandbar_sandbox::SandboxError;

use crate::config::ConfigError;

/// Why something could not be done, from wherever it comes.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The pipeline file is wrong. Renders with its lines.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] Box<ConfigError>),
    /// A component's file can't be read.
    #[error("component {}: {source}", path.display())]
    ComponentFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A component is named that is neither built in nor a file.
    #[error(
        "there is no built-in component {name:?}{}; built in: {known}; a file is named with a slash or .wasm, as in \"./{name}.wasm\"",
        nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
    )]
    UnknownComponent {
        /// As it was written.
        name: String,
        /// The built-in one that is most like it.
        nearest: Option<&'static str>,
        /// The built-in ones.
        known: String,
    },
    /// A grant, a credential or a setting of the network is not well-formed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The component can't be loaded or opened.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The source answered with an error, outside a run.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The table can't be opened.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The checkpoint location can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The run failed.
    #[error("pipeline {name}: {source}")]
    Run {
        /// The pipeline.
        name: String,
        /// What stopped it.
        #[source]
        source: PipelineError,
    },
}

impl RuntimeError {
    /// Whether the command line, the pipeline file or the options are at fault, rather than the run.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Policy(_)
            | Self::UnknownComponent { .. }
            | Self::ComponentFile { .. } => true,
            Self::Source(e) => matches!(e, SourceError::InvalidOptions(_)),
            Self::Run { source, .. } => {
                matches!(
                    source,
                    PipelineError::Source(SourceError::InvalidOptions(_))
                        | PipelineError::OtherSource { .. }
                        | PipelineError::Checkpoint(CheckpointError::Foreign { .. })
                )
            }
            Self::Checkpoint(e) => matches!(
                e,
                CheckpointError::Location { .. } | CheckpointError::Foreign { .. }
            ),
            Self::Sandbox(e) => matches!(e, SandboxError::Policy(_)),
            Self::Sink(_) => false,
        }
    }
}

impl From<ConfigError> for RuntimeError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}
