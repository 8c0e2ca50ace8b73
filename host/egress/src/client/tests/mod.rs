//! The client against a server of raw bytes on loopback, and without any.

mod bounds;
mod charsets;
mod credentials;
mod echoes;
mod floods;
mod limits;
mod names;
mod proxies;
mod redirects;
mod urls;

use std::collections::HashMap;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use sandbar_policy::Violations;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connect::Resolve;
use super::*;
use crate::session::{HttpSession, ResponseBody, Timeouts};

/// What a server does with one request.
enum Reply {
    /// Writes this and goes on.
    Bytes(Vec<u8>),
    /// Writes this, and nothing more.
    Stall(Vec<u8>),
    /// Writes a byte every few milliseconds behind this.
    Trickle(Vec<u8>),
    /// Closes the connection.
    Close,
}

/// A server on loopback that ends with its test.
struct Server {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers by the request's text, its number from 0, and its number on its connection.
    async fn start(answer: impl Fn(&str, usize, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(vec![]));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), answer.clone()));
            }
        });
        Self { origin, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(&str, usize, usize) -> Reply>,
) {
    let mut here = 0;
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let reply = answer(&request, number, here);
        here += 1;
        match reply {
            Reply::Bytes(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Reply::Close => return,
            Reply::Stall(bytes) => {
                stream.write_all(&bytes).await.unwrap_or_default();
                std::future::pending::<()>().await;
            }
            Reply::Trickle(bytes) => {
                stream.write_all(&bytes).await.unwrap_or_default();
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = vec![];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    Reply::Bytes([head.as_bytes(), body].concat())
}

fn redirect(to: &str) -> Reply {
    reply(302, &format!("location: {to}\r\n"), "")
}

/// Names as a test wants them, and how often it was asked.
#[derive(Default)]
struct Names {
    answers: HashMap<String, Vec<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    /// The first answer, the second one, and so on; the last one stays.
    fn of(name: &str, answers: &[&[&str]]) -> Arc<Self> {
        let parsed = answers
            .iter()
            .map(|answer| answer.iter().map(|text| address(text)).collect());
        Arc::new(Self {
            answers: HashMap::from([(name.to_owned(), parsed.collect())]),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self
            .answers
            .get(host)
            .map(|answers| answers[number.min(answers.len() - 1)].clone());
        Box::pin(ready(
            found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
        ))
    }
}

/// An address without a port, with its scope (`%3`) if it has one.
fn address(text: &str) -> SocketAddr {
    match text.contains('%') {
        true => format!("[{text}]:0").parse().unwrap(),
        false => SocketAddr::new(text.parse().unwrap(), 0),
    }
}

fn quick() -> Phases {
    let long = Duration::from_secs(30);
    Phases {
        connect: long,
        connected: long,
        first_byte: long,
        between_bytes: long,
    }
}

fn client(origins: &[&str], credentials: Vec<Credential>, limits: &Limits) -> Arc<HttpClient> {
    let grants = Grants::parse(origins, false).unwrap();
    HttpClient::with(
        grants,
        credentials,
        limits,
        Arc::new(SystemResolver::default()),
        quick(),
    )
}

/// What a component gets: status, headers, body.
type Got = (u16, HeaderMap, Vec<u8>);
type Failure = (String, Option<Violation>);

/// One instance of a component.
struct Instance {
    session: HttpSession,
    violations: Violations,
}

impl Instance {
    fn of(client: &Arc<HttpClient>) -> Self {
        let violations = Violations::default();
        Self {
            session: HttpSession::new(client.clone(), violations.clone()),
            violations,
        }
    }

    async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<ResponseBody>, Failure> {
        let sent = self.session.clone().send(request, Timeouts::default()).await;
        sent.map_err(|e| (format!("{e:?}"), self.violations.take()))
    }

    async fn fetch(&mut self, request: Request<RequestBody>) -> Result<Got, Failure> {
        let (head, body) = self.send(request).await?.into_parts();
        match body.collect().await {
            Ok(body) => Ok((head.status.as_u16(), head.headers, body.to_bytes().to_vec())),
            Err(e) => Err((format!("{e:?}"), self.violations.take())),
        }
    }
}

fn to(method: &str, url: &str, headers: &[(&str, &str)], body: &'static str) -> Request<RequestBody> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    request
        .body(body.map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

async fn get(client: &Arc<HttpClient>, url: &str) -> Result<Got, Failure> {
    Instance::of(client).fetch(to("GET", url, &[], "")).await
}

fn text(got: Result<Got, Failure>) -> String {
    String::from_utf8(got.unwrap().2).unwrap()
}
