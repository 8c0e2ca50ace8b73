//! The store before a server that says what it is told to say.

mod asking;
mod listing;
mod writing;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use object_store::client::{HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};

use super::settings::Workspace;
use super::*;

const TOKEN: &str = "dapi0123456789";

/// What the server does with one request.
#[derive(Debug)]
enum Say {
    Answer(HttpResponse),
    /// Takes the request and says nothing.
    Drop,
    /// Is not there.
    Absent,
}

#[derive(Clone, Debug, Default)]
struct Server {
    says: Arc<Mutex<VecDeque<Say>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl HttpService for Server {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let target = request.uri().path_and_query().unwrap().as_str();
        let target = target.strip_prefix("/api/2.0/fs").unwrap();
        assert_eq!(request.headers()["authorization"], format!("Bearer {TOKEN}"));
        assert!(
            !format!("{request:?}").contains(TOKEN),
            "a request may be printed"
        );
        let line = format!("{} {target}", request.method());
        self.asked.lock().unwrap().push(line.clone());
        let says = self.says.lock().unwrap().pop_front();
        let lost = |kind| {
            Err(HttpError::new(
                kind,
                std::io::Error::other(format!("no luck with {TOKEN}")),
            ))
        };
        match says.unwrap_or_else(|| panic!("nobody told what to say to {line}")) {
            Say::Answer(answer) => Ok(answer),
            Say::Drop => lost(HttpErrorKind::Request),
            Say::Absent => lost(HttpErrorKind::Connect),
        }
    }
}

/// Waits in no time, and remembers how long it would have been.
#[derive(Default)]
struct FakeClock(Mutex<Vec<u64>>);

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0
            .lock()
            .unwrap()
            .push(u64::try_from(duration.as_millis()).unwrap());
        Box::pin(async {})
    }
}

struct Scene {
    store: VolumeStore,
    server: Server,
    clock: Arc<FakeClock>,
}

impl Scene {
    fn of(says: impl IntoIterator<Item = Say>) -> Self {
        let server = Server::default();
        server.says.lock().unwrap().extend(says);
        let clock = Arc::new(FakeClock::default());
        let workspace = Workspace {
            origin: "https://dbc-1".into(),
            token: TOKEN.into(),
        };
        let client = Client::new(HttpClient::new(server.clone()), workspace, clock.clone()).unwrap();
        let store = VolumeStore {
            client: Arc::new(client),
            root: "/Volumes/a/b/c/50% ü".into(),
        };
        Self { store, server, clock }
    }

    async fn create(&self, path: &str, text: &'static str) -> Result<PutResult> {
        self.store
            .put_opts(&path.into(), text.into(), PutMode::Create.into())
            .await
    }

    /// What was asked for, with the root written as `ROOT`; everything that was told must have been said.
    fn asked(&self) -> Vec<String> {
        assert_eq!(
            self.server.says.lock().unwrap().len(),
            0,
            "more was told than asked for"
        );
        let asked = self.server.asked.lock().unwrap();
        asked
            .iter()
            .map(|line| line.replace("/Volumes/a/b/c/50%25%20%C3%BC", "ROOT"))
            .collect()
    }

    fn pauses(&self) -> Vec<u64> {
        self.clock.0.lock().unwrap().clone()
    }
}

fn say(status: u16, body: impl Into<String>) -> Say {
    let response = http::Response::builder().status(status);
    Say::Answer(response.body(body.into().into()).unwrap())
}

fn with(status: u16, name: http::header::HeaderName, value: &str, body: &str) -> Say {
    let response = http::Response::builder().status(status).header(name, value);
    Say::Answer(response.body(body.to_owned().into()).unwrap())
}

fn refusal(status: u16, code: &str) -> Say {
    say(
        status,
        format!(r#"{{"error_code":"{code}","message":"about {TOKEN}"}}"#),
    )
}
