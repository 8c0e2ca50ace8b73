//! Probes over HTTP: `/healthz` says that the process lives, `/readyz` that its pipelines have started.
//!
//! Anyone who reaches the port can ask, so answers cost little, and nobody can hold the server up: a connection lives for
//! seconds, and the oldest one gives way to a new one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sandbar_runtime::{Clock, StopSignal};
use serde::{Serialize, Serializer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The most connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// The longest life of a connection.
const MAX_LIFE: Duration = Duration::from_secs(10);
/// The longest wait for the head of a request.
const MAX_HEAD_TIME: Duration = Duration::from_secs(5);
/// The most bytes of a request's head; hyper takes no less.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
/// The pause after a connection could not be accepted, so that one that ends can make room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a process and its pipelines are.
#[derive(Clone, Debug)]
pub(crate) struct HealthReport {
    /// Whether the loop that runs the pipelines is at work.
    pub(crate) alive: bool,
    /// Each pipeline.
    pub(crate) pipelines: Vec<PipelineHealth>,
}

/// How one pipeline is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PipelineHealth {
    pub(crate) name: String,
    pub(crate) state: PipelineState,
    /// When this state began.
    #[serde(serialize_with = "rfc3339")]
    pub(crate) since: SystemTime,
    /// Whether it has known where it stands at least once.
    pub(crate) started: bool,
    /// The last micro-batch in the table, 0 for none; nothing before that is known.
    pub(crate) last_batch: Option<u64>,
    /// The last thing that went wrong, fit for a terminal and without secrets.
    pub(crate) last_error: Option<PastError>,
}

/// What a pipeline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PipelineState {
    /// It is being opened, or asks where it stands.
    Starting,
    /// It polls, or waits for its next poll.
    Running,
    /// Something is unavailable and will be tried again.
    Retrying,
    /// Somebody told it to wait.
    Paused,
    /// It ended because its work was done, or because it was stopped.
    Ended,
    /// An error ended it.
    Failed,
}

/// An error and its time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PastError {
    #[serde(serialize_with = "rfc3339")]
    pub(crate) at: SystemTime,
    pub(crate) message: String,
}

impl HealthReport {
    /// Whether every pipeline has started at least once.
    pub(crate) fn is_ready(&self) -> bool {
        self.alive && self.pipelines.iter().all(|pipeline| pipeline.started)
    }

    /// One line: `3 pipelines: 2 running, 1 failed`.
    pub(crate) fn summary(&self) -> String {
        use PipelineState::{Ended, Failed, Paused, Retrying, Running, Starting};
        let states = [
            (Starting, "starting"),
            (Running, "running"),
            (Retrying, "retrying"),
            (Paused, "paused"),
            (Ended, "ended"),
            (Failed, "failed"),
        ];
        let counts = states.iter().filter_map(|(state, word)| {
            let in_state = self.pipelines.iter().filter(|pipeline| pipeline.state == *state);
            match in_state.count() {
                0 => None,
                count => Some(format!("{count} {word}")),
            }
        });
        let counts: Vec<_> = counts.collect();
        let all = self.pipelines.len() as u64;
        format!(
            "{}: {}",
            crate::output::plural(all, "pipeline", "pipelines"),
            counts.join(", ")
        )
    }
}

impl PipelineHealth {
    pub(crate) fn new(name: &str, since: SystemTime) -> Self {
        Self {
            name: name.to_owned(),
            state: PipelineState::Starting,
            since,
            started: false,
            last_batch: None,
            last_error: None,
        }
    }
}

/// Answers probes until a stop is asked for. All connections end with it.
pub(crate) async fn serve(
    listener: TcpListener,
    report: Arc<dyn Fn() -> HealthReport + Send + Sync>,
    clock: Arc<dyn Clock>,
    stop: StopSignal,
) {
    tokio::select! {
        () = stop.stopped() => {}
        () = accept(listener, report, clock) => {}
    }
}

async fn accept(
    listener: TcpListener,
    report: Arc<dyn Fn() -> HealthReport + Send + Sync>,
    clock: Arc<dyn Clock>,
) {
    // Owned here, so that the end of this is the end of every connection.
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                oldest_first.retain(|connection| !connection.is_finished());
                if oldest_first.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = oldest_first.pop_front()
                {
                    oldest.abort();
                }
                let (report, clock) = (report.clone(), clock.clone());
                oldest_first.push_back(connections.spawn(converse(stream, peer, report, clock)));
            }
            // Out of file descriptors, most likely.
            Err(error) => {
                tracing::warn!(%error, "a connection for a health probe can't be accepted");
                clock.sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One request and its answer.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    report: Arc<dyn Fn() -> HealthReport + Send + Sync>,
    clock: Arc<dyn Clock>,
) {
    let answer = service_fn(|request| {
        let answer = answer(&request, &*report);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        served = connection => if let Err(error) = served {
            tracing::debug!(%peer, %error, "a health probe was not answered");
        },
        () = clock.sleep(MAX_LIFE) => tracing::debug!(%peer, "a health probe took too long"),
    }
}

fn answer<B>(request: &Request<B>, report: &dyn Fn() -> HealthReport) -> Response<Full<Bytes>> {
    let well = |well| match well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => {
            let report = report();
            with_report(well(report.alive), &report)
        }
        (&Method::GET, "/readyz") => {
            let report = report();
            with_report(well(report.is_ready()), &report)
        }
        _ => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn with_report(status: StatusCode, report: &HealthReport) -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "alive": report.alive,
        "ready": report.is_ready(),
        "pipelines": report.pipelines,
    });
    let mut response = Response::new(Full::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}
