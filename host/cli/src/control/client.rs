use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbar_runtime::{Clock, SystemClock, is_ours};
use tokio::net::UnixStream;

use super::protocol::{Request, RequestKind, Response, receive, send};
use super::{folder, owned_folder};
use crate::CliError;

/// How long a run may take to say which pipelines it has.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the run that has the pipeline; `socket` is its control socket, where it is not to be looked for.
///
/// # Errors
/// [`CliError::Usage`] when no run has such a pipeline, or several have; [`CliError::Io`] when the socket can't be used.
pub(crate) async fn ask(request: &Request, socket: Option<&Path>) -> Result<Response, CliError> {
    match socket {
        Some(path) => exchange(path, request).await,
        None => exchange(&find(request.pipeline.as_deref()).await?, request).await,
    }
}

/// The socket of the one run that has this pipeline; without a name that of the one run that there is.
async fn find(pipeline: Option<&str>) -> Result<PathBuf, CliError> {
    let mut found = vec![];
    let mut others = vec![];
    let mut silent = vec![];
    let clock = SystemClock::default();
    for path in sockets()? {
        let list = Request {
            pipeline: None,
            user: String::new(),
            kind: RequestKind::List,
        };
        // A run that hangs does not keep the others from being asked.
        let answer = tokio::select! {
            answer = exchange(&path, &list) => answer,
            () = clock.sleep(PATIENCE) => {
                silent.push(path.display().to_string());
                continue;
            }
        };
        let Ok(Response::Pipelines(pipelines)) = answer else {
            continue;
        };
        let names = pipelines.iter().filter_map(|one| one["pipeline"].as_str());
        let names: Vec<_> = names.map(str::to_owned).collect();
        match pipeline.is_none_or(|name| names.iter().any(|known| known == name)) {
            true => found.push(path),
            false => others.extend(names),
        }
    }
    match found.as_slice() {
        [path] => Ok(path.clone()),
        [] => {
            let what = pipeline.map_or("no run of this user was found".to_owned(), |name| {
                format!("no run of this user has the pipeline {name:?}")
            });
            let others = match others.is_empty() {
                true => String::new(),
                false => format!("; running: {}", others.join(", ")),
            };
            let silent = match silent.is_empty() {
                true => String::new(),
                false => format!("; without an answer: {}", silent.join(", ")),
            };
            Err(CliError::Usage(format!(
                "{what}{others}{silent}; start it with `sandbar run`, or name the socket with --control"
            )))
        }
        several => {
            let paths: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(CliError::Usage(format!(
                "several runs fit; name one with --control: {}",
                paths.join(", ")
            )))
        }
    }
}

/// The sockets in the folder of this user. Those of processes that are gone are removed.
fn sockets() -> Result<Vec<PathBuf>, CliError> {
    if !folder().exists() {
        return Ok(vec![]);
    }
    let folder = owned_folder()?;
    let failed = |source| CliError::Io {
        context: format!("the folder of control sockets {}", folder.display()),
        source,
    };
    let mut found = vec![];
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "sock") {
            continue;
        }
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => found.push(path),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(&path);
            }
            Err(_) => {}
        }
    }
    found.sort();
    Ok(found)
}

async fn exchange(path: &Path, request: &Request) -> Result<Response, CliError> {
    let failed = |source| CliError::Io {
        context: format!("the control socket {}", path.display()),
        source,
    };
    // A socket of somebody else would be told which component to run, and could answer what it likes.
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if !is_ours(&found) {
        return Err(failed(std::io::Error::other(
            "it belongs to somebody else, or others can write to it",
        )));
    }
    let mut stream = UnixStream::connect(path).await.map_err(failed)?;
    send(&mut stream, request).await.map_err(failed)?;
    let answer = receive(&mut stream).await.map_err(failed)?;
    if answer.is_empty() {
        return Err(failed(std::io::Error::other("the run ended before it answered")));
    }
    serde_json::from_slice(&answer).map_err(|e| failed(e.into()))
}
