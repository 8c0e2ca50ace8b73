//! What was wrong with the seed's reader, as far as a source can be.

use sandbar_sdk::{Connector, Error, ReadLimit, progress_note};

use super::remote::{Remote, at, end, expected, ids, ids_between, max_rows, part};

#[test]
fn flaw_1_the_offset_never_runs_ahead_of_the_data() {
    let remote = Remote::with_rows(25);
    let comments = remote.comments(r#","rows_per_batch":10"#);
    let next = |start: u64| end(&comments, start, max_rows(100_000)).unwrap().current;
    assert_eq!(
        [next(0), next(10), next(20), next(25), next(25)],
        [10, 20, 25, 25, 25]
    );
    remote.set_rows(27);
    assert_eq!(next(25), 27);
    assert_eq!(ids_between(&comments, 25, 27).unwrap(), expected(25, 27));
}

#[test]
fn flaw_2_a_partition_is_read_up_to_its_end_and_not_further() {
    let remote = Remote::with_rows(100);
    let comments = remote.comments(r#","rows_per_batch":10,"page_size":10"#);
    assert_eq!(ids(&comments, part(3, 26)).unwrap(), expected(3, 26));
    assert_eq!(remote.asked(), [(3, 10), (13, 10), (23, 3)]);
}

#[test]
fn flaw_3_what_is_saved_is_the_end_that_was_committed() {
    let comments = Remote::with_rows(100).comments("");
    assert_eq!(end(&comments, 40, max_rows(20)).unwrap(), at(60));
    comments.commit(&at(20)).unwrap();
    assert_eq!(
        progress_note::load().unwrap(),
        Some(serde_json::json!({"current": 20}))
    );
    comments.commit(&at(20)).unwrap();
    assert_eq!(comments.initial_offset().unwrap(), at(20));
}

#[test]
fn flaw_5_a_fresh_instance_goes_on_where_it_is_told() {
    let remote = Remote::with_rows(25);
    for (start, behind) in [(0, 10), (10, 20), (20, 25)] {
        let comments = remote.comments(r#","rows_per_batch":10"#);
        assert_eq!(end(&comments, start, max_rows(100_000)).unwrap(), at(behind));
    }
}

#[test]
fn flaw_6_an_error_page_is_never_rows() {
    let remote = Remote::with_rows(25);
    let comments = remote.comments("");
    remote.fail(|_, _, response| Ok(response.with_body("<!DOCTYPE html><h1>Down for maintenance</h1>")));
    let message = "GET http://api/comments?_start=0&_limit=25 gave no JSON but \"<!DOCTYPE html><h1>Down for maintenance</h1>\"";
    assert_eq!(
        ids(&comments, part(0, 25)).unwrap_err(),
        Error::malformed(message)
    );
    assert!(matches!(
        end(&comments, 0, ReadLimit::default()),
        Err(Error::Malformed(_))
    ));
    assert!(matches!(comments.check(), Err(Error::Malformed(_))));
}
