//! Remotes that send without end, and answer nothing.

use super::*;

/// What one connection brings at most before it is closed, with what the kernels keep on their way.
const MAX: usize = 24 << 20;

/// A server that reads a request, writes the first of these once and the other one for as long as it is taken.
struct Flooding {
    origin: String,
    written: Arc<AtomicUsize>,
}

impl Flooding {
    async fn start(first: &'static str, again: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let written = Arc::<AtomicUsize>::default();
        let count = written.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    while read_request(&mut stream).await.is_some() {
                        stream.write_all(first.as_bytes()).await.unwrap_or_default();
                        let piece = again.repeat(1 + 8_192 / again.len());
                        while !again.is_empty() && stream.write_all(piece.as_bytes()).await.is_ok() {
                            count.fetch_add(piece.len(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        Self { origin, written }
    }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn whatever_is_no_answer_ends_with_its_connection_and_is_told() {
    for (first, again, says) in [
        (
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "bytes of interim responses (1xx) and no answer",
        ),
        (
            "",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            "interim responses (1xx) and no answer",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
            "interim responses",
        ),
        (
            CHUNKED,
            "1\r\nx\r\n",
            "bytes of chunks, extensions or trailers around next to no body",
        ),
        (CHUNKED, "1;a=b\r\nx\r\n", "sent a body that is none: "),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=",
            "a",
            "sent a body that is none: ",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            "a: b\r\n",
            "sent a body that is none: ",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: ",
            "a",
            "sent a body that is none: ",
        ),
    ] {
        let server = Flooding::start(first, again).await;
        let client = client(&[&server.origin], vec![], &Limits::default());
        let (error, violation) = get(&client, &format!("{}/x?key=1", server.origin))
            .await
            .unwrap_err();
        let Some(Violation::Remote(what)) = violation else {
            panic!("{first:?}, {again:?}: {error}, {violation:?}");
        };
        assert!(what.starts_with(&format!("{}/x ", server.origin)), "{what}");
        assert!(
            what.contains(says) && what.ends_with("; its connection was closed"),
            "{what}"
        );
        let written = server.written.load(Ordering::Relaxed);
        assert!(written < MAX, "{again:?}: {written} bytes were taken");
    }
}

#[tokio::test]
async fn a_flood_on_a_connection_that_waits_in_the_pool_closes_it() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Flooding::start(answer, "HTTP/1.1 100 Continue\r\n\r\n").await;
    let client = client(&[&server.origin], vec![], &Limits::default());
    for _ in 0..3 {
        assert_eq!(text(get(&client, &server.origin).await), "ok");
    }
    assert!(server.written.load(Ordering::Relaxed) < MAX);
}

#[tokio::test]
async fn interim_responses_before_an_answer_and_chunks_of_any_length_are_no_flood() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n".repeat(100);
    let chunks = format!(
        "1\r\n[\r\n{}1\r\n]\r\n0\r\nx-a: b\r\n\r\n",
        "1\r\n \r\n".repeat(20_000)
    );
    let long = format!("{:x}\r\n{}\r\n0\r\n\r\n", 8 << 20, " ".repeat(8 << 20));
    let server = Server::start(move |request, _, _| {
        let body = if request.contains("/long") { &long } else { &chunks };
        Reply::Bytes(format!("{interim}{CHUNKED}{body}").into_bytes())
    })
    .await;
    let client = client(&[&server.origin], vec![], &Limits::default());
    for _ in 0..20 {
        assert_eq!(text(get(&client, &server.origin).await).len(), 20_002);
        let long = format!("{}/long", server.origin);
        assert_eq!(text(get(&client, &long).await).len(), 8 << 20);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_floods_is_told_of() {
    let server = Flooding::start("", "HTTP/1.1 100 Continue\r\n\r\n").await;
    let client = client(&[], vec![], &Limits::default());
    let url = Url::parse(&server.origin).unwrap();
    let why = client
        .post(&url, HeaderMap::new(), Bytes::new())
        .await
        .unwrap_err();
    let said = why.describe();
    assert!(said.contains("interim responses (1xx) and no answer"), "{said}");
}

#[tokio::test]
async fn codings_in_codings_are_no_way_around_the_cap() {
    // 64 MiB of zeros in some 60 KiB, and those in some 300 bytes.
    let once = limits::coded(&vec![0; 64 << 20], "gzip");
    let twice = limits::coded(&once, "gzip");
    for (coding, body) in [
        ("gzip, gzip", &twice),
        ("gzip", &twice),
        ("identity, gzip", &once),
    ] {
        let body = body.clone();
        let headers = format!("content-encoding: {coding}\r\n");
        let server = Server::start(move |_, _, _| reply(200, &headers, &body)).await;
        let limits = limits::with(|limits| limits.response_body = 1 << 20);
        let client = client(&[&server.origin], vec![], &limits);
        let mut instance = Instance::of(&client);
        let outcome = instance.fetch(to("GET", &server.origin, &[], "")).await;
        let (_, bytes) = instance.session.usage().take();
        assert!(
            bytes <= (1 << 20) + (64 << 10),
            "{coding}: {bytes} bytes came through"
        );
        // Coded twice and undone once, it is what it says: coded, and small.
        assert_eq!(outcome.is_ok(), coding == "gzip", "{coding}");
    }
}
