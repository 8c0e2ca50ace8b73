use super::*;

/// What comes of these bytes with this type, in pieces of one byte.
async fn answer(kind: &'static str, body: Vec<u8>, secret: &str, limits: &Limits) -> Result<Got, Failure> {
    let server = Server::start(move |_, _, _| {
        let head = format!("HTTP/1.1 200 X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut sent = head.into_bytes();
        for byte in &body {
            sent.extend([b"1\r\n".as_slice(), &[*byte], b"\r\n"].concat());
        }
        sent.extend(b"0\r\n\r\n");
        Reply::Bytes(sent)
    })
    .await;
    let credential = Credential::bearer(&server.origin, secret).unwrap();
    let client = client(&[&server.origin], vec![credential], limits);
    get(&client, &server.origin).await
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn a_secret_is_hidden_in_every_charset() {
    let text = "[\"ü: hush-hush-9\"]";
    let hidden = "[\"ü: ***********\"]";
    let limits = Limits::default();
    let latin: Vec<u8> = text.chars().map(|char| char as u8).collect();
    for (kind, body) in [
        ("application/json; charset=utf-16le", utf16(text)),
        ("application/json; charset=iso-8859-1", latin),
        ("application/json; charset=iso-8859-1", text.as_bytes().to_vec()),
        ("application/json", text.as_bytes().to_vec()),
    ] {
        let (_, headers, body) = answer(kind, body, "hush-hush-9", &limits).await.unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), hidden, "{kind}");
        let now = headers["content-type"].to_str().unwrap();
        assert!(now == kind || now == "application/json; charset=utf-8", "{now}");
    }
    // Where nothing says that it is UTF-16, it stays so.
    let (_, _, body) = answer("application/json", utf16(text), "hush-hush-9", &limits)
        .await
        .unwrap();
    assert_eq!(body.len(), utf16(text).len());
    let units: Vec<_> = body
        .chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    assert!(!String::from_utf16_lossy(&units).contains("hush"));
}

#[tokio::test]
async fn what_a_text_gains_in_length_counts() {
    let limits = Limits::default().with_response_body(100);
    let body = vec![0xfc; 60];
    let Err((_, Some(Violation::Limit { key, .. }))) =
        answer("text/plain; charset=latin1", body, "hush-hush-9", &limits).await
    else {
        panic!("120 bytes were let through");
    };
    assert_eq!(key.as_str(), "response_body");
}

#[tokio::test]
async fn what_is_not_in_its_charset_is_an_error_in_words() {
    let answered = answer(
        "text/plain; charset=utf-16",
        vec![b'a', 0, 0],
        "hush-hush-9",
        &Limits::default(),
    )
    .await;
    let (error, violation) = answered.unwrap_err();
    assert!(
        error.contains("its body is not in the charset UTF-16LE") && violation.is_none(),
        "{error}"
    );
}
