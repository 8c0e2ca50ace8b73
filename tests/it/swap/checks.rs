use sandbar_harness::ScriptedApi;
use sandbar_hostile::Described;
use sandbar_test_components::FEED;
use sandbar_test_versions::{Change, Flaw, version};

use super::{builtin, lineage, stop, swapping, until_read};
use crate::hostile::describing;
use crate::support::{Settings, WithVersions, Workspace};

/// A version that is not taken, and what is said of it.
struct Refused {
    bytes: Vec<u8>,
    says: &'static [&'static str],
}

/// All of them, one after the other, against one run. It goes on with the version before, and nothing is noted down.
#[track_caller]
fn all_refused(settings: impl Fn(&ScriptedApi) -> Settings, cases: Vec<Refused>) {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&settings(&api));
    let mut running = work.start("comments.toml");
    until_read(&work, 10);
    let mut rows = 10;
    for Refused { bytes, says } in cases {
        work.component("new.wasm", &bytes);
        let ended = work.swap(&["comments", "new.wasm"]);
        assert!(matches!(ended.code, Some(1 | 2)), "{says:?}: {}", ended.stderr);
        ended.saying(says);
        api.add_rows(5);
        rows += 5;
        until_read(&work, rows);
    }
    assert!(running.is_running());
    stop(running);
    work.table().assert_once(1..=i32::try_from(rows).unwrap());
    assert_eq!(lineage(&work), [builtin(&work)]);
    let status = work.status("comments");
    assert!(
        status["swaps"].is_null() && status["refused"].is_null(),
        "{status}"
    );
}

fn refused(bytes: impl Into<Vec<u8>>, says: &'static [&'static str]) -> Refused {
    Refused {
        bytes: bytes.into(),
        says,
    }
}

#[test]
fn what_can_not_be_loaded_is_refused() {
    let filesystem = "(component (import \"wasi:filesystem/types@0.2.6\" (instance)))";
    all_refused(
        swapping,
        vec![
            refused("no component", &["the new version can't be loaded"]),
            refused(
                wat::parse_str("(module)").unwrap(),
                &["the new version can't be loaded"],
            ),
            refused(
                wat::parse_str(filesystem).unwrap(),
                &["the new version can't be loaded", "read and write files"],
            ),
            refused(
                sandbar_test_track::COMPONENT,
                &[
                    "the new version can't be loaded",
                    "this host speaks the track sandbar:connector@0.1",
                ],
            ),
            refused(
                FEED,
                &[
                    "the new component is no version of the one that reads",
                    "\"feed\"",
                ],
            ),
        ],
    );
}

#[test]
fn what_does_not_fit_the_pipeline_is_refused() {
    let demanding = Described {
        name: Some("comments".into()),
        options_schema: Some("{\"type\":\"object\",\"required\":[\"region\"]}".into()),
        ..Described::default()
    };
    let columns = |columns: &str| version(&Change::with_columns(columns));
    let flawed = |flaw| version(&Change::flawed(flaw));
    all_refused(
        swapping,
        vec![
            refused(
                describing(&demanding),
                &["the options do not fit the new version", "region"],
            ),
            refused(
                flawed(Flaw::Open),
                &["the new version can't be opened", "it does not open"],
            ),
            refused(
                columns("id int, name string, email string"),
                &[
                    "the rows of the new version do not fit",
                    "it has no column \"body\" any more",
                ],
            ),
            refused(
                columns("id long, name string, email string, body string"),
                &[
                    "the rows of the new version do not fit",
                    "its column \"id\" is Int64 and was Int32",
                ],
            ),
            refused(
                columns("id int, name string, email string, body string, more string"),
                &["the rows of the new version do not fit", "more", "evolve"],
            ),
            refused(
                flawed(Flaw::Lost),
                &[
                    "the new version can't go on at the current offset",
                    "it knows no such offset",
                ],
            ),
        ],
    );
}

#[test]
fn another_digest_than_the_pinned_one_is_refused() {
    let digest = builtin(&Workspace::new());
    all_refused(
        |api| swapping(api).set("source.digest", &format!("'{digest}'")),
        vec![refused(
            version(&Change::default()),
            &[
                "the new version can't be used",
                "the component has the digest sha256:",
            ],
        )],
    );
}

#[test]
fn an_unsigned_version_is_refused_where_keys_are_trusted() {
    let key = "['RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3']";
    all_refused(
        |api| swapping(api).set("source.trust", key),
        vec![refused(
            version(&Change::default()),
            &["the new version can't be used", "sign"],
        )],
    );
}

#[test]
fn what_is_nowhere_or_is_asked_of_nobody_is_refused() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    let nobody = work.swap(&["comments", "new.wasm"]).with_code(2);
    nobody.saying(&["no run of this user has the pipeline \"comments\""]);
    let running = work.start("comments.toml");
    until_read(&work, 10);
    for (reference, says) in [
        ("./missing.wasm", "missing.wasm"),
        ("comments@9.9.9", "comments@9.9.9"),
        ("nothing", "nothing"),
        ("oci://127.0.0.1:1/comments:2", "127.0.0.1:1"),
    ] {
        let ended = work.swap(&["comments", reference]);
        assert!(matches!(ended.code, Some(1 | 2)), "{reference}: {}", ended.stderr);
        ended.saying(&["the new version can't be used", says]);
    }
    let other = work.swap(&["others", "comments"]).with_code(2);
    other.saying(&["\"others\"", "running: comments"]);
    work.run(&["pause", "comments"]).ok();
    let paused = work.swap(&["comments", "comments"]).with_code(1);
    paused.saying(&["comments", "is paused; resume it first"]);
    work.run(&["resume", "comments"]).ok();
    api.add_rows(10);
    until_read(&work, 20);
    stop(running);
}
