use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbar_runtime::{Clock, StopSignal, Stopper, SwapOrder, SwapReport, SwapRequest};
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::owned_folder;
use super::protocol::{Request, RequestKind, Response, receive, send};
use crate::CliError;
use crate::commands::run::Fleet;
use crate::output::plain;
use crate::remedy;

/// Connections that are served at once.
const MAX_CONNECTIONS: usize = 32;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What only the loop of the run can do.
pub(crate) enum Controlled {
    /// Start the pipeline of this name.
    Start(String, oneshot::Sender<Result<(), CliError>>),
    /// Read the pipeline files again. The answer says what changed.
    Reload(oneshot::Sender<Vec<String>>),
}

/// The socket of this process. It is gone when this is dropped.
pub(crate) struct ControlServer {
    path: PathBuf,
    stopper: Stopper,
}

impl ControlServer {
    /// Listens on a path, or on this process's own one in the folder of its user.
    ///
    /// # Errors
    /// [`CliError::Io`] when there is no such folder, or the socket can't be made.
    pub(crate) fn start(
        path: Option<&Path>,
        fleet: Arc<Fleet>,
        clock: Arc<dyn Clock>,
        controlled: mpsc::Sender<Controlled>,
    ) -> Result<Self, CliError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => owned_folder()?.join(format!("{}.sock", std::process::id())),
        };
        let failed = |source| CliError::Io {
            context: format!("the control socket {}", path.display()),
            source,
        };
        let listener = bind(&path).map_err(failed)?;
        let (stopper, stop) = Stopper::new();
        tokio::spawn(serve(listener, fleet, clock, controlled, stop));
        Ok(Self { path, stopper })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopper.stop();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes the place of a socket that nobody listens on any more.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(std::io::Error::other("something else than a socket is there"));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(std::io::Error::other("another run listens there"));
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(
    listener: UnixListener,
    fleet: Arc<Fleet>,
    clock: Arc<dyn Clock>,
    controlled: mpsc::Sender<Controlled>,
    stop: StopSignal,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = tokio::select! {
            () = stop.stopped() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::warn!(error = %e, "the control socket");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        let (fleet, clock, controlled) = (fleet.clone(), clock.clone(), controlled.clone());
        tokio::spawn(async move {
            let _place = place;
            converse(stream, &fleet, &*clock, &controlled).await;
        });
    }
}

async fn converse(
    mut stream: UnixStream,
    fleet: &Fleet,
    clock: &dyn Clock,
    controlled: &mpsc::Sender<Controlled>,
) {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(_) => return,
    };
    let own = rustix::process::geteuid().as_raw();
    let response = match uid == own || uid == 0 {
        false => failed("the control socket serves its own user only", true),
        true => {
            let request = tokio::select! {
                read = read(&mut stream) => read,
                () = clock.sleep(PATIENCE) => Err("no request came".to_owned()),
            };
            match request {
                Ok(request) => answer(request, uid, fleet, controlled).await,
                Err(reason) => failed(&reason, true),
            }
        }
    };
    tokio::select! {
        _ = send(&mut stream, &response) => {}
        () = clock.sleep(PATIENCE) => {}
    }
}

async fn read(stream: &mut UnixStream) -> Result<Request, String> {
    let line = receive(stream).await.map_err(|e| e.to_string())?;
    serde_json::from_slice(&line).map_err(|e| format!("the request is not understood: {e}"))
}

async fn answer(
    request: Request,
    uid: u32,
    fleet: &Fleet,
    controlled: &mpsc::Sender<Controlled>,
) -> Response {
    let Request { pipeline, user, kind } = request;
    let supervisor = fleet.supervisor();
    let named = || {
        let missing = "the request names no pipeline";
        pipeline.as_deref().ok_or_else(|| CliError::Usage(missing.into()))
    };
    let done = async {
        match kind {
            RequestKind::List => return Ok(Response::of_reports(&supervisor.reports())),
            RequestKind::Start => {
                let (answer, answered) = oneshot::channel();
                let order = Controlled::Start(named()?.to_owned(), answer);
                controlled.send(order).await.map_err(|_| ending())?;
                answered.await.map_err(|_| ending())??;
            }
            RequestKind::Reload => {
                let (answer, answered) = oneshot::channel();
                controlled
                    .send(Controlled::Reload(answer))
                    .await
                    .map_err(|_| ending())?;
                let changes = answered.await.map_err(|_| ending())?;
                return Ok(Response::Done(json!({ "changes": changes })));
            }
            RequestKind::Stop => supervisor.stop(named()?).await?,
            RequestKind::Pause => fleet.pause(named()?).await?,
            RequestKind::Resume => supervisor.resume(named()?).await?,
            RequestKind::Swap {
                reference,
                again,
                reason,
            } => {
                let request = SwapRequest {
                    reference,
                    again,
                    order: SwapOrder {
                        by: match user.is_empty() {
                            true => format!("uid {uid}"),
                            false => format!("{user} (uid {uid})"),
                        },
                        reason,
                    },
                };
                let report = supervisor.swap(named()?, request).await?;
                return Ok(Response::Done(described(report)));
            }
        }
        Ok::<_, CliError>(Response::Done(json!({})))
    };
    match done.await {
        Ok(response) => response,
        Err(e) => {
            let mistake = crate::is_mistake(&e);
            failed(&remedy::explain(&e), mistake)
        }
    }
}

fn ending() -> CliError {
    CliError::Usage("the run is about to end".into())
}

fn failed(message: &str, mistake: bool) -> Response {
    Response::Failed {
        message: plain(message),
        mistake,
    }
}

fn described(report: SwapReport) -> serde_json::Value {
    match report {
        SwapReport::Unchanged { digest } => json!({ "unchanged": digest }),
        SwapReport::TookOver(takeover) => json!({
            "from": takeover.from,
            "to": takeover.to,
            "after_batch": takeover.after_batch,
            "offset": takeover.offset,
            "pause_ms": takeover.pause.as_secs_f64() * 1e3,
        }),
    }
}
