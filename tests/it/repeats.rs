//! APIs that give rows again. No row of them gets into the table twice, and they are told what is wrong.

use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Settings, Workspace};

fn pages(request: &sandbar_harness::RecordedRequest) -> bool {
    !matches!(request.parameter("_limit"), Some("1" | "2"))
}

#[test]
fn an_api_that_ignores_where_a_page_begins_is_refused_before_its_first_row() {
    let api = ScriptedApi::start(250);
    api.fault_when(|_| true, Fault::IgnoreStart, usize::MAX);
    let settings = Settings::of(&api)
        .set("source.options.rows_per_batch", "100")
        .set("source.options.page_size", "100");
    let work = Workspace::with(&settings);
    for mode in ["--available-now", "--once"] {
        let ended = work.run(&["run", "comments.toml", mode]).with_code(1);
        ended.saying(&["gives the same row, with the id \"1\", for _start=0 and for _start=250"]);
        assert!(
            !work
                .path("lake/comments/_delta_log/00000000000000000000.json")
                .exists()
        );
    }
    assert_eq!(
        api.requests().len(),
        4,
        "two for each run, which is not tried again"
    );
}

#[test]
fn one_that_begins_to_ignore_it_is_refused_by_the_next_run() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    api.add_rows(30);
    api.fault_when(|_| true, Fault::IgnoreStart, usize::MAX);
    work.run_available("comments")
        .with_code(1)
        .saying(&["it ignores where a page is to begin"]);
    work.table().assert_once(1..=25);
}

#[test]
fn pages_that_come_twice_in_a_micro_batch_are_read_again_and_then_refused() {
    let api = ScriptedApi::start(30);
    // Honest where it is asked what exists, and where a partition has one page.
    api.fault_when(pages, Fault::IgnoreStart, usize::MAX);
    let settings = Settings::of(&api).set("source.options.page_size", "5");
    let work = Workspace::with(&settings);
    let ended = work.run_available("comments").with_code(1);
    ended.saying(&[
        "has the key id = ",
        "which a row before it has",
        "(gave up after 3 attempts)",
    ]);
    let parquet = |files: &[std::path::PathBuf]| {
        files
            .iter()
            .filter(|file| file.extension() == Some("parquet".as_ref()))
            .count()
    };
    assert_eq!(
        parquet(&work.files_in("lake/comments")),
        0,
        "nothing of it is left"
    );

    // By the operator's word nothing tells rows apart, and what comes is what is written.
    work.add(&settings.set("source.key", "[]"));
    let ended = work.run_available("comments").ok();
    assert_eq!(ended.batches(), [10, 10, 10]);
    assert!(work.table().ids().len() == 30);
}

#[test]
fn rows_that_move_once_while_they_are_read_come_once() {
    let api = ScriptedApi::start(30);
    api.fault_when(
        |r| r.parameter("_start") == Some("5") && pages(r),
        Fault::IgnoreStart,
        1,
    );
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    work.table().assert_once(1..=30);
}

#[test]
fn a_key_of_columns_that_are_not_there_is_refused_at_its_line() {
    let api = ScriptedApi::start(5);
    for (key, says) in [
        ("['id', 'isbn']", "the source has no column \"isbn\""),
        ("'id'", "write it in square brackets"),
        ("[1]", "key"),
    ] {
        let work = Workspace::with(&Settings::of(&api).set("source.key", key));
        work.run(&["run", "comments.toml", "--once"])
            .with_code(2)
            .saying(&["comments.toml:", says]);
    }
    assert!(api.requests().is_empty());
}
