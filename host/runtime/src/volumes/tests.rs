//! The store before a server that says what it is told to say.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use object_store::client::{HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use object_store::{Error, ObjectStoreExt};

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

const PUT: &str = "PUT /filesROOT/offsets/1?overwrite=false";
const READ: &str = "GET /filesROOT/offsets/1";

#[tokio::test]
async fn a_file_is_read_whole_or_asked_about() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let scene = Scene::of([
        with(200, http::header::LAST_MODIFIED, date, "hello"),
        with(200, http::header::CONTENT_LENGTH, "5", ""),
        say(200, "hello"),
    ]);
    let path = Path::from("x");
    let found = scene.store.get(&path).await.unwrap();
    assert_eq!(
        (found.meta.size, found.meta.last_modified.timestamp()),
        (5, 784_111_777)
    );
    assert_eq!(found.bytes().await.unwrap(), "hello");
    assert_eq!(scene.store.head(&path).await.unwrap().size, 5);
    assert_eq!(scene.store.get_range(&path, 1..3).await.unwrap(), "el");
    assert_eq!(
        scene.asked(),
        ["GET /filesROOT/x", "HEAD /filesROOT/x", "GET /filesROOT/x"]
    );
}

#[tokio::test]
async fn what_may_work_later_is_tried_again_as_late_as_the_server_asks() {
    let scene = Scene::of([
        with(429, RETRY_AFTER, "7", ""),
        say(503, ""),
        with(503, RETRY_AFTER, "86400", ""),
        Say::Absent,
        say(200, "1"),
    ]);
    scene.store.get(&"x".into()).await.unwrap();
    assert_eq!(scene.pauses(), [7_000, 400, 60_000, 1_600]);
    assert_eq!(scene.asked().len(), 5);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_and_named_without_the_token() {
    for silence in [|| Say::Absent, || Say::Drop, || refusal(500, "INTERNAL_ERROR")] {
        let scene = Scene::of([silence(), silence(), silence(), silence(), silence()]);
        let error = scene.store.get(&"x".into()).await.unwrap_err();
        let text = format!("{error} {error:?} {:?}", scene.store);
        assert!(
            text.contains("no answer from https://dbc-1 in 5 attempts"),
            "{text}"
        );
        assert!(!text.contains(TOKEN), "{text}");
        scene.asked();
    }
}

#[tokio::test]
async fn refusals_are_told_apart_at_once_and_never_show_the_token() {
    type Kind = fn(&Error) -> bool;
    let kinds: [(u16, Kind); 5] = [
        (401, |e| matches!(e, Error::Unauthenticated { .. })),
        (403, |e| matches!(e, Error::PermissionDenied { .. })),
        (404, |e| matches!(e, Error::NotFound { .. })),
        (400, |e| matches!(e, Error::Generic { .. })),
        (501, |e| matches!(e, Error::Generic { .. })),
    ];
    for (status, fits) in kinds {
        let scene = Scene::of([refusal(status, "SOME_CODE")]);
        let error = scene.store.get(&"x".into()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(fits(&error), "{status}: {error:?}");
        assert!(
            text.contains("SOME_CODE: about ***") && !text.contains(TOKEN),
            "{text}"
        );
        assert_eq!(scene.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_login_page_is_no_file_and_no_success() {
    let page = || with(200, CONTENT_TYPE, "text/html", "<html>Log in</html>");
    let scene = Scene::of([page(), page(), with(302, LOCATION, "/login", "")]);
    for error in [
        scene.store.get(&"x".into()).await.unwrap_err(),
        scene.store.put(&"x".into(), "1".into()).await.unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("is DATABRICKS_HOST a workspace?"),
            "{error}"
        );
    }
    assert!(
        scene.store.get(&"x".into()).await.is_err(),
        "a redirect is no file"
    );
    scene.asked();
}

#[tokio::test]
async fn a_body_without_an_end_is_not_kept() {
    let scene = Scene::of([say(200, "x".repeat(33 * 1024 * 1024))]);
    let error = scene.store.get(&"x".into()).await.unwrap_err();
    assert!(
        error.to_string().contains("a body of more than 33554432 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_is_taken_and_read_back() {
    let scene = Scene::of([say(204, ""), say(200, "mine")]);
    scene.create("offsets/1", "mine").await.unwrap();
    assert_eq!(scene.asked(), [PUT, READ]);
}

#[tokio::test]
async fn a_name_that_another_writer_took_in_between_is_lost() {
    // Both were told that they have it.
    let scene = Scene::of([say(204, ""), say(200, "theirs")]);
    let error = scene.create("offsets/1", "mine").await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    // Even one who writes the same has it, when it was there before.
    let scene = Scene::of([refusal(409, "ALREADY_EXISTS"), say(200, "mine")]);
    let error = scene.create("offsets/1", "mine").await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
}

#[tokio::test]
async fn a_put_without_an_answer_that_was_carried_out_is_ours() {
    for lost in [Say::Drop, say(500, ""), say(504, "")] {
        let scene = Scene::of([lost, refusal(409, "ALREADY_EXISTS"), say(200, "mine")]);
        scene.create("offsets/1", "mine").await.unwrap();
        assert_eq!(scene.asked(), [PUT, PUT, READ]);
    }
    let scene = Scene::of([Say::Drop, refusal(409, "ALREADY_EXISTS"), say(200, "theirs")]);
    let error = scene.create("offsets/1", "mine").await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
}

#[tokio::test]
async fn a_put_that_never_reached_the_server_does_not_make_a_file_ours() {
    for before in [Say::Absent, say(429, "")] {
        let scene = Scene::of([before, refusal(409, "ALREADY_EXISTS"), say(200, "mine")]);
        let error = scene.create("offsets/1", "mine").await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_conflict_of_another_kind_does_not_mean_that_the_name_is_taken() {
    let scene = Scene::of([refusal(409, "ABORTED"), say(404, "")]);
    let error = scene.create("offsets/1", "mine").await.unwrap_err();
    assert!(matches!(error, Error::Generic { .. }), "{error:?}");
    assert!(error.to_string().contains("ABORTED"), "{error}");
}

#[tokio::test]
async fn a_missing_folder_is_created_once() {
    let scene = Scene::of([say(404, ""), say(204, ""), say(204, ""), say(200, "mine")]);
    scene.create("offsets/1", "mine").await.unwrap();
    assert_eq!(scene.asked(), [PUT, "PUT /directoriesROOT/offsets", PUT, READ]);

    let scene = Scene::of([say(404, ""), say(204, ""), refusal(404, "NOT_FOUND")]);
    let error = scene.store.put(&"x".into(), "1".into()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert_eq!(scene.asked()[1], "PUT /directoriesROOT");
}

#[tokio::test]
async fn a_file_that_is_gone_after_a_delete_without_an_answer_was_deleted() {
    let scene = Scene::of([Say::Drop, say(404, ""), say(404, "")]);
    scene.store.delete(&"x".into()).await.unwrap();
    let error = scene.store.delete(&"x".into()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert_eq!(scene.asked(), ["DELETE /filesROOT/x"; 3]);
}

fn entry(path: &str, is_directory: bool) -> String {
    format!(r#"{{"path":"/Volumes/a/b/c/50% ü{path}","is_directory":{is_directory},"file_size":3}}"#)
}

#[tokio::test]
async fn a_folder_is_listed_page_by_page_with_all_below_it() {
    let scene = Scene::of([
        say(
            200,
            format!(
                r#"{{"contents":[{}],"next_page_token":"a b&c"}}"#,
                entry("/50%", false)
            ),
        ),
        say(200, format!(r#"{{"contents":[{}]}}"#, entry("/sub", true))),
        say(200, format!(r#"{{"contents":[{}]}}"#, entry("/sub/ü", false))),
    ]);
    let found: Vec<_> = scene.store.list(None).try_collect().await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|meta| (meta.location.as_ref(), meta.size))
        .collect();
    assert_eq!(found, [("50%", 3), ("sub/ü", 3)]);
    assert_eq!(
        scene.asked(),
        [
            "GET /directoriesROOT",
            "GET /directoriesROOT?page_token=a%20b%26c",
            "GET /directoriesROOT/sub"
        ]
    );

    let listing = format!(r#"{{"contents":[{},{}]}}"#, entry("/f", false), entry("/d", true));
    let scene = Scene::of([say(200, listing), say(404, "")]);
    let found = scene.store.list_with_delimiter(None).await.unwrap();
    assert_eq!(
        (found.objects[0].location.as_ref(), found.common_prefixes),
        ("f", vec!["d".into()])
    );
    let none: Vec<_> = scene
        .store
        .list(Some(&"none".into()))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(none, [], "a missing folder is empty");
}

#[tokio::test]
async fn a_listing_that_never_ends_is_given_up() {
    let scene = Scene::of((0..1_000).map(|n| say(200, format!(r#"{{"next_page_token":"{n}"}}"#))));
    let error = scene.store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("more than 1000 pages"), "{error}");
    assert_eq!(scene.asked().len(), 1_000);

    let same = || say(200, r#"{"next_page_token":"same"}"#);
    let scene = Scene::of([same(), same()]);
    let error = scene.store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(
        error.to_string().contains("the page behind a page is that page"),
        "{error}"
    );
    scene.asked();
}

#[tokio::test]
async fn folders_in_folders_without_an_end_are_given_up() {
    let mut path = String::new();
    let scene = Scene::of((0..1_000).map(|_| {
        path += "/d";
        say(200, format!(r#"{{"contents":[{}]}}"#, entry(&path, true)))
    }));
    let error = scene.store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("more than 1000 pages"), "{error}");
}

#[tokio::test]
async fn what_is_no_page_is_told_without_the_token() {
    let scene = Scene::of([say(200, format!(r#"{{"contents":"{TOKEN}"}}"#))]);
    let error = scene.store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("no page of a folder"), "{error}");
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error}");
}
