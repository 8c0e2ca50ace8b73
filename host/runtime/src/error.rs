use std::path::PathBuf;

use sandbar_pipeline::{CheckpointError, ComponentId, PipelineError, Remedy, SinkError, SourceError};
use sandbar_policy::PolicyError;
use sandbar_registry::RegistryError;
use sandbar_sandbox::SandboxError;

use crate::config::ConfigError;
use crate::preview::PreviewError;
use crate::swap::SwapCheck;

/// Why something could not be done, from wherever it comes.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The pipeline file is wrong. Renders with its lines.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] Box<ConfigError>),
    /// A component's file can't be read.
    #[error("component {}", path.display())]
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
        nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
    )]
    UnknownComponent {
        /// As it was written.
        name: String,
        /// The built-in one that is most like it.
        nearest: Option<String>,
        /// The built-in ones.
        known: String,
    },
    /// A component can't be found, fetched or trusted.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A version that was swapped in is gone: its copy in the checkpoint location, and what its reference leads to.
    #[error(
        "{} {} ({}) was swapped in, but its copy is gone from the checkpoint location, and {reference} leads to {found} \
         now; let the pipeline file name the version to go on with",
        version.name, version.version, version.digest
    )]
    VersionLost {
        /// The version.
        version: Box<ComponentId>,
        /// Where it came from.
        reference: String,
        /// The digest that is there now.
        found: String,
    },
    /// Another version of the component did not take over. The one that reads goes on.
    #[error("{check}")]
    Swap {
        /// The check that it did not pass.
        check: SwapCheck,
        /// Why not.
        #[source]
        source: Box<RuntimeError>,
    },
    /// There is no such pipeline here, or it does not do what this needs.
    #[error("pipeline {name}: {reason}")]
    Pipeline {
        /// The pipeline.
        name: String,
        /// What is the matter, and what to do.
        reason: String,
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
    /// A preview ended without its rows.
    #[error(transparent)]
    Preview(#[from] PreviewError),
    /// The run failed.
    #[error("pipeline {name}")]
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
            Self::Registry(e) => !e.is_transient(),
            Self::Swap { source, .. } => source.is_configuration(),
            Self::Sink(_) | Self::Preview(_) | Self::VersionLost { .. } | Self::Pipeline { .. } => false,
        }
    }

    /// Whether a version was refused only because another one has still to prove itself.
    pub fn waits_for_probation(&self) -> bool {
        matches!(
            self,
            Self::Swap { source, .. }
                if matches!(&**source, Self::Run { source: PipelineError::OnProbation { .. }, .. })
        )
    }

    /// What an operator can do about it; nothing where that depends on the cause, or where the text says it.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Sink(e) => e.remedies(),
            Self::Checkpoint(e) => e.remedies(),
            Self::Preview(e) => e.remedies(),
            Self::Sandbox(e) => of_sandbox(e),
            Self::Source(e) => of_source(e),
            Self::Run {
                source: PipelineError::Source(e),
                ..
            } => of_source(e),
            Self::Run { source, .. } => source.remedies(),
            Self::Swap { source, .. } => source.remedies(),
            _ => vec![],
        }
    }
}

fn of_source(error: &SourceError) -> Vec<Remedy> {
    match error {
        SourceError::Sandbox(e) => e.downcast_ref().map(of_sandbox).unwrap_or_default(),
        _ => vec![],
    }
}

fn of_sandbox(error: &SandboxError) -> Vec<Remedy> {
    error.remedy().map(Remedy::Allow).into_iter().collect()
}

impl From<ConfigError> for RuntimeError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use sandbar_pipeline::with_causes;

    use super::*;

    #[test]
    fn a_chain_of_errors_has_each_text_once() {
        let disk = || std::io::Error::other("the disk is full");
        let errors = [
            RuntimeError::ComponentFile {
                path: "a.wasm".into(),
                source: disk(),
            },
            RuntimeError::Run {
                name: "p".into(),
                source: SinkError::Store {
                    context: "can't write".into(),
                    source: disk().into(),
                }
                .into(),
            },
            SourceError::Sandbox(disk().into()).into(),
        ];
        let whole = [
            "component a.wasm: the disk is full",
            "pipeline p: can't write: the disk is full",
            "the disk is full",
        ];
        for (error, whole) in errors.iter().zip(whole) {
            let mut texts = vec![];
            let mut next: Option<&dyn Error> = Some(error);
            while let Some(error) = next {
                texts.push(error.to_string());
                next = error.source();
            }
            assert_eq!(texts.join(": "), whole);
            assert_eq!(with_causes(error), whole);
        }
    }
}
