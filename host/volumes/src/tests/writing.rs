use object_store::{Error, ObjectStoreExt};

use super::*;

const PUT: &str = "PUT /filesROOT/offsets/1?overwrite=false";
const READ: &str = "GET /filesROOT/offsets/1";

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
