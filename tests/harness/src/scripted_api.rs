use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::answer::{self, Dropped};
use crate::fault::Script;
use crate::{Fault, RecordedRequest};

/// A comments API on loopback: `GET /comments?_start=S&_limit=L`, with `X-Total-Count` where a limit is given.
///
/// It runs on a thread of its own, so tests need not be async. It stops when it is dropped.
///
/// ```
/// use sandbar_harness::{Fault, ScriptedApi};
///
/// let api = ScriptedApi::start(20);
/// api.fault_at(2, Fault::status(503));
/// // ... read from api.url() ...
/// assert!(api.requests().is_empty());
/// ```
#[derive(Debug)]
pub struct ScriptedApi {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) rows: u64,
    pub(crate) requests: Vec<RecordedRequest>,
    pub(crate) script: Script,
}

impl ScriptedApi {
    /// Starts an API with this many comments, on a port of its own.
    ///
    /// # Panics
    ///
    /// When this machine has no port, thread or event queue left: no test could go on.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test can't go on without its server")]
    pub fn start(rows: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("the port's number");
        listener
            .set_nonblocking(true)
            .expect("a port that does not block");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event queue");

        let state = Arc::new(Mutex::new(State {
            rows,
            ..State::default()
        }));
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&state);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, served) => {}
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("scripted-api".to_owned())
            .spawn(serve);
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread.expect("a thread")),
        }
    }

    /// The address of the comments.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/comments", self.origin())
    }

    /// The address without a path, as grants take it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets `count` further comments appear.
    pub fn add_rows(&self, count: u64) {
        self.state().rows += count;
    }

    /// Sets how many comments there are, fewer than before as well.
    pub fn set_rows(&self, rows: u64) {
        self.state().rows = rows;
    }

    /// The requests since the start or the last [`clear_requests`](Self::clear_requests), in their order.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    /// Forgets the requests so far; counting begins anew.
    pub fn clear_requests(&self) {
        self.state().requests.clear();
    }

    /// Misbehaves at the `number`th request, counted from 1 as in [`requests`](Self::requests).
    pub fn fault_at(&self, number: usize, fault: Fault) {
        self.state().script.add_at(number, fault);
    }

    /// Misbehaves at the next request. Several of these are used up one by one.
    pub fn fault_next(&self, fault: Fault) {
        self.state().script.add_next(fault);
    }

    /// Misbehaves at the first `times` requests that fit.
    pub fn fault_when(
        &self,
        applies: impl Fn(&RecordedRequest) -> bool + Send + 'static,
        fault: Fault,
        times: usize,
    ) {
        self.state().script.add_when(applies, fault, times);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ScriptedApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The runtime goes with its thread, and every connection with the runtime.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&state)));
            // An error here is a client that went, or a fault that was asked for.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: hyper::Request<hyper::body::Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<answer::Answer, Dropped> {
    let request = RecordedRequest::of(&request);
    let (rows, fault) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(request.clone());
        let number = state.requests.len();
        (state.rows, state.script.take(number, &request))
    };
    answer::answer(&request, rows, fault).await
}
