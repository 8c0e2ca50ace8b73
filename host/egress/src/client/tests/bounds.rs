//! Remotes that never answer, at each step of a request, and the bounds of what waits for them at once.

use std::sync::Condvar;

use http_body_util::StreamBody;

use super::*;

/// A resolver that never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(std::future::pending())
    }
}

fn short() -> Duration {
    Duration::from_millis(60)
}

#[tokio::test]
async fn a_resolver_that_never_answers_ends_with_the_time_for_a_connection() {
    let grants = Grants::parse(&["http://silent.example"], true).unwrap();
    let phases = Phases {
        connected: short(),
        ..quick()
    };
    let client = HttpClient::with(grants, vec![], &Limits::default(), Arc::new(Silent), phases);
    let (error, violation) = get(&client, "http://silent.example/").await.unwrap_err();
    assert_eq!((error.as_str(), violation), ("ConnectionTimeout", None));
}

/// A listener whose queue of connections is full: who connects gets no answer at all.
#[tokio::test]
async fn a_connect_that_is_never_answered_ends_with_its_time() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = vec![];
    while let Ok(Ok(stream)) = tokio::time::timeout(short(), TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    let origin = format!("http://{address}");
    let phases = Phases {
        connect: short(),
        ..quick()
    };
    let grants = Grants::parse(&[&origin], false).unwrap();
    let resolver = Arc::new(SystemResolver::default());
    let client = HttpClient::with(grants, vec![], &Limits::default(), resolver, phases);
    let (error, violation) = get(&client, &origin).await.unwrap_err();
    assert_eq!((error.as_str(), violation), ("ConnectionTimeout", None));
}

/// The remote takes the connection and reads nothing of a body that fits into no buffer.
#[tokio::test]
async fn an_upload_that_nobody_reads_ends_with_the_time_to_the_first_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    });
    let grant = sandbar_policy::HttpGrant::parse(&origin).unwrap();
    let grants = Grants::new(vec![grant.with_methods(&["POST"]).unwrap()], false);
    let phases = Phases {
        first_byte: short(),
        ..quick()
    };
    let resolver = Arc::new(SystemResolver::default());
    let client = HttpClient::with(grants, vec![], &Limits::default(), resolver, phases);
    let body = Full::new(Bytes::from(vec![b'x'; 16 << 20]));
    let request = Request::post(&origin)
        .body(body.map_err(|never| match never {}).boxed_unsync())
        .unwrap();
    let (error, violation) = Instance::of(&client).fetch(request).await.unwrap_err();
    assert_eq!((error.as_str(), violation), ("ReadTimeout", None));
    held.abort();
}

#[tokio::test]
async fn a_pipeline_looks_up_four_names_at_once() {
    /// Look-ups that are under way, the most there were, and whether they may end.
    static STATE: Mutex<(usize, usize, bool)> = Mutex::new((0, 0, false));
    static CHANGED: Condvar = Condvar::new();
    fn look_up(_: &str) -> io::Result<Vec<SocketAddr>> {
        let mut state = STATE.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        let mut state = CHANGED.wait_while(state, |state| !state.2).unwrap();
        state.0 -= 1;
        Ok(vec![address("127.0.0.1")])
    }
    let resolver = Arc::new(SystemResolver::looking_up_by(look_up));
    let asked: Vec<_> = (0..10)
        .map(|number| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.resolve(&format!("{number}.example")).await })
        })
        .collect();
    while STATE.lock().unwrap().0 < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Time for a fifth one to begin, if it could.
    tokio::time::sleep(short()).await;
    STATE.lock().unwrap().2 = true;
    CHANGED.notify_all();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap().len(), 1);
    }
    assert_eq!(STATE.lock().unwrap().1, 4);
}

#[tokio::test]
async fn a_pipeline_has_a_bounded_number_of_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let held = tokio::spawn(async move {
        let mut streams = vec![];
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
            counted.store(streams.len(), Ordering::Relaxed);
        }
    });
    let limits = Limits::default().with_requests_in_flight(1_000);
    let client = client(&[&origin], vec![], &limits);
    let requests: Vec<_> = (0..MAX_CONNECTIONS + 20)
        .map(|_| {
            let (client, url) = (client.clone(), origin.clone());
            tokio::spawn(async move { get(&client, &url).await })
        })
        .collect();
    while open.load(Ordering::Relaxed) < MAX_CONNECTIONS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Time for one more, if it could be opened.
    tokio::time::sleep(short()).await;
    assert_eq!(open.load(Ordering::Relaxed), MAX_CONNECTIONS);
    requests.iter().for_each(|request| request.abort());
    held.abort();
}

/// A body of pieces without a known length, which ends with trailers.
#[tokio::test]
async fn a_body_and_its_trailers_can_not_begin_another_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![];
        while !bytes.ends_with(b"0\r\n\r\n") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&piece[..read]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        // Nothing may follow the last chunk.
        let mut more = [0; 1];
        let more = tokio::time::timeout(short(), stream.read(&mut more)).await;
        assert!(!matches!(more, Ok(Ok(1..))), "bytes after the end of the request");
        String::from_utf8(bytes).unwrap()
    });
    let grant = sandbar_policy::HttpGrant::parse(&origin).unwrap();
    let grants = Grants::new(vec![grant.with_methods(&["POST"]).unwrap()], false);
    let resolver = Arc::new(SystemResolver::default());
    let client = HttpClient::with(grants, vec![], &Limits::default(), resolver, quick());
    let smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut trailers = HeaderMap::new();
    trailers.insert("content-length", "7".parse().unwrap());
    trailers.insert("x-more", "1".parse().unwrap());
    let frames = [
        Ok(http_body::Frame::data(Bytes::from_static(smuggled.as_bytes()))),
        Ok(http_body::Frame::trailers(trailers)),
    ];
    let body: RequestBody = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
    let request = Request::post(&origin).body(body).unwrap();
    let (status, ..) = Instance::of(&client).fetch(request).await.unwrap();
    assert_eq!(status, 200);
    let seen = seen.await.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(body, format!("{:X}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()));
}
