use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Request;
use hyper::body::Incoming;
use sandbar_registry::{Access, OciReference, Registry, RegistryError, RegistryLogin};

use crate::support::{
    Answer, DockerRegistry, MANIFEST, PASSWORD, Server, USER, answer, client, component, fetch, manifest,
    oci, sha256,
};

fn login(password: &str) -> RegistryLogin {
    RegistryLogin {
        username: USER.into(),
        password: password.into(),
    }
}

async fn fetch_as(
    registry: &Registry,
    reference: &OciReference,
    login: &RegistryLogin,
) -> Result<sandbar_registry::Fetched, RegistryError> {
    let access = Access {
        login: Some(login),
        ..Access::default()
    };
    registry.fetch(&oci(reference), &access).await
}

fn docker_config(folder: &tempfile::TempDir, registry: &str, password: &str) -> PathBuf {
    let path = folder.path().join("config.json");
    let auth = BASE64_STANDARD.encode(format!("{USER}:{password}"));
    let config = serde_json::json!({"auths": {registry: {"auth": auth}}, "HttpHeaders": {}});
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_private_registry_lets_in_whom_it_knows() {
    let Some(registry) = DockerRegistry::private() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (tag, wasm) = (registry.reference("feed:1"), component("a"));
    let host = registry.address();

    let error = client().push(wasm.clone(), None, &tag, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Login { .. }), "{error}");
    assert!(
        error.to_string().contains(&format!("{host} wants a login")),
        "{error}"
    );
    assert!(
        error.to_string().contains(&format!("docker login {host}")),
        "{error}"
    );
    client()
        .push(wasm.clone(), None, &tag, Some(&login(PASSWORD)))
        .await
        .unwrap();

    assert_eq!(
        fetch_as(&client(), &tag, &login(PASSWORD)).await.unwrap().bytes,
        wasm
    );
    let error = fetch_as(&client(), &tag, &login("wrong-horse"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not take the login that was given"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("wrong-horse"), "{error}");
    let error = fetch(&client(), &tag).await.unwrap_err();
    assert!(error.to_string().contains("wants a login"), "{error}");

    let path = docker_config(&folder, host, PASSWORD);
    let ours = client().with_docker_config(Some(&path));
    assert_eq!(fetch(&ours, &tag).await.unwrap().bytes, wasm);
    let error = fetch_as(&ours, &tag, &login("wrong-horse")).await.unwrap_err();
    assert!(
        error.to_string().contains("the login that was given"),
        "what is given counts: {error}"
    );
    docker_config(&folder, host, "wrong-horse");
    let error = fetch(&ours, &tag).await.unwrap_err();
    let origin = format!("does not take Docker's configuration {}", path.display());
    assert!(error.to_string().contains(&origin), "{error}");
    std::fs::write(&path, r#"{"auths": {"x": {"auth": 5, "password": "n33dle"}}}"#).unwrap();
    let error = fetch(&ours, &tag).await.unwrap_err();
    assert!(matches!(error, RegistryError::Setup { .. }), "{error}");
    assert!(!error.to_string().contains("n33dle"), "{error}");
}

/// Serves one component to whoever has the right to it.
fn serve(request: &Request<Incoming>, authorization: &str) -> Answer {
    let found = request.headers().get("authorization");
    let (wasm, path) = (component("a"), request.uri().path());
    if found.is_none_or(|found| found != authorization) {
        let host = request.headers()["host"].to_str().unwrap();
        let challenge =
            format!(r#"Bearer realm="http://{host}/token?a=b",service="registry \"1\"",scope="other""#);
        return answer(401, &[("www-authenticate", &challenge)], "");
    }
    match path.contains("/manifests/") {
        true => {
            let text = manifest(&[("application/wasm", &sha256(&wasm), wasm.len() as u64)]);
            answer(200, &[("content-type", MANIFEST)], text)
        }
        false => answer(200, &[], wasm.to_vec()),
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_goes_to_the_registry() {
    let server = Server::start(|request| match request.uri().path() {
        "/token" => answer(200, &[], r#"{"token": "t0ken", "expires_in": 300}"#),
        _ => serve(request, "Bearer t0ken"),
    })
    .await;
    let fetched = fetch_as(&client(), &server.reference("team/a:1"), &login(PASSWORD))
        .await
        .unwrap();
    assert_eq!(fetched.bytes, component("a"));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let asked: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| (asked.line, asked.authorization))
        .collect();
    let bearer = Some("Bearer t0ken".to_owned());
    assert_eq!(
        asked,
        [
            ("GET /v2/team/a/manifests/1".to_owned(), None),
            (
                "GET /token?a=b&service=registry+%221%22&scope=repository%3Ateam%2Fa%3Apull".to_owned(),
                Some(basic)
            ),
            ("GET /v2/team/a/manifests/1".to_owned(), bearer.clone()),
            (
                format!("GET /v2/team/a/blobs/{}", sha256(&component("a"))),
                bearer
            ),
        ]
    );
    // Nobody in particular gets a token too.
    assert!(fetch(&client(), &server.reference("team/a:1")).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_gives_no_token_is_an_error() {
    for body in [
        "",
        "{}",
        r#"{"token": ""}"#,
        r#"{"token": 5}"#,
        r#"{"token": "a\nb"}"#,
        r#"{"token": "a b"}"#,
        r#"{"access_token": "\u00e4"}"#,
        "<html>",
    ] {
        let server = Server::start(move |request| match request.uri().path() {
            "/token" => answer(200, &[], body),
            _ => serve(request, "Bearer t0ken"),
        })
        .await;
        let error = fetch(&client(), &server.reference("a:1")).await.unwrap_err();
        assert!(
            error.to_string().ends_with("the registry's issuer gave no token"),
            "{body}: {error}"
        );
    }
    let server = Server::start(|request| match request.uri().path() {
        "/token" => answer(200, &[], vec![b' '; 70_000]),
        _ => serve(request, "Bearer t0ken"),
    })
    .await;
    let error = fetch(&client(), &server.reference("a:1")).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::TooLarge { max: 65_536, .. }),
        "{error}"
    );
    // One that is taken for a token and lets nobody in.
    let server = Server::start(|request| match request.uri().path() {
        "/token" => answer(200, &[], r#"{"token": "another"}"#),
        _ => serve(request, "Bearer t0ken"),
    })
    .await;
    let error = fetch_as(&client(), &server.reference("a:1"), &login(PASSWORD))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Login { .. }), "{error}");
    assert_eq!(
        server.asked().len(),
        3,
        "it is asked once more, and no more than that"
    );
}

#[tokio::test]
async fn a_login_goes_nowhere_without_tls_and_to_nobody_else() {
    let (challenges, says) = (
        [
            r#"Bearer realm="http://issuer.example/token""#,
            r#"Bearer realm="issuer""#,
            r#"Bearer realm="ftp://issuer.example/""#,
            "Digest realm=\"x\"",
            "",
            "Bearer",
            "\u{1}",
        ],
        ["without TLS", "no URL", "no HTTP", "in which way"],
    );
    for (number, challenge) in challenges.into_iter().enumerate() {
        let challenge = challenge.to_owned();
        let server = Server::start(
            move |_| match challenge.is_ascii() && !challenge.contains('\u{1}') {
                true => answer(401, &[("www-authenticate", &challenge)], ""),
                false => answer(401, &[], ""),
            },
        )
        .await;
        let error = fetch_as(&client(), &server.reference("a:1"), &login(PASSWORD))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(says[number.min(3)]), "{error}");
        assert!(server.asked().iter().all(|asked| asked.authorization.is_none()));
    }

    // A redirect to another server takes nothing along.
    let store = Server::start(|_| answer(200, &[], component("a").to_vec())).await;
    let place = format!("http://{}/store?signature=s1gned", store.address());
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let server = Server::start(move |request| {
        match (
            request.headers().get("authorization"),
            request.uri().path().contains("/blobs/"),
        ) {
            (None, _) => answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
            (Some(_), true) => answer(307, &[("location", &place)], ""),
            (Some(found), false) => serve(request, found.to_str().unwrap()),
        }
    })
    .await;
    let fetched = fetch_as(&client(), &server.reference("a:1"), &login(PASSWORD))
        .await
        .unwrap();
    assert_eq!(fetched.bytes, component("a"));
    assert_eq!(server.asked()[1].authorization, Some(basic));
    let [asked] = &store.asked()[..] else { panic!() };
    assert_eq!(asked.authorization, None);
}

#[tokio::test]
async fn an_upload_to_another_server_takes_no_login_along() {
    let store = Server::start(|_| answer(201, &[], "")).await;
    let place = format!("http://{}/upload?state=1", store.address());
    let server = Server::start(move |request| match request.method().as_str() {
        _ if request.headers().get("authorization").is_none() => {
            answer(401, &[("www-authenticate", "Basic realm=\"r\"")], "")
        }
        "HEAD" => answer(404, &[], ""),
        "POST" => answer(202, &[("location", &place)], ""),
        _ => answer(201, &[], ""),
    })
    .await;
    let login = login(PASSWORD);
    client()
        .push(component("a"), None, &server.reference("a:1"), Some(&login))
        .await
        .unwrap();
    let uploads = store.asked();
    assert_eq!(uploads.len(), 2, "configuration and component");
    let component = sha256(&component("a")).replace(':', "%3A");
    assert_eq!(uploads[1].line, format!("PUT /upload?state=1&digest={component}"));
    assert!(
        uploads.iter().all(|asked| asked.authorization.is_none()),
        "{uploads:?}"
    );
}

#[tokio::test]
async fn what_a_registry_says_of_a_login_is_not_shown() {
    let server = Server::start(|request| {
        let Some(found) = request.headers().get("authorization") else {
            return answer(401, &[("www-authenticate", "Basic realm=\"r\"")], "");
        };
        let said = format!("no {} for {PASSWORD}", found.to_str().unwrap());
        let said = serde_json::json!({"errors": [{"code": "DENIED", "message": said}]});
        answer(403, &[], said.to_string())
    })
    .await;
    let error = fetch_as(&client(), &server.reference("team/a:1"), &login(PASSWORD))
        .await
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("lets the user of the login that was given not pull from team/a"),
        "{text}"
    );
    assert!(text.contains("DENIED no Basic *** for ***"), "{text}");
    assert!(!format!("{:?}", login(PASSWORD)).contains(PASSWORD));
}
