use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use sandbar_registry::{OciReference, Registry, RegistryError, RegistryTimeouts};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{
    Answer, MANIFEST, Server, answer, client, component, fetch, manifest, oci, sha256, with_body,
};

const WASM: &str = "application/wasm";

/// A client that waits this long for something, and for all else as long as any.
fn impatient(set: fn(&mut RegistryTimeouts, Duration), time: Duration) -> Registry {
    let mut timeouts = RegistryTimeouts::default();
    set(&mut timeouts, time);
    client().with_timeouts(timeouts)
}

/// A body of pieces without end, each after a pause.
fn endless(piece: &'static [u8], pause: Duration) -> BoxBody<Bytes, Infallible> {
    let pieces = stream::repeat(piece).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece)))
    });
    BodyExt::boxed(StreamBody::new(
        Box::pin(pieces) as std::pin::Pin<Box<dyn futures::Stream<Item = _> + Send + Sync>>
    ))
}

const NO_PAUSE: Duration = Duration::ZERO;
const DRIP: Duration = Duration::from_millis(50);

/// What comes of a registry that answers all that is asked for with one thing.
async fn of(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (RegistryError, Server) {
    of_client(&client(), answer).await
}

async fn of_client(
    client: &Registry,
    answer: impl Fn() -> Answer + Send + Sync + 'static,
) -> (RegistryError, Server) {
    let server = Server::start(move |_| answer()).await;
    let error = fetch(client, &server.reference("a:1")).await.unwrap_err();
    (error, server)
}

/// What comes of a registry with this manifest, and one answer to all else.
async fn of_manifest(
    text: String,
    other: impl Fn() -> Answer + Send + Sync + 'static,
) -> (RegistryError, Server) {
    of_manifest_and_client(&client(), text, other).await
}

async fn of_manifest_and_client(
    client: &Registry,
    text: String,
    other: impl Fn() -> Answer + Send + Sync + 'static,
) -> (RegistryError, Server) {
    let server = Server::start(
        move |request| match request.uri().path().contains("/manifests/") {
            true => answer(200, &[("content-type", MANIFEST)], text.clone()),
            false => other(),
        },
    )
    .await;
    let error = fetch(client, &server.reference("a:1")).await.unwrap_err();
    (error, server)
}

fn of_component(size: u64) -> String {
    manifest(&[(WASM, &sha256(b"wanted"), size)])
}

#[tokio::test]
async fn a_manifest_without_end_is_cut_and_one_that_drips_is_left() {
    let kind = [("content-type", MANIFEST)];
    let (error, _) = of(move || with_body(200, &kind, endless(&[b' '; 16 << 10], NO_PAUSE))).await;
    assert!(
        matches!(error, RegistryError::TooLarge { max: 1_048_576, .. }),
        "{error}"
    );
    let (error, _) = of(move || answer(200, &kind, vec![b' '; 2 << 20])).await;
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    let hasty = impatient(
        |timeouts, time| timeouts.answer = time,
        Duration::from_millis(600),
    );
    let (error, _) = of_client(&hasty, move || with_body(200, &kind, endless(b" ", DRIP))).await;
    assert!(
        error.is_transient() && error.to_string().contains("not done within 0.6 s"),
        "{error}"
    );
}

#[tokio::test]
async fn a_component_is_read_to_the_length_that_its_manifest_says() {
    let body = || with_body(200, &[], endless(&[0; 16 << 10], NO_PAUSE));
    let (error, _) = of_manifest(of_component(100_000), body).await;
    let says = "it is longer than the 100000 bytes that the manifest says";
    assert!(
        matches!(error, RegistryError::Answer { .. }) && error.to_string().ends_with(says),
        "{error}"
    );
    let (error, _) = of_manifest(of_component(100), || answer(200, &[], vec![0; 101])).await;
    assert!(
        error
            .to_string()
            .ends_with("longer than the 100 bytes that the manifest says"),
        "{error}"
    );
    let (error, _) = of_manifest(of_component(100), || answer(200, &[], vec![0; 99])).await;
    assert!(
        error
            .to_string()
            .ends_with("it has 99 bytes, and the manifest says 100"),
        "{error}"
    );
    let (error, _) = of_manifest(of_component(100), || answer(200, &[], vec![0; 100])).await;
    assert!(
        matches!(
            error,
            RegistryError::Changed {
                what: "component",
                ..
            }
        ),
        "{error}"
    );

    let drip = || with_body(200, &[], endless(b"\0", DRIP));
    let hasty = impatient(
        |timeouts, time| timeouts.transfer = time,
        Duration::from_millis(800),
    );
    let (error, _) = of_manifest_and_client(&hasty, of_component(100_000), drip).await;
    assert!(
        error.is_transient() && error.to_string().contains("not done within 0.8 s"),
        "{error}"
    );
    let stop = || with_body(200, &[], endless(b"\0", Duration::from_secs(3600)));
    let hasty = impatient(|timeouts, time| timeouts.idle = time, Duration::from_millis(400));
    let (error, _) = of_manifest_and_client(&hasty, of_component(100_000), stop).await;
    assert!(
        error.is_transient() && error.to_string().contains("nothing came in time"),
        "{error}"
    );
}

#[tokio::test]
async fn a_component_that_is_too_long_is_not_begun() {
    let (error, server) = of_manifest(of_component(u64::MAX), || answer(200, &[], "")).await;
    assert!(
        matches!(error, RegistryError::TooLarge { max: 268_435_456, .. }),
        "{error}"
    );
    let asked = server.asked();
    assert!(
        asked.iter().all(|asked| !asked.line.contains("/blobs/")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_is_no_manifest_of_a_component_is_refused() {
    let digest = sha256(b"wanted");
    let layer = (WASM, digest.as_str(), 6);
    let index = r#"{"schemaVersion": 2, "manifests": [{"digest": "sha256:1"}, {}]}"#;
    let nested = format!(
        "{}1{}",
        r#"{"schemaVersion":2,"a":"#.repeat(40_000),
        "}".repeat(40_000)
    );
    let cases = [
        (
            "{}".to_owned(),
            "its manifest is not the JSON of one: missing field `schemaVersion`",
        ),
        ("[".to_owned(), "its manifest is not the JSON of one: EOF"),
        (nested, "it has 0 layers"),
        (index.to_owned(), "it is an index of 2 manifests"),
        (manifest(&[]), "it has 0 layers"),
        (manifest(&[layer; 5000]), "it has 5000 layers"),
        (
            manifest(&[("\u{1b}[2J", &digest, 6)]),
            "its layer is \u{fffd}[2J, and application/wasm is wanted",
        ),
        (
            manifest(&[(WASM, "sha512:00", 6)]),
            "its layer has the digest sha512:00",
        ),
        (
            manifest(&[(WASM, "sha256:../../../v2/", 6)]),
            "its layer has the digest sha256:../../../v2/",
        ),
        (
            manifest(&[layer]).replace(":6", ":-6"),
            "its manifest is not the JSON of one: invalid value",
        ),
    ];
    for (text, says) in cases {
        let (error, server) = of_manifest(text, || answer(200, &[], "wanted")).await;
        assert!(matches!(error, RegistryError::Artifact { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_manifest_that_the_registry_promises_another_digest_of_is_refused() {
    let other = sha256(b"other");
    let headers = move || {
        [
            ("content-type", MANIFEST),
            ("docker-content-digest", other.as_str()),
        ]
        .map(|(a, b)| (a, b.to_owned()))
    };
    let (error, _) = of(move || {
        let headers = headers();
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        answer(200, &headers, of_component(6))
    })
    .await;
    assert!(
        matches!(error, RegistryError::Changed { what: "manifest", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn redirects_have_an_end_and_lead_nowhere_without_tls() {
    let (error, server) = of(|| answer(307, &[("location", "/v2/a/manifests/1")], "")).await;
    assert!(
        error.to_string().contains("it leads on more than 5 times"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 6);
    for (location, says) in [
        (
            "http://registry.example/",
            "it leads to registry.example without TLS",
        ),
        ("ftp://registry.example/", "it leads to what is no HTTP"),
        // Never followed, whatever is said of it.
        ("file:///etc/passwd", "the registry answered 307"),
    ] {
        let (error, _) = of(move || answer(307, &[("location", location)], "")).await;
        assert!(
            matches!(error, RegistryError::Answer { .. }),
            "{location}: {error}"
        );
        assert!(error.to_string().contains(says), "{location}: {error}");
    }
}

#[tokio::test]
async fn errors_are_sorted_by_whether_they_may_pass_and_fit_to_be_shown() {
    let said = r#"{"errors": [{"code": "TOOMANY\u001b[2J", "message": "slow down\nFORGED"}]}"#;
    let (error, _) = of(move || answer(429, &[("retry-after", "7")], said)).await;
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains(
            "answered 429 Too Many Requests, try again in 7 s: TOOMANY\u{fffd}[2J slow down\u{fffd}FORGED"
        ),
        "{text}"
    );
    for status in [408, 500, 502, 503, 504] {
        let (error, _) = of(move || answer(status, &[], "<html>sorry</html>")).await;
        assert!(
            error.is_transient() && error.to_string().contains("with a page of HTML"),
            "{error}"
        );
    }
    for status in [400, 405, 418, 204, 304] {
        let (error, _) = of(move || answer(status, &[], "")).await;
        assert!(!error.is_transient(), "{status}: {error}");
    }
    let (error, _) = of(|| answer(404, &[], "<html>no</html>")).await;
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let (error, _) = of(|| with_body(500, &[], endless(&[b'x'; 1024], NO_PAUSE))).await;
    assert!(error.is_transient() && error.to_string().len() < 600, "{error}");

    let html = [("content-type", "text/html; charset=utf-8")];
    let (error, _) = of(move || answer(200, &html, "<html>sign in</html>")).await;
    assert!(matches!(error, RegistryError::Answer { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("answered with text/html; charset=utf-8 where a manifest"),
        "{error}"
    );
    let (error, _) = of_manifest(of_component(6), move || answer(200, &html, "<html>")).await;
    assert!(error.to_string().contains("answered with text/html"), "{error}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_may_come_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("oci://{}/a:1", listener.local_addr().unwrap());
    drop(listener);
    let error = fetch(&client(), &reference.parse().unwrap()).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("Connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_to_head_without_a_digest_costs_a_second_request() {
    let server = Server::start(|_| answer(200, &[("content-type", MANIFEST)], of_component(6))).await;
    let resolved = client()
        .resolve(&oci(&server.reference("a:1")), None)
        .await
        .unwrap();
    assert_eq!(
        resolved.digest(),
        Some(sha256(of_component(6).as_bytes()).as_str())
    );
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_place_to_upload_to_is_looked_at_first() {
    for (location, says) in [
        (None, "names no place"),
        (Some("http://registry.example/upload"), "without TLS"),
        (Some("http://[::"), "no URL"),
    ] {
        let server = Server::start(move |request| match (request.method().as_str(), location) {
            ("POST", Some(location)) => answer(202, &[("location", location)], ""),
            ("POST", None) => answer(202, &[], ""),
            _ => answer(404, &[], ""),
        })
        .await;
        let pushed = client()
            .push(component("a"), None, &server.reference("a:1"), None)
            .await;
        let error = pushed.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A server with TLS on an address that does not look like this machine's, and its authority's certificate.
async fn secure() -> (OciReference, String, Server) {
    let issuer = CertifiedIssuer::self_signed(
        {
            let mut params = CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params
        },
        KeyPair::generate().unwrap(),
    )
    .unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["0.0.0.0".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::with(Some(acceptor), |request| {
        match request.uri().path().contains("/manifests/") {
            true => {
                let wasm = component("a");
                let text = manifest(&[(WASM, &sha256(&wasm), wasm.len() as u64)]);
                answer(200, &[("content-type", MANIFEST)], text)
            }
            false => answer(200, &[], component("a").to_vec()),
        }
    })
    .await;
    let reference = format!("oci://0.0.0.0:{}/a:1", server.address().port());
    (reference.parse().unwrap(), issuer.pem(), server)
}

#[tokio::test]
async fn beyond_this_machine_there_is_tls_and_an_authority_of_ones_own_has_to_be_named() {
    let (reference, pem, server) = secure().await;
    let error = fetch(&client(), &reference).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(
        error.to_string().contains("its certificate does not hold here"),
        "{error}"
    );
    assert!(server.asked().is_empty());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    let fetched = fetch(&client().trusting_file(&path), &reference).await.unwrap();
    assert_eq!(fetched.bytes, component("a"));

    std::fs::write(&path, "no certificate").unwrap();
    let error = fetch(&client().trusting_file(&path), &reference)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Setup { .. }), "{error}");
    assert!(
        error.to_string().contains("ca.pem: it holds no certificate"),
        "{error}"
    );

    // One without TLS.
    let plain = Server::start(|_| answer(200, &[], "")).await;
    let reference = format!("oci://0.0.0.0:{}/a:1", plain.address().port())
        .parse()
        .unwrap();
    let error = fetch(&client(), &reference).await.unwrap_err();
    assert!(plain.asked().is_empty(), "{error}");
}

#[tokio::test]
async fn a_registry_that_has_no_manifest_and_a_blob_of_a_digest_was_asked_for_the_wrong_one() {
    let server = Server::start(|request| match request.uri().path().contains("/manifests/") {
        true => answer(404, &[], ""),
        false => answer(200, &[], ""),
    })
    .await;
    let digest = sha256(b"wanted");
    let error = fetch(&client(), &server.reference(&format!("a@{digest}")))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::OtherDigest { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("{digest} is the digest of what is in an artifact")),
        "{error}"
    );
}
