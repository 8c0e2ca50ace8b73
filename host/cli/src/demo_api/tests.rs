use std::collections::HashSet;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::paging::Query;
use super::*;

async fn start(rows: u64) -> DemoApi {
    let options = DemoApiOptions {
        rows,
        ..DemoApiOptions::default()
    };
    DemoApi::start(options).await.unwrap()
}

async fn send(method: &str, url: &str, body: &str) -> (StatusCode, HeaderMap, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .body(Full::from(body.to_owned()))
        .unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&text).unwrap();
    (head.status, head.headers, json)
}

fn ids(list: &Value) -> Vec<u64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|comment| comment["id"].as_u64().unwrap())
        .collect()
}

/// Recorded from json-server 0.17.4 with 25 rows: the query, the positions that came, the relations linked to.
const RECORDED: &[(&str, std::ops::Range<u64>, Option<&str>)] = &[
    ("_limit=4", 0..4, None),
    ("_start=3&_limit=4", 3..7, None),
    ("_start=20&_limit=10", 20..25, None),
    ("_start=25&_limit=10", 25..25, None),
    ("_start=99&_limit=10", 25..25, None),
    ("_start=3&_end=7", 3..7, None),
    ("_start=7&_end=3", 7..7, None),
    ("_start=1&_end=5&_limit=2", 1..5, None),
    ("_start=-3&_end=24", 22..24, None),
    ("_start=2&_end=-3", 2..22, None),
    ("_limit=0", 0..0, None),
    ("_limit=abc", 0..0, None),
    ("_start=2x&_limit=3y", 2..5, None),
    ("_page=1", 0..10, Some("first=1 next=2 last=3")),
    ("_page=3", 20..25, Some("first=1 prev=2 last=3")),
    ("_page=4", 25..25, Some("")),
    ("_page=0", 0..10, Some("first=0 next=0 last=0")),
    ("_page=1&_limit=25", 0..25, Some("")),
    ("_page=2&_limit=5", 5..10, Some("first=1 prev=1 next=3 last=5")),
    ("_page=1&_limit=-3", 0..22, Some("first=1 next=2 last=-8")),
];

#[test]
fn pages_are_those_of_json_server() {
    for (query, positions, links) in RECORDED {
        let page = Query::parse(query)
            .unwrap()
            .page(25, &format!("http://h/comments?{query}"));
        let found = (page.positions.start, page.positions.end - page.positions.start);
        assert_eq!(
            found,
            (positions.start, positions.end - positions.start),
            "{query}"
        );
        assert!(page.total, "{query}");
        let short = |link: &str| {
            let (url, relation) = link.split_once(">; rel=").unwrap();
            let number = url.split("page=").nth(1).unwrap().split('&').next().unwrap();
            format!("{}={number}", relation.trim_matches('"'))
        };
        let found = page.links.map(|links| match links.as_str() {
            "" => String::new(),
            links => links.split(", ").map(short).collect::<Vec<_>>().join(" "),
        });
        assert_eq!(found.as_deref(), *links, "{query}");
    }
    for query in ["", "_start=3", "_limit=", "_page=", "callback=x"] {
        let page = Query::parse(query).unwrap().page(25, "http://h/comments");
        assert_eq!(
            (page.positions, page.total, page.links),
            (0..25, false, None),
            "{query}"
        );
    }
    for query in ["q=a", "_sort=id", "postId=3", "id_gte=4"] {
        assert!(Query::parse(query).is_err(), "{query}");
    }
}

#[tokio::test]
async fn a_page_tells_the_total() {
    let api = start(25).await;
    let (status, headers, list) = send("GET", &format!("{}?_start=20&_limit=10", api.url()), "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["x-total-count"], "25");
    assert_eq!(headers["access-control-expose-headers"], "X-Total-Count");
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert!(!headers.contains_key("link"));
    assert_eq!(ids(&list), [21, 22, 23, 24, 25]);
    assert_eq!(list[0]["postId"], 5);
    assert!(list[0]["body"].as_str().unwrap().contains('\n'));

    let (_, headers, _) = send("GET", &format!("{}?_page=9", api.url()), "").await;
    assert_eq!(
        (&headers["link"], &headers["access-control-expose-headers"]),
        (&"".parse().unwrap(), &"X-Total-Count, Link".parse().unwrap())
    );
    api.stop().await;
}

#[tokio::test]
async fn a_long_list_is_streamed_whole() {
    let api = start(12_345).await;
    let (_, headers, list) = send("GET", &api.url(), "").await;
    assert!(!headers.contains_key("x-total-count"));
    assert_eq!(ids(&list), (1..=12_345).collect::<Vec<_>>());
    let emails: HashSet<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|comment| comment["email"].as_str())
        .collect();
    assert_eq!(emails.len(), 12_345);
    api.stop().await;
}

