use futures::TryStreamExt;

use super::*;

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
