//! What comes back from a partition, and what does not.

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_sdk::http::Response;
use sandbar_sdk::{Error, Result, Source};

use super::remote::{Remote, batches, expected, ids, ids_between, page, part};

/// The error of reading rows 20 to 22 where the body is this.
fn error_of(body: &'static str) -> String {
    let remote = Remote::with_rows(30);
    remote.fail(move |_, _, response| Ok(response.with_body(body)));
    let error = ids(&remote.comments(""), part(20, 22)).unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    let message = error.to_string();
    let request = "malformed: GET http://api/comments?_start=20&_limit=2 gave ";
    message
        .strip_prefix(request)
        .unwrap_or_else(|| panic!("{message}"))
        .to_owned()
}

#[test]
fn one_batch_per_page_with_all_columns() {
    let remote = Remote::with_rows(25);
    let batches = batches(&remote.comments(r#","page_size":10"#), part(0, 25)).unwrap();
    assert_eq!(
        batches.iter().map(|batch| batch.num_rows()).collect::<Vec<_>>(),
        [10, 10, 5]
    );
    let texts: Vec<_> = (1..4)
        .map(|column| batches[2].column(column).as_string::<i32>().value(4))
        .collect();
    assert_eq!(batches[2].column(0).as_primitive::<Int32Type>().value(4), 25);
    assert_eq!(texts, ["name 25", "24@example.com", "a\nb \u{e4}"]);
}

#[test]
fn the_next_page_is_on_its_way_before_a_page_is_given() {
    let remote = Remote::with_rows(30);
    let comments = remote.comments(r#","page_size":10"#);
    let mut pages = comments.read(part(0, 30)).unwrap();
    assert_eq!(remote.asked(), []);
    pages.next().unwrap().unwrap();
    assert_eq!(remote.asked(), [(0, 10), (10, 10)]);
    pages.next().unwrap().unwrap();
    assert_eq!(remote.asked(), [(20, 10)]);
    pages.next().unwrap().unwrap();
    assert!(pages.next().is_none());
    assert_eq!(remote.asked(), []);
}

#[test]
fn c7_two_ranges_have_the_rows_of_one() {
    let comments = Remote::with_rows(100).comments(r#","page_size":7"#);
    let whole = ids_between(&comments, 3, 90).unwrap();
    assert_eq!(whole, expected(3, 90));
    assert_eq!(whole, ids_between(&comments, 3, 90).unwrap());
    for middle in [3, 4, 10, 50, 89, 90] {
        let halves = [
            ids_between(&comments, 3, middle).unwrap(),
            ids_between(&comments, middle, 90).unwrap(),
        ];
        assert_eq!(halves.concat(), whole, "{middle}");
    }
}

#[test]
fn c11_a_full_last_page_ends_the_read() {
    let remote = Remote::with_rows(20);
    assert_eq!(
        ids(&remote.comments(r#","page_size":10"#), part(0, 20)).unwrap(),
        expected(0, 20)
    );
    assert_eq!(remote.asked(), [(0, 10), (10, 10)]);
}

#[test]
fn c11_a_short_page_in_the_middle_loses_nothing() {
    let remote = Remote::with_rows(30);
    remote.fail(|start, limit, response| match start {
        10 => Ok(response.with_body(page(10, 10 + limit.min(4)))),
        _ => Ok(response),
    });
    assert_eq!(
        ids(&remote.comments(r#","page_size":10"#), part(0, 30)).unwrap(),
        expected(0, 30)
    );
    assert_eq!(remote.asked(), [(0, 10), (10, 10), (20, 10), (14, 10), (24, 6)]);
}

#[test]
fn rows_that_vanished_are_malformed() {
    let remote = Remote::with_rows(20);
    let error = ids(&remote.comments(r#","page_size":10"#), part(0, 25)).unwrap_err();
    let message = "GET http://api/comments?_start=20&_limit=5 gave no rows, and rows 20 to 25 did exist";
    assert_eq!(error, Error::malformed(message));
}

#[test]
fn c10_a_wrong_value_is_named_by_row_and_field() {
    let error = error_of(r#"[{"id":1},{"id":"x"}]"#);
    assert_eq!(
        error,
        "row 1, field id: an integer is expected, and another kind of value is here (byte 16)"
    );
    for (field, value) in [
        ("id", "2147483648"),
        ("id", "-2147483649"),
        ("id", "18446744073709551616"),
        ("id", "1.5"),
        ("id", "1.01"),
        ("id", "true"),
        ("id", "[1]"),
        ("id", "{}"),
        ("name", "1"),
        ("email", "false"),
        ("body", "[\"a\"]"),
    ] {
        let body = format!(r#"[{{"id":1}},{{"more":[{{}}],"{field}":{value}}}]"#);
        let error = error_of(body.leak());
        assert!(error.starts_with(&format!("row 1, field {field}: ")), "{error}");
    }
    assert!(
        error_of(r#"[{"id":1,"name":"a","id":2}]"#)
            .starts_with("row 0, field id: the object has this name twice")
    );
    assert!(error_of("[1]").starts_with("row 0: an object with the columns of a row is expected"));
    assert!(error_of("[null]").starts_with("row 0: an object with the columns of a row is expected"));
}

#[test]
fn c10_more_rows_than_asked_for_are_malformed() {
    let error = error_of(r#"[{"id":1},{"id":2},{"id":3}]"#);
    assert_eq!(error, "3 rows, more than the 2 that were asked for");
}

#[test]
fn c10_a_cut_body_is_malformed_wherever_it_is_cut() {
    let whole = page(20, 22);
    for end in (1..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        error_of(whole[..end].to_owned().leak());
    }
    assert!(error_of(r#"[{"id":1}"#).contains("the text is cut off (byte 9)"));
    assert!(error_of(r#"[{"id":1}] <html>"#).contains("text follows the end of the value"));
    // Nothing is an answer, and here a wrong one.
    assert_eq!(error_of(""), "no rows, and rows 20 to 22 did exist");
    assert_eq!(
        error_of(r#"{"error":"no"}"#),
        "no array of rows but \"{\\\"error\\\":\\\"no\\\"}\""
    );
}

#[test]
fn c10_bytes_that_are_no_utf8_are_malformed() {
    let remote = Remote::with_rows(30);
    remote.fail(|_, _, response| Ok(response.with_body(b"[{\"name\":\"\xff\"}]".to_vec())));
    let error = ids(&remote.comments(""), part(20, 22)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("gave text that is not UTF-8 (byte 10)"),
        "{error}"
    );
}

#[test]
fn what_is_left_out_is_null_and_what_is_more_is_ignored() {
    let remote = Remote::with_rows(2);
    let body = r#"[{"id":null,"name":null,"email":null,"body":null,"more":{"id":[1]}},{}]"#;
    remote.fail(move |_, _, response| Ok(response.with_body(body)));
    let batch = batches(&remote.comments(""), part(0, 2)).unwrap().remove(0);
    assert_eq!(
        batch
            .columns()
            .iter()
            .map(|column| column.null_count())
            .collect::<Vec<_>>(),
        [2; 4]
    );
}

#[test]
fn c10_a_status_has_its_meaning_with_the_request() {
    let remote = Remote::with_rows(30);
    let comments = remote.comments("");
    let request = "GET http://api/comments?_start=0&_limit=5";
    let with = |status: u16| -> Result<_> {
        let fault = move |start: u64, limit: u64, _: Response| {
            let url = format!("http://api/comments?_start={start}&_limit={limit}")
                .parse()
                .unwrap();
            Ok(Response::new(&sandbar_sdk::http::Request::get(url), status).with_header("retry-after", "3"))
        };
        remote.fail(fault);
        ids(&comments, part(0, 5))
    };
    for status in [429, 503] {
        let (message, retry_after) = (format!("{request} gave {status}"), Some(Duration::from_secs(3)));
        assert_eq!(
            with(status).unwrap_err(),
            Error::Unavailable { message, retry_after }
        );
    }
    assert_eq!(
        with(401).unwrap_err(),
        Error::Unauthorized(format!("{request} gave 401"))
    );
    assert_eq!(
        with(404).unwrap_err(),
        Error::Malformed(format!("{request} gave 404"))
    );
}
