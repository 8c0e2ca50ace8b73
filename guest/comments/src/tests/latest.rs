//! Where a micro-batch ends, with and without a total count.

use sandbar_sdk::{Error, ReadLimit, Result, Source};

use super::remote::{Remote, at, end, max_rows};

#[test]
fn c5_a_total_is_asked_once_tried_once_and_bounds_the_end() {
    let remote = Remote::with_rows(25);
    let comments = remote.comments("");
    assert_eq!(end(&comments, 20, max_rows(10)).unwrap(), at(25));
    assert_eq!(remote.asked(), [(20, 1), (25, 1)]);
    assert_eq!(end(&comments, 20, max_rows(3)).unwrap(), at(23));
    assert_eq!(remote.asked(), [(20, 1)]);
    assert_eq!(end(&comments, 25, max_rows(3)).unwrap(), at(25));
    assert_eq!(end(&comments, 0, ReadLimit::default()).unwrap(), at(25));
    assert_eq!(end(&comments, 0, max_rows(0)).unwrap(), at(0));
}

#[test]
fn c5_the_smaller_limit_wins() {
    let comments = Remote::with_rows(100).comments(r#","rows_per_batch":10"#);
    assert_eq!(end(&comments, 0, max_rows(20)).unwrap(), at(10));
    assert_eq!(end(&comments, 0, max_rows(5)).unwrap(), at(5));
}

#[test]
fn c5_who_asks_without_a_limit_learns_the_end_of_everything() {
    let comments = Remote::with_rows(100).comments(r#","rows_per_batch":10"#);
    let all = ReadLimit::default();
    assert_eq!(end(&comments, 0, all).unwrap(), at(100));
}

#[test]
fn c5_the_end_of_a_micro_batch_needs_no_request() {
    let remote = Remote::with_rows(25);
    let comments = remote.comments(r#","rows_per_batch":10"#);
    let latest = |start: u64| {
        comments
            .batch_end(&at(start), &at(22), max_rows(100_000))
            .unwrap()
    };
    assert_eq!(
        [latest(0), latest(10), latest(20), latest(22)],
        [at(10), at(20), at(22), at(22)]
    );
    assert_eq!(remote.asked(), []);
}

#[test]
fn c5_without_a_total_single_rows_tell_the_end() {
    let remote = Remote::with_rows(0);
    remote.hide_total();
    let comments = remote.comments("");
    for rows in [0, 1, 2, 3, 7, 25, 64, 1000] {
        remote.set_rows(rows);
        for start in [0, 1, 6, 24, 25, 63, 999, 1000]
            .into_iter()
            .filter(|start| *start <= rows)
        {
            let end = |limit| end(&comments, start, limit).unwrap().current;
            assert_eq!(end(ReadLimit::default()), rows, "from {start} of {rows}");
            for most in [1, 2, 3, 10, 100] {
                assert_eq!(
                    end(max_rows(most)),
                    rows.min(start + most),
                    "{most} from {start} of {rows}"
                );
            }
            remote.asked();
            end(ReadLimit::default());
            assert!(remote.asked().len() <= 24);
        }
    }
}

#[test]
fn a_position_beyond_the_data_is_lost() {
    let remote = Remote::with_rows(25);
    let comments = remote.comments("");
    let lost =
        |why: &str| Error::offset_lost(format_args!("offset 30 is gone at http://api/comments: {why}"));
    let latest = || end(&comments, 30, ReadLimit::default());
    assert_eq!(latest().unwrap_err(), lost("only 25 rows exist"));
    remote.hide_total();
    assert_eq!(latest().unwrap_err(), lost("row 29 does not exist"));
}

#[test]
fn a_total_that_is_none_is_malformed() {
    let remote = Remote::with_rows(25);
    remote.hide_total();
    let comments = remote.comments("");
    let with_total = |total: &'static str| -> Result<_> {
        remote.fail(move |_, _, response| Ok(response.with_header("x-total-count", total)));
        end(&comments, 20, ReadLimit::default())
    };
    let request = "GET http://api/comments?_start=20&_limit=1";
    let message = format!("{request} gave an X-Total-Count of \"many\", which is no number of rows");
    assert_eq!(with_total("many").unwrap_err(), Error::Malformed(message));
    assert!(matches!(with_total("-1"), Err(Error::Malformed(_))));
    let message = "http://api/comments says that 1 rows exist and has row 20";
    assert_eq!(with_total("1").unwrap_err(), Error::malformed(message));
    assert_eq!(with_total("25").unwrap(), at(25));
}

#[test]
fn c10_rows_without_end_are_malformed() {
    let remote = Remote::with_rows(u64::MAX);
    remote.hide_total();
    let comments = remote.comments("");
    let error = end(&comments, 5, ReadLimit::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("malformed: http://api/comments has rows without end"),
        "{error}"
    );
    assert!(remote.asked().len() < 120);
}

#[test]
fn c5_an_answer_without_a_body_is_the_end_where_no_total_is_given() {
    for (status, body) in [
        (204, ""),
        (200, ""),
        (200, "\r\n"),
        (200, "\u{feff}"),
        (200, "\u{feff}[]"),
    ] {
        let remote = Remote::with_rows(25);
        remote.hide_total();
        remote.fail(move |start, limit, response| {
            if start < 25 {
                return Ok(response);
            }
            let url = format!("http://api/comments?_start={start}&_limit={limit}");
            let request = sandbar_sdk::http::Request::get(url.parse().unwrap());
            Ok(sandbar_sdk::http::Response::new(&request, status).with_body(body))
        });
        let comments = remote.comments("");
        let latest = |start: u64| end(&comments, start, max_rows(100));
        assert_eq!(latest(0).unwrap(), at(25), "{status} {body:?}");
        assert_eq!(latest(25).unwrap(), at(25), "{status} {body:?}");
        assert!(latest(40).is_err(), "row 39 does not exist");
    }
}
