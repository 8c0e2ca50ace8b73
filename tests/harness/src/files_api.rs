use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LAST_MODIFIED, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::RecordedRequest;
use crate::answer::Dropped;
use crate::server::Server;

/// The Files API of a Databricks workspace on loopback, with the one volume `/Volumes/main/default/checkpoints`.
///
/// It does what the API's documentation says: files and folders are two resources, a file's folder must be there
/// before it, a name is taken once with `overwrite=false`, folders come page by page, and who has no token is told
/// so. It stops when it is dropped.
#[derive(Debug)]
pub struct FilesApi {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// One way of [`FilesApi`] to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilesFault {
    /// Answers 429, and says to come back after so many seconds.
    Busy(u64),
    /// Answers 500 and does nothing.
    Broken,
    /// Does what it is asked and closes the connection without an answer.
    DoneWithoutAnswer,
    /// Closes the connection and does nothing.
    Dropped,
    /// Answers 502 with a page for people, as proxies do.
    HtmlErrorPage,
    /// Answers 200 with a page for people, as logins do.
    LoginPage,
    /// Gives a page of a folder behind which there is always another one.
    EndlessPages,
}

#[derive(Debug)]
struct State {
    token: String,
    page_size: usize,
    files: BTreeMap<String, Bytes>,
    folders: BTreeSet<String>,
    requests: Vec<RecordedRequest>,
    faults: Vec<Rule>,
}

struct Rule {
    applies: Box<dyn Fn(&RecordedRequest) -> bool + Send>,
    fault: FilesFault,
    times: usize,
}

const VOLUME: &str = "/Volumes/main/default/checkpoints";
const API: &str = "/api/2.0/fs/";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

impl FilesApi {
    /// Starts a workspace for who has this token, on a port of its own.
    ///
    /// # Panics
    ///
    /// When this machine has no port, thread or event queue left: no test could go on.
    #[must_use]
    pub fn start(token: &str) -> Self {
        let state = Arc::new(Mutex::new(State {
            token: token.to_owned(),
            page_size: 1_000,
            files: BTreeMap::new(),
            folders: BTreeSet::from([VOLUME.to_owned()]),
            requests: vec![],
            faults: vec![],
        }));
        let served = Arc::clone(&state);
        let server = Server::start("files-api", None, move |request| {
            answer(request, Arc::clone(&served))
        });
        Self { server, state }
    }

    /// What `DATABRICKS_HOST` is to be.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The content of a file, by its path from `/Volumes` on.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<String> {
        let content = self.state().files.get(path).cloned()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    /// The paths of all files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, text: &str) {
        let mut state = self.state();
        state.create_folders(path.rsplit_once('/').map_or("", |(parent, _)| parent));
        state.files.insert(path.to_owned(), Bytes::from(text.to_owned()));
    }

    /// Takes another token from now on.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.state().token);
    }

    /// How many entries a page of a folder has.
    pub fn set_page_size(&self, entries: usize) {
        self.state().page_size = entries;
    }

    /// The requests so far, in their order.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.state().requests.clear();
    }

    /// Misbehaves at the first `times` requests that fit.
    pub fn fault_when(
        &self,
        applies: impl Fn(&RecordedRequest) -> bool + Send + 'static,
        fault: FilesFault,
        times: usize,
    ) {
        self.state().faults.push(Rule {
            applies: Box::new(applies),
            fault,
            times,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Answer, Dropped> {
    let recorded = RecordedRequest::of(&request);
    let authorization = request.headers().get(AUTHORIZATION).cloned();
    let method = request.method().clone();
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| Dropped)?
        .to_bytes();
    let mut state = lock(&state);
    state.requests.push(recorded.clone());
    if authorization.is_none_or(|given| given != format!("Bearer {}", state.token)) {
        let message = "Credential was not sent or was of an unsupported type for this API.";
        return Ok(error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message));
    }
    match state.take_fault(&recorded) {
        None => Ok(state.answer(&method, &recorded, body)),
        Some(FilesFault::DoneWithoutAnswer) => {
            state.answer(&method, &recorded, body);
            Err(Dropped)
        }
        Some(FilesFault::Dropped) => Err(Dropped),
        Some(FilesFault::Busy(seconds)) => {
            let mut answer = error(
                StatusCode::TOO_MANY_REQUESTS,
                "REQUEST_LIMIT_EXCEEDED",
                "slow down",
            );
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            Ok(answer)
        }
        Some(FilesFault::Broken) => Ok(error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "try again",
        )),
        Some(FilesFault::HtmlErrorPage) => Ok(page(StatusCode::BAD_GATEWAY, "502 Bad Gateway")),
        Some(FilesFault::LoginPage) => Ok(page(StatusCode::OK, "Log in")),
        Some(FilesFault::EndlessPages) => {
            let token = state.requests.len().to_string();
            Ok(reply(
                StatusCode::OK,
                json!({"contents": [], "next_page_token": token}).to_string(),
            ))
        }
    }
}

