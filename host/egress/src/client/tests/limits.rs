use std::io::Write;

use super::*;

fn limit(outcome: Result<Got, Failure>) -> (String, &'static str) {
    match outcome {
        Err((_, Some(Violation::Limit { limit, key }))) => (limit, key.as_str()),
        other => panic!("{other:?}"),
    }
}

pub(super) fn with(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

pub(super) fn coded(text: &[u8], coding: &str) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut coded = Vec::with_capacity(text.len() + 1024);
            let mut state = flate2::Compress::new_gzip(flate2::Compression::best(), 15);
            state
                .compress_vec(text, &mut coded, flate2::FlushCompress::Finish)
                .unwrap();
            coded
        }
        "br" => {
            let mut writer = brotli::CompressorWriter::new(vec![], 4096, 5, 22);
            writer.write_all(text).unwrap();
            writer.into_inner()
        }
        _ => zstd::encode_all(text, 3).unwrap(),
    }
}

#[tokio::test]
async fn a_coded_body_arrives_decoded_and_a_bomb_ends_at_the_cap() {
    for coding in ["gzip", "br", "zstd"] {
        let server = Server::start(move |request, _, _| {
            let headers = format!("content-encoding: {coding}\r\n");
            match request.split(' ').nth(1).unwrap() {
                "/bomb" => reply(200, &headers, coded(&vec![0; 64 << 20], coding)),
                "/cut" => {
                    let mut half = coded(&(0..=255).cycle().take(1 << 20).collect::<Vec<_>>(), coding);
                    half.truncate(half.len() / 2);
                    reply(200, &headers, half)
                }
                _ => reply(200, &headers, coded(b"[1, 2, 3]", coding)),
            }
        })
        .await;
        let limits = with(|limits| limits.response_body = 1 << 20);
        let client = client(&[&server.origin], vec![], &limits);
        let (_, headers, body) = get(&client, &server.origin).await.unwrap();
        assert_eq!(body, b"[1, 2, 3]", "{coding}");
        assert!(!headers.contains_key("content-encoding") && !headers.contains_key("content-length"));
        assert!(server.requests()[0].contains("accept-encoding: gzip, br, zstd"));

        let mut instance = Instance::of(&client);
        let bomb = format!("{}/bomb", server.origin);
        let (message, key) = limit(instance.fetch(to("GET", &bomb, &[], "")).await);
        assert_eq!(
            message,
            format!("the answer of {bomb} is longer than 1048576 bytes")
        );
        assert_eq!(key, "response_body");
        let (_, bytes) = instance.session.usage().take();
        assert!(
            bytes <= (1 << 20) + (64 << 10),
            "no more than one piece over the cap: {bytes}"
        );

        let (error, violation) = get(&client, &format!("{}/cut", server.origin)).await.unwrap_err();
        assert_eq!(
            (error.as_str(), violation),
            ("ResponseIncomplete", None),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn a_coding_that_nobody_asked_for_is_no_body() {
    let server = Server::start(|_, _, _| reply(200, "content-encoding: compress\r\n", "x")).await;
    let client = client(&[&server.origin], vec![], &Limits::default());
    let (error, _) = get(&client, &server.origin).await.unwrap_err();
    assert!(
        error.starts_with("ContentCoding(\"its body is coded as compress, "),
        "{error}"
    );
}

#[tokio::test]
async fn headers_are_few_and_short() {
    for headers in [
        format!("x-long: {}\r\n", "x".repeat(70_000)),
        format!("x-long: {}\r\n", "x".repeat(2 << 20)),
        (0..200).map(|n| format!("x-{n}: y\r\n")).collect(),
    ] {
        let server = Server::start(move |_, _, _| reply(200, &headers, "")).await;
        let client = client(&[&server.origin], vec![], &Limits::default());
        let (message, key) = limit(get(&client, &server.origin).await);
        assert!(message.contains("longer than 65536 bytes"), "{message}");
        assert_eq!(key, "response_headers");
    }
}

#[tokio::test]
async fn requests_for_one_batch_are_counted_with_their_redirects() {
    let server = Server::start(|_, number, _| match number {
        1 => redirect("/again"),
        _ => reply(200, "", "ok"),
    })
    .await;
    let client = client(
        &[&server.origin],
        vec![],
        &with(|limits| limits.requests_per_batch = 3),
    );
    let mut instance = Instance::of(&client);
    for _ in 0..2 {
        instance.fetch(to("GET", &server.origin, &[], "")).await.unwrap();
    }
    let (message, key) = limit(instance.fetch(to("GET", &server.origin, &[], "")).await);
    assert_eq!(message, "it made more than 3 HTTP requests for one batch");
    assert_eq!(key, "requests_per_batch");
    instance.session.usage().begin_call("next");
    limit(instance.fetch(to("GET", &server.origin, &[], "")).await);
    instance.session.usage().begin_call("read");
    text(instance.fetch(to("GET", &server.origin, &[], "")).await);
    instance.session.usage().take();
    for _ in 0..3 {
        text(instance.fetch(to("GET", &server.origin, &[], "")).await);
    }
}

#[tokio::test]
async fn instances_share_the_rate_and_what_is_in_flight() {
    let server = Server::start(|_, number, _| match number {
        3 => redirect("/again"),
        _ => reply(200, "", "ok"),
    })
    .await;
    let rate = with(|limits| limits.requests_per_second = Some(20.0));
    let client = client(&[&server.origin], vec![], &rate);
    let began = tokio::time::Instant::now();
    let fetch = async || {
        let mut instance = Instance::of(&client);
        for _ in 0..5 {
            text(instance.fetch(to("GET", &server.origin, &[], "")).await);
        }
    };
    tokio::join!(fetch(), fetch());
    // Ten requests and one more for the redirect, of which the first need not wait.
    assert_eq!(server.requests().len(), 11);
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );

    let limits = with(|limits| {
        limits.requests_in_flight = 1;
        limits.request_timeout = Duration::from_millis(100);
    });
    let client = super::client(&[&server.origin], vec![], &limits);
    let (mut one, mut other) = (Instance::of(&client), Instance::of(&client));
    let unread = one.send(to("GET", &server.origin, &[], "")).await.unwrap();
    let (_, key) = limit(other.fetch(to("GET", &server.origin, &[], "")).await);
    assert_eq!(key, "requests_in_flight");
    drop(unread);
    text(other.fetch(to("GET", &server.origin, &[], "")).await);
}

#[tokio::test]
async fn the_body_of_a_request_is_cut_off_at_its_limit() {
    let server = Server::start(|_, _, _| reply(200, "", "ok")).await;
    let limits = with(|limits| limits.request_body = 10);
    let grant = sandbar_policy::HttpGrant::parse(&server.origin)
        .unwrap()
        .with_methods(&["POST"]);
    let grants = Grants::new(vec![grant.unwrap()], false);
    let resolver = Arc::new(SystemResolver::default());
    let client = HttpClient::with(grants, vec![], &limits, resolver, quick());
    let mut instance = Instance::of(&client);
    text(
        instance
            .fetch(to("POST", &server.origin, &[], "0123456789"))
            .await,
    );
    let long = instance
        .fetch(to("POST", &server.origin, &[], "0123456789a"))
        .await;
    let (message, key) = limit(long);
    assert!(message.contains("is longer than 10 bytes"), "{message}");
    assert_eq!(key, "request_body");
}

#[tokio::test]
async fn bytes_that_decode_to_nothing_count_too() {
    // Frames of zstd that a decoder skips.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(100);
    let server = Server::start(move |_, _, _| reply(200, "content-encoding: zstd\r\n", &skipped)).await;
    let limits = with(|limits| limits.response_body = 700);
    let client = client(&[&server.origin], vec![], &limits);
    let (message, key) = limit(get(&client, &server.origin).await);
    assert!(message.contains("is longer than 700 bytes"), "{message}");
    assert_eq!(key, "response_body");
}

#[tokio::test]
async fn a_body_that_is_left_unread_keeps_its_place() {
    let server = Server::start(|_, _, _| reply(200, "", "ok")).await;
    let limits = with(|limits| {
        limits.requests_in_flight = 1;
        limits.request_timeout = Duration::from_millis(100);
    });
    let client = client(&[&server.origin], vec![], &limits);
    let mut instance = Instance::of(&client);
    let unread = instance.send(to("GET", &server.origin, &[], "")).await.unwrap();
    let (message, key) = limit(instance.fetch(to("GET", &server.origin, &[], "")).await);
    assert!(message.contains("one of 1 requests in flight"), "{message}");
    assert_eq!(key, "requests_in_flight");
    drop(unread);
    assert_eq!(
        text(instance.fetch(to("GET", &server.origin, &[], "")).await),
        "ok"
    );
}

type Change = fn(&mut Phases, &mut Limits, Duration);

#[tokio::test]
async fn every_phase_has_its_end() {
    let short = Duration::from_millis(60);
    let cases: [(&str, Change, &str); 5] = [
        (
            "/tls",
            |phases, _, short| phases.connected = short,
            "ConnectionTimeout",
        ),
        (
            "/silent",
            |phases, _, short| phases.first_byte = short,
            "ReadTimeout",
        ),
        (
            "/silent",
            |_, limits, short| limits.request_timeout = short,
            "ResponseTimeout",
        ),
        (
            "/half",
            |phases, _, short| phases.between_bytes = short,
            "ReadTimeout",
        ),
        (
            "/trickle",
            |_, limits, short| limits.request_timeout = short,
            "ResponseTimeout",
        ),
    ];
    for (path, change, wanted) in cases {
        let server = Server::start(|request, _, _| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nbegin".to_vec();
            match request.split(' ').nth(1).unwrap() {
                "/silent" => Reply::Stall(vec![]),
                "/half" => Reply::Stall(head),
                _ => Reply::Trickle(head),
            }
        })
        .await;
        let (mut phases, mut limits) = (quick(), Limits::default());
        change(&mut phases, &mut limits, short);
        // The server takes no TLS: it waits for the end of a line that never comes.
        let origin = match path {
            "/tls" => server.origin.replace("http:", "https:"),
            _ => server.origin.clone(),
        };
        let grants = Grants::parse(&[&origin], false).unwrap();
        let client = HttpClient::with(
            grants,
            vec![],
            &limits,
            Arc::new(SystemResolver::default()),
            phases,
        );
        let (error, violation) = get(&client, &format!("{origin}{path}")).await.unwrap_err();
        assert_eq!((error.as_str(), violation), (wanted, None), "{path}");
    }
}

#[tokio::test]
async fn a_connection_that_died_in_the_pool_costs_nothing() {
    // The second request of the first connection is read, and never answered.
    let server = Server::start(|_, _, here| match here {
        0 => reply(200, "", "ok"),
        _ => Reply::Close,
    })
    .await;
    let grant = sandbar_policy::HttpGrant::parse(&server.origin).unwrap();
    let grants = Grants::new(vec![grant.with_methods(&["GET", "POST"]).unwrap()], false);
    let client = HttpClient::new(Network::default(), grants, vec![], &Limits::default());
    for _ in 0..3 {
        assert_eq!(text(get(&client, &server.origin).await), "ok");
    }
    assert_eq!(server.requests().len(), 5, "two of them twice");
    // What may have changed something is not sent twice.
    let posted = Instance::of(&client)
        .fetch(to("POST", &server.origin, &[], "x"))
        .await;
    assert_eq!(posted.unwrap_err().0, "ConnectionTerminated");
    assert_eq!(server.requests().len(), 6);

    let never = Server::start(|_, _, _| Reply::Close).await;
    let client = self::client(&[&never.origin], vec![], &Limits::default());
    let (error, _) = get(&client, &never.origin).await.unwrap_err();
    assert_eq!(error, "ConnectionTerminated");
    assert_eq!(
        never.requests().len(),
        1,
        "a new connection that is dropped says something"
    );
}

#[tokio::test]
async fn connections_are_kept() {
    let server = Server::start(|_, _, here| reply(200, "", here.to_string())).await;
    let client = client(&[&server.origin], vec![], &Limits::default());
    for here in 0..5 {
        assert_eq!(text(get(&client, &server.origin).await), here.to_string());
    }
}