#[tokio::test]
async fn comments_have_the_size_of_real_ones() {
    let mut out = Vec::new();
    text::write_comments(&mut out, 1_000_001..1_010_001, true);
    assert!(
        (270..=300).contains(&(out.len() / 10_000)),
        "{}",
        out.len() / 10_000
    );
    for id in 1..=10_000 {
        let mut row = Vec::new();
        text::write_comments(&mut row, id..id + 1, false);
        assert!(row.len() <= text::ROW_CAPACITY, "{}", row.len());
    }
    let mut list = Vec::new();
    text::write_comments(&mut list, 7..8, true);
    let pretty = format!("{:#}", serde_json::from_str::<Value>(&text::comment(7)).unwrap());
    assert_eq!(
        serde_json::from_slice::<Value>(&list).unwrap(),
        serde_json::from_str::<Value>(&pretty).unwrap()
    );
    assert_eq!(text::comment(7).lines().count(), pretty.lines().count());
}

#[tokio::test]
async fn posted_comments_stand_where_they_came() {
    let api = start(2).await;
    let (status, headers, posted) = send("POST", &api.url(), r#"{"body":"hi"}"#).await;
    assert_eq!(
        (status, posted),
        (StatusCode::CREATED, json!({"body": "hi", "id": 3}))
    );
    assert_eq!(headers["location"], format!("{}/3", api.url()));
    assert_eq!(
        send("POST", &api.url(), r#"{"id":3}"#).await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(
        send("POST", &api.url(), r#"{"id":2}"#).await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(send("POST", &api.url(), "[]").await.0, StatusCode::BAD_REQUEST);
    api.add_rows(2);
    assert_eq!(
        send("POST", &api.url(), r#"{"id":"x"}"#).await.0,
        StatusCode::CREATED
    );

    assert_eq!(api.rows(), 6);
    let (_, _, list) = send("GET", &api.url(), "").await;
    let ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|comment| comment["id"].to_string())
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "\"x\""]);
    let (_, _, list) = send("GET", &format!("{}?_start=2&_limit=2", api.url()), "").await;
    assert_eq!(
        (list[0]["body"].as_str(), list[1]["id"].as_u64()),
        (Some("hi"), Some(4))
    );
    assert_eq!(
        send("GET", &format!("{}/x", api.url()), "").await.2,
        json!({"id": "x"})
    );
    assert_eq!(send("GET", &format!("{}/4", api.url()), "").await.2["id"], 4);
    for missing in ["/comments/6", "/comments/04", "/comments/0", "/posts", "/"] {
        let answer = send("GET", &format!("{}{missing}", api.origin()), "").await;
        assert_eq!(
            (answer.0, answer.2),
            (StatusCode::NOT_FOUND, json!({})),
            "{missing}"
        );
    }
    api.stop().await;
}

#[tokio::test]
async fn the_list_grows_and_answers_wait() {
    let options = DemoApiOptions {
        rows: 10,
        latency: Duration::from_millis(30),
        grow_per_second: 1000.0,
        ..DemoApiOptions::default()
    };
    let api = DemoApi::start(options).await.unwrap();
    let (_, headers, _) = send("GET", &format!("{}?_limit=1", api.url()), "").await;
    let total: u64 = headers["x-total-count"].to_str().unwrap().parse().unwrap();
    assert!(total >= 10 + 30, "{total}");
    assert!(api.rows() >= total);
    api.stop().await;
}

#[tokio::test]
async fn a_stopped_api_frees_its_port() {
    let api = start(1).await;
    let port = api
        .url()
        .split(':')
        .nth(2)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    api.stop().await;
    drop(open);
    let again = DemoApi::start(DemoApiOptions {
        rows: 2,
        port,
        ..DemoApiOptions::default()
    })
    .await
    .unwrap();
    assert_eq!(again.rows(), 2);
}
