use std::io;

use sandbar_runtime::PipelineReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The longest request or response, in bytes.
const MAX_LINE: u64 = 1 << 20;

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

/// Sends a request or a response.
pub(super) async fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Receives the line of a request or a response; it is empty when the other end went away without a word.
pub(super) async fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut bounded = BufReader::new(stream).take(MAX_LINE);
    bounded.read_until(b'\n', &mut line).await?;
    Ok(line)
}