impl State {
    fn take_fault(&mut self, request: &RecordedRequest) -> Option<FilesFault> {
        let rule = self
            .faults
            .iter_mut()
            .find(|rule| rule.times > 0 && (rule.applies)(request))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    fn answer(&mut self, method: &Method, request: &RecordedRequest, body: Bytes) -> Answer {
        let target = request
            .path
            .strip_prefix(API)
            .and_then(|rest| rest.split_once('/'));
        let Some((kind, path)) = target else {
            return error(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "no API found");
        };
        let path = format!("/{}", percent_decode_str(path).decode_utf8_lossy());
        match (kind, method.as_str()) {
            ("files", "GET") => self.read(&path, true),
            ("files", "HEAD") => self.read(&path, false),
            ("files", "PUT") => self.put(path, request.parameter("overwrite") != Some("false"), body),
            ("files", "DELETE") => match self.files.remove(&path) {
                Some(_) => empty(StatusCode::NO_CONTENT),
                None => not_found(&path),
            },
            ("directories", "PUT") => match self.in_volume(&path) {
                true => {
                    self.create_folders(&path);
                    empty(StatusCode::NO_CONTENT)
                }
                false => not_found(&path),
            },
            ("directories", "GET") => self.list(&path, request.parameter("page_token")),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST", "no such method"),
        }
    }

    fn read(&self, path: &str, with_body: bool) -> Answer {
        let Some(content) = self.files.get(path) else {
            return not_found(path);
        };
        let mut answer = empty(StatusCode::OK);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(LAST_MODIFIED, HeaderValue::from_static(MODIFIED));
        if with_body {
            *answer.body_mut() = Full::new(content.clone());
        } else {
            headers.insert(hyper::header::CONTENT_LENGTH, content.len().into());
        }
        answer
    }

    fn put(&mut self, path: String, overwrite: bool, body: Bytes) -> Answer {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !self.folders.contains(parent) {
            return not_found(parent);
        }
        let taken = self.folders.contains(&path) || self.files.contains_key(&path) && !overwrite;
        if taken {
            return error(
                StatusCode::CONFLICT,
                "ALREADY_EXISTS",
                "The file being created already exists.",
            );
        }
        self.files.insert(path, body);
        empty(StatusCode::NO_CONTENT)
    }

    fn list(&self, folder: &str, token: Option<&str>) -> Answer {
        if !self.folders.contains(folder) {
            return not_found(folder);
        }
        let folder = format!("{folder}/");
        let name_in = |path: &str| {
            let name = path.strip_prefix(&folder).filter(|name| !name.contains('/'));
            name.map(str::to_owned)
        };
        let folders = self.folders.iter().filter_map(|path| {
            Some(json!({"path": path, "is_directory": true, "name": name_in(path)?, "file_size": 0}))
        });
        let files = self.files.iter().filter_map(|(path, content)| {
            Some(json!({
                "path": path, "is_directory": false, "name": name_in(path)?, "file_size": content.len(),
                "last_modified": 784_111_777_000_u64,
            }))
        });
        let all: Vec<Value> = folders.chain(files).collect();
        let start = token.and_then(|token| token.parse().ok()).unwrap_or(0);
        let end = all.len().min(start + self.page_size);
        let mut body = json!({"contents": all.get(start..end).unwrap_or_default()});
        if end < all.len() {
            body["next_page_token"] = end.to_string().into();
        }
        reply(StatusCode::OK, body.to_string())
    }

    fn in_volume(&self, path: &str) -> bool {
        path == VOLUME
            || path
                .strip_prefix(VOLUME)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    fn create_folders(&mut self, path: &str) {
        let ends = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at);
        let folders = ends.chain([path.len()]).filter_map(|end| path.get(..end));
        let folders: Vec<_> = folders
            .filter(|folder| self.in_volume(folder))
            .map(str::to_owned)
            .collect();
        self.folders.extend(folders);
    }
}

fn not_found(path: &str) -> Answer {
    error(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        &format!("{path} is not there."),
    )
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    reply(
        status,
        json!({"error_code": code, "message": message}).to_string(),
    )
}

fn page(status: StatusCode, title: &str) -> Answer {
    let mut answer = reply(
        status,
        format!("<html>\n<body><h1>{title}</h1></body>\n</html>\n"),
    );
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn reply(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} x {}", self.fault, self.times)
    }
}
