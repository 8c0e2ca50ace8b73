use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use object_store::{Error, ObjectStoreExt};

use super::*;

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
async fn a_name_that_no_address_can_hold_is_an_error() {
    let scene = Scene::of([]);
    let error = scene.store.get(&"x".repeat(70_000).into()).await.unwrap_err();
    assert!(
        error.to_string().contains("no address can be made for it"),
        "{error}"
    );
}
