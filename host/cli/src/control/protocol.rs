use sandbar_runtime::PipelineReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest request or response, in bytes.
pub(super) const MAX_LINE: usize = 1 << 20;

/// One request to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The pipeline's name; none for requests about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    /// Who asks, by their own account.
    #[serde(default)]
    pub(crate) user: String,
    #[serde(flatten)]
    pub(crate) kind: RequestKind,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "command")]
pub(crate) enum RequestKind {
    /// Where the pipelines stand.
    List,
    /// Start a pipeline that ended.
    Start,
    Stop,
    Pause,
    Resume,
    /// Read the pipeline files again.
    Reload,
    /// Read with another version of the component.
    Swap {
        /// Empty for what the pipeline file's reference leads to by now.
        reference: String,
        #[serde(default)]
        again: bool,
        #[serde(default)]
        reason: String,
    },
}

/// The response of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Response {
    /// It was done.
    Done(Value),
    /// Where the pipelines stand.
    Pipelines(Vec<Value>),
    /// It was not done.
    Failed {
        /// Why, and what to do.
        message: String,
        /// Whether the command or a pipeline file is wrong, rather than that something failed.
        mistake: bool,
    },
}

impl Response {
    pub(super) fn of_reports(reports: &[PipelineReport]) -> Self {
        let values = reports
            .iter()
            .filter_map(|report| serde_json::to_value(report).ok());
        Self::Pipelines(values.collect())
    }
}
