use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::answer::{self, Dropped};
use crate::fault::Script;
use crate::server::Server;
use crate::{Fault, RecordedRequest, Tls};

/// A comments API on loopback: `GET /comments?_start=S&_limit=L`, with `X-Total-Count` where a limit is given.
///
/// `GET /feed?size=N&cursor=C` has the same comments as a feed, `{"items": [...], "next": C}`: `next` is null on the last page,
/// which grows until it is full. A cursor that it never gave is answered with 410.
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
    server: Server,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
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
    pub fn start(rows: u64) -> Self {
        Self::with(rows, None)
    }

    /// The same over TLS.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_tls(rows: u64, tls: &Tls) -> Self {
        Self::with(rows, Some(tls.clone()))
    }

    fn with(rows: u64, tls: Option<Tls>) -> Self {
        let state = Arc::new(Mutex::new(State {
            rows,
            ..State::default()
        }));
        let served = Arc::clone(&state);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Server::start("scripted-api", tls, move |request| {
            answer(request, Arc::clone(&served))
        });
        Self {
            server,
            scheme,
            state,
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
        format!("{}://{}", self.scheme, self.server.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// How many connections were made to it since its start.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
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

    /// Behaves from now on, until it is told otherwise.
    pub fn clear_faults(&self) {
        self.state().script = Script::default();
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
