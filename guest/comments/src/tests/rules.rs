//! The rules of the contract that are neither about the end of a range nor about its rows.

use std::rc::Rc;

use sandbar_sdk::http::{Host, Request, Response};
use sandbar_sdk::{Connector, Error, Result, Source, options, progress_note};
use serde_json::{Value, json};

use super::remote::{Remote, at, end, part};
use crate::{Comments, Options};

fn open(text: &str) -> Result<Comments> {
    Comments::open("comments", options::parse(text)?, Rc::new(Host))
}

fn refusal(text: &str) -> String {
    match open(text) {
        Err(Error::InvalidOptions(message)) => message,
        other => panic!("{text}: {:?}", other.err()),
    }
}

#[test]
fn c1_the_options_have_a_schema_with_bounds() {
    let schema: Value = serde_json::from_str(&options::schema::<Options>()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(
        (&schema["required"], &schema["additionalProperties"]),
        (&json!(["api_url"]), &json!(false))
    );
    let of = |name: &str| schema["properties"][name].clone();
    assert_eq!(
        (&of("api_url")["format"], &of("api_url")["pattern"]),
        (&json!("uri"), &json!("^https?://"))
    );
    assert_eq!(of("rows_per_batch")["minimum"], 1);
    let size = of("page_size");
    assert_eq!(
        (&size["minimum"], &size["maximum"], &size["default"]),
        (&json!(1), &json!(10_000), &json!(100))
    );
    for name in ["api_url", "rows_per_batch", "page_size"] {
        assert!(of(name)["description"].is_string(), "{name}");
    }
}

#[test]
fn c2_options_that_do_not_fit_are_named() {
    assert_eq!(refusal("{}"), "missing field `api_url`");
    for (option, value) in [
        ("api_url", r#""comments""#),
        ("api_url", r#""ftp://a/b""#),
        ("api_url", r#""http://me:pw@a/b""#),
        ("api_url", r#""http://a/b?_start=1""#),
        ("api_url", "1"),
        ("rows_per_batch", "0"),
        ("rows_per_batch", "-1"),
        ("rows_per_batch", r#""10""#),
        ("page_size", "0"),
        ("page_size", "10001"),
        ("page_size", "1.5"),
        ("page_size", "null"),
    ] {
        let text = match option {
            "api_url" => format!(r#"{{"api_url":{value}}}"#),
            _ => format!(r#"{{"api_url":"http://a/b","{option}":{value}}}"#),
        };
        let message = refusal(&text);
        assert!(message.starts_with(&format!("{option}: ")), "{message}");
        assert!(!message.contains("pw"), "{message}");
    }
    assert!(refusal(r#"{"api_url":"http://a/b","pagesize":1}"#).contains("unknown field `pagesize`"));
}

#[test]
fn c2_open_makes_no_request() {
    // Outside of a host every request fails.
    let comments = open(r#"{"api_url":"https://a/b","rows_per_batch":1,"page_size":10000}"#).unwrap();
    assert!(matches!(comments.check(), Err(Error::Internal(_))));
}

#[test]
fn c4_the_note_says_where_to_start() {
    let comments = Remote::with_rows(0).comments("");
    assert_eq!(comments.initial_offset().unwrap(), at(0));
    progress_note::save(&json!({"current": 20})).unwrap();
    assert_eq!(comments.initial_offset().unwrap(), at(20));
    assert_eq!(comments.initial_offset().unwrap(), at(20));
    for damaged in [
        json!({"current": -1}),
        json!({"current": 20.0}),
        json!({"current": 1e300}),
        json!({"current": "20"}),
        json!({}),
        json!([]),
        json!(null),
    ] {
        progress_note::save(&damaged).unwrap();
        let message = comments.initial_offset().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("malformed: progress note {damaged} is not one")),
            "{message}"
        );
    }
}

#[test]
fn c6_partitions_are_plain_values() {
    let comments = Remote::with_rows(0).comments(r#","page_size":10"#);
    assert_eq!(
        comments.partitions(&at(20), &at(45)).unwrap(),
        [part(20, 30), part(30, 40), part(40, 45)]
    );
    assert_eq!(comments.partitions(&at(20), &at(20)).unwrap(), []);
    assert_eq!(
        serde_json::to_value(part(20, 30)).unwrap(),
        json!({"start": 20, "end": 30})
    );
    assert_eq!(serde_json::to_value(at(20)).unwrap(), json!({"current": 20}));
}

#[test]
fn a_query_of_the_url_is_kept() {
    let client = |request: &Request| {
        assert_eq!(
            request.to_string(),
            "GET http://api/comments?postId=1&q=a%20b&_start=7&_limit=1"
        );
        Ok(Response::new(request, 200)
            .with_body("[]")
            .with_header("x-total-count", "7"))
    };
    let options = options::parse(r#"{"api_url":"http://api/comments?postId=1&q=a%20b#top"}"#).unwrap();
    let comments = Comments::open("comments", options, Rc::new(client)).unwrap();
    assert_eq!(end(&comments, 7, Default::default()).unwrap(), at(7));
}

#[test]
fn the_client_of_a_host_is_only_there_in_one() {
    let options = options::parse(r#"{"api_url":"http://api/comments"}"#).unwrap();
    let comments = Comments::open("comments", options, Rc::new(Host)).unwrap();
    let message = "HTTP is only there inside a host (GET http://api/comments?_start=0&_limit=1)";
    assert_eq!(comments.check().unwrap_err(), Error::internal(message));
}
