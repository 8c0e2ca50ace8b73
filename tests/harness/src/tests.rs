use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::{Fault, ScriptedApi};

/// Sends one request and gives everything that comes back, up to the end of the connection.
fn get(api: &ScriptedApi, target: &str) -> String {
    let mut answer = Vec::new();
    let mut stream = connect(api, target);
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn connect(api: &ScriptedApi, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(api.origin().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nhost: test\r\nX-Mark: 7\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    stream
}

fn split(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

fn rows(answer: &str) -> Vec<Value> {
    let (_, body) = split(answer);
    serde_json::from_str(body).unwrap()
}

fn ids(answer: &str) -> Vec<u64> {
    rows(answer)
        .iter()
        .map(|row| row["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn it_pages_like_a_comments_api() {
    let api = ScriptedApi::start(5);
    let answer = get(&api, "/comments?_start=1&_limit=2");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-total-count: 5\r\n"), "{answer}");
    assert_eq!(ids(&answer), [2, 3]);
    assert_eq!(rows(&answer)[0]["email"], "user2@example.com");

    api.add_rows(2);
    let answer = get(&api, "/comments");
    assert_eq!(ids(&answer), [1, 2, 3, 4, 5, 6, 7]);
    assert!(!answer.contains("x-total-count"), "{answer}");
    api.set_rows(1);
    assert_eq!(ids(&get(&api, "/comments?_limit=3")), [1]);
    assert!(ids(&get(&api, "/comments?_start=9&_limit=3")).is_empty());
    assert!(get(&api, "/posts").starts_with("HTTP/1.1 404"));
}

#[test]
fn it_records_requests() {
    let api = ScriptedApi::start(5);
    get(&api, "/comments?_start=1&_limit=2");
    let requests = api.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("GET", "/comments")
    );
    assert_eq!(requests[0].query, "_start=1&_limit=2");
    assert_eq!(
        (requests[0].parameter("_limit"), requests[0].parameter("x")),
        (Some("2"), None)
    );
    assert_eq!(
        (requests[0].header("x-mark"), requests[0].header("cookie")),
        (Some("7"), None)
    );
    api.clear_requests();
    assert!(api.requests().is_empty());
}

#[test]
fn faults_come_when_they_are_due() {
    let api = ScriptedApi::start(5);
    api.fault_at(3, Fault::status(500));
    api.fault_when(
        |request| request.parameter("_start") == Some("9"),
        Fault::status(429),
        2,
    );
    api.fault_next(Fault::status(503));
    let code = |target: &str| get(&api, target)[9..12].to_owned();
    let codes: Vec<_> = ["0", "1", "2", "9", "1", "9", "9"]
        .iter()
        .map(|start| code(&format!("/comments?_start={start}")))
        .collect();
    assert_eq!(codes, ["503", "200", "500", "429", "200", "429", "200"]);

    api.clear_requests();
    api.fault_at(1, Fault::status(500));
    assert_eq!(code("/comments"), "500");
}

#[test]
fn wrong_answers_are_wrong_in_their_own_way() {
    let api = ScriptedApi::start(5);
    let target = "/comments?_start=1&_limit=2";
    let with = |fault: Fault| {
        api.fault_next(fault);
        get(&api, target)
    };
    let limited = with(Fault::Status {
        code: 429,
        headers: vec![("Retry-After".to_owned(), "3".to_owned())],
        body: "slow down".to_owned(),
    });
    assert!(
        limited.starts_with("HTTP/1.1 429 ") && limited.contains("\r\nretry-after: 3\r\n"),
        "{limited}"
    );
    assert!(limited.ends_with("\r\n\r\nslow down"), "{limited}");

    let page = with(Fault::HtmlErrorPage);
    assert!(
        page.starts_with("HTTP/1.1 502 ") && page.contains("text/html") && page.contains("<h1>"),
        "{page}"
    );

    let not_json = with(Fault::NotJson);
    assert!(
        not_json.starts_with("HTTP/1.1 200 ") && not_json.contains("application/json"),
        "{not_json}"
    );
    assert!(serde_json::from_str::<Value>(split(&not_json).1).is_err());

    let redirect = with(Fault::Redirect("http://127.0.0.1:1/x".to_owned()));
    assert!(redirect.starts_with("HTTP/1.1 302 "), "{redirect}");
    assert!(
        redirect.contains("\r\nlocation: http://127.0.0.1:1/x\r\n"),
        "{redirect}"
    );

    assert_eq!(rows(&with(Fault::WrongType))[0]["id"], "2");
    assert_eq!(ids(&with(Fault::IgnoreLimit)), [2, 3, 4, 5]);
    assert_eq!(ids(&with(Fault::ShortPage(1))), [2]);
    let bare = with(Fault::NoTotalHeader);
    assert_eq!(ids(&bare), [2, 3]);
    assert!(!bare.contains("x-total-count"), "{bare}");
}

#[test]
fn connections_break_where_they_should() {
    let api = ScriptedApi::start(50);
    let target = "/comments?_limit=50";
    let whole = get(&api, target);
    api.fault_next(Fault::CutBody);
    let cut = get(&api, target);
    let length = split(&whole).1.len();
    assert!(
        cut.contains(&format!("\r\ncontent-length: {length}\r\n")),
        "{cut}"
    );
    assert_eq!(split(&cut).1.len(), length / 2);

    api.fault_next(Fault::DropConnection);
    assert_eq!(get(&api, target), "");

    api.fault_next(Fault::Delay(Duration::from_millis(60)));
    let mut waiting = connect(&api, target);
    waiting.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(waiting.read(&mut [0; 16]).is_err());
    waiting.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(waiting.read(&mut [0; 16]).unwrap() > 0);

    api.fault_next(Fault::Hang);
    let mut hanging = connect(&api, target);
    hanging.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(hanging.read(&mut [0; 16]).is_err());
    // Others are served meanwhile, and the end of the server is the end of what hangs.
    assert_eq!(split(&get(&api, target)).1, split(&whole).1);
    drop(api);
    hanging.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(hanging.read(&mut [0; 16]).unwrap_or(0), 0);
}
