//! Remotes that send back what they were sent: the component sees its length, and nothing else of it.

use std::io::Write as _;

use http_body_util::combinators::Collect;

use super::*;

const SECRET: &str = "hush-hush-9";
const HIDDEN: &str = "***********";

/// What comes back of `{"you sent": "Bearer <secret>"}`, sent so.
async fn echoed(sent: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Got {
    let server = Server::start(move |request, _, _| {
        let header = request
            .lines()
            .find_map(|line| line.strip_prefix("authorization: "));
        Reply::Bytes(sent(&format!("{{\"you sent\": \"{}\"}}", header.unwrap())))
    })
    .await;
    let credential = Credential::bearer(&server.origin, SECRET).unwrap();
    let client = client(&[&server.origin], vec![credential], &Limits::default());
    get(&client, &server.origin).await.unwrap()
}

fn hidden() -> String {
    // The scheme is a part of what is hidden: it stands in the header's value.
    format!("{{\"you sent\": \"{}{HIDDEN}\"}}", "*".repeat("Bearer ".len()))
}

fn whole(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

#[tokio::test]
async fn a_body_that_echoes_a_credential_keeps_its_length_and_not_the_credential() {
    let (_, headers, body) = echoed(whole).await;
    assert_eq!(String::from_utf8(body).unwrap(), hidden());
    assert_eq!(headers["content-length"], hidden().len().to_string().as_str());
}

#[tokio::test]
async fn chunks_that_cut_it_anywhere_do_not_let_it_through() {
    for size in 1..SECRET.len() + 2 {
        let (_, _, body) = echoed(move |body| {
            let mut sent = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.as_bytes().chunks(size) {
                sent.extend(format!("{:x}\r\n", chunk.len()).bytes());
                sent.extend(chunk);
                sent.extend(b"\r\n");
            }
            sent.extend(b"0\r\n\r\n");
            sent
        })
        .await;
        assert_eq!(String::from_utf8(body).unwrap(), hidden(), "chunks of {size}");
    }
}

#[tokio::test]
async fn a_compressed_echo_is_found_behind_its_coding() {
    let (_, _, body) = echoed(|body| {
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        gzip.write_all(body.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        let head = format!(
            "HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            gzip.len()
        );
        [head.into_bytes(), gzip].concat()
    })
    .await;
    assert_eq!(String::from_utf8(body).unwrap(), hidden());
}

#[tokio::test]
async fn trailers_hide_it_and_come_behind_what_was_held() {
    let server = Server::start(|_, _, _| {
        // The body ends with what may be the beginning of the secret.
        let body = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\ntrailer: x-echo\r\n\r\n4\r\nhush\r\n0\r\nx-echo: ";
        Reply::Bytes(format!("{body}{SECRET}!\r\n\r\n").into())
    })
    .await;
    let credential = Credential::bearer(&server.origin, SECRET).unwrap();
    let client = client(&[&server.origin], vec![credential], &Limits::default());
    let mut instance = Instance::of(&client);
    let (_, body) = instance
        .send(to("GET", &server.origin, &[], ""))
        .await
        .unwrap()
        .into_parts();
    let collecting: Collect<ResponseBody> = body.collect();
    let collected = collecting.await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-echo"], "***!");
    assert_eq!(collected.to_bytes(), "hush");
}

#[tokio::test]
async fn the_next_page_is_found_though_its_address_echoes_the_key() {
    let server = Server::start(|request, _, _| {
        let host = request
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap();
        match request.contains("page=2") {
            true => reply(200, "", "second page"),
            false => reply(200, "", format!("http://{host}/x?key={SECRET}&page=2")),
        }
    })
    .await;
    let credential = Credential::query(&server.origin, "key", SECRET).unwrap();
    let client = client(&[&server.origin], vec![credential], &Limits::default());
    let next = text(get(&client, &format!("{}/x", server.origin)).await);
    assert_eq!(next, format!("{}/x?key={HIDDEN}&page=2", server.origin));
    assert_eq!(text(get(&client, &next).await), "second page");
    let last = server.requests().pop().unwrap();
    assert!(
        last.starts_with(&format!("GET /x?page=2&key={SECRET} ")),
        "{last}"
    );
}
