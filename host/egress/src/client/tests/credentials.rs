use super::*;
use sandbar_policy::OAuth2Options;

/// An API that wants the newest token, and the endpoint that gives tokens.
struct Guarded {
    api: Server,
    tokens: Server,
    wanted: Arc<Mutex<String>>,
}

/// The endpoint gives `token-1`, `token-2` and so on, with this beside each.
async fn guarded(beside: impl Fn(usize) -> String + Send + Sync + 'static) -> Guarded {
    let wanted = Arc::new(Mutex::new(String::new()));
    let newest = wanted.clone();
    let tokens = Server::start(move |_, number, _| {
        let number = number + 1;
        *newest.lock().unwrap() = format!("token-{number}");
        let beside = beside(number);
        reply(
            200,
            "",
            format!("{{\"access_token\": \"token-{number}\", \"token_type\": \"Bearer\"{beside}}}"),
        )
    })
    .await;
    let newest = wanted.clone();
    let api = Server::start(move |request, _, _| {
        let wanted = format!("authorization: Bearer {}\r\n", newest.lock().unwrap());
        reply(if request.contains(&wanted) { 200 } else { 401 }, "", "rows")
    })
    .await;
    Guarded { api, tokens, wanted }
}

fn options(tokens: &Server) -> OAuth2Options {
    OAuth2Options::new(format!("{}/token", tokens.origin), "me", "client secret")
}

fn oauth(api: &Server, options: OAuth2Options) -> Arc<HttpClient> {
    let credential = Credential::oauth2(&api.origin, options).unwrap();
    client(&[&api.origin], vec![credential], &Limits::default())
}

async fn status(client: &Arc<HttpClient>, server: &Server) -> u16 {
    get(client, &server.origin).await.unwrap().0
}

#[tokio::test]
async fn each_kind_is_added_for_its_origin_alone() {
    let (server, other) = (
        Server::start(|_, _, _| reply(200, "", "")).await,
        Server::start(|_, _, _| reply(200, "", "")).await,
    );
    let at = &server.origin;
    for (credential, wanted) in [
        (Credential::header(at, "X-Key", "k-secret"), "x-key: k-secret\r\n"),
        (
            Credential::bearer(at, "b-secret"),
            "authorization: Bearer b-secret\r\n",
        ),
        (
            Credential::basic(at, "me", "p-secret"),
            "authorization: Basic bWU6cC1zZWNyZXQ=\r\n",
        ),
        (
            Credential::query(at, "api key", "q&secret"),
            "GET /x?a=1&api+key=q%26secret HTTP",
        ),
    ] {
        let client = client(
            &[at, &other.origin],
            vec![credential.unwrap()],
            &Limits::default(),
        );
        get(&client, &format!("{at}/x?a=1")).await.unwrap();
        let request = server.requests().pop().unwrap();
        assert!(request.contains(wanted), "{request}");
        get(&client, &format!("{}/x?a=1", other.origin)).await.unwrap();
        let request = other.requests().pop().unwrap();
        assert!(
            !request.contains("secret") && !request.contains("authorization"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_credential_for_a_path_is_not_for_its_neighbours() {
    let server = Server::start(|_, _, _| reply(200, "", "")).await;
    let credential = Credential::bearer(&format!("{}/v1", server.origin), "secret").unwrap();
    let client = client(&[&server.origin], vec![credential], &Limits::default());
    for (path, sent) in [("/v1/x", true), ("/v2/x", false), ("/v1/..%2fv2", false)] {
        get(&client, &format!("{}{path}", server.origin)).await.unwrap();
        assert_eq!(
            server.requests().pop().unwrap().contains("secret"),
            sent,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_header_that_echoes_a_secret_does_not_bring_it() {
    let server =
        Server::start(|_, _, _| reply(200, "x-echo: got Bearer s3cret-1 and s3cret-1\r\n", "")).await;
    let credential = Credential::bearer(&server.origin, "s3cret-1").unwrap();
    let client = client(&[&server.origin], vec![credential], &Limits::default());
    let (_, headers, _) = get(&client, &server.origin).await.unwrap();
    assert_eq!(headers["x-echo"], "got *** and ***");
}

#[tokio::test]
async fn components_may_not_set_what_the_host_sets() {
    let credentials = vec![
        Credential::header("https://a.example", "x-key", "secret").unwrap(),
        Credential::query("https://b.example", "key", "secret").unwrap(),
    ];
    let client = client(&["https://a.example"], credentials, &Limits::default());
    let filter = Instance::of(&client).session.forbidden_headers();
    for name in ["x-key", "authorization", "cookie", "host", "proxy-authorization"] {
        assert!(filter(&name.parse().unwrap()), "{name}");
    }
    assert!(!filter(&"accept".parse().unwrap()));
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept() {
    let Guarded { api, tokens, .. } = guarded(|_| ", \"expires_in\": 3600".into()).await;
    let client = oauth(&api, options(&tokens).with_scope("read"));
    let at_once = futures_of(&client, &api, 8).await;
    assert_eq!(at_once, [200; 8]);
    let [request] = tokens.requests().try_into().unwrap();
    // The name and the secret, each as in a form, then in base64.
    assert!(
        request.contains("authorization: Basic bWU6Y2xpZW50K3NlY3JldA==\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("grant_type=client_credentials&scope=read"),
        "{request}"
    );
}

async fn futures_of(client: &Arc<HttpClient>, api: &Server, count: usize) -> Vec<u16> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (client, url) = (client.clone(), api.origin.clone());
        tasks.spawn(async move { get(&client, &url).await.unwrap().0 });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_once_after_a_refusal() {
    // This one is as good as over when it comes.
    let Guarded { api, tokens, .. } = guarded(|_| ", \"expires_in\": \"0\"".into()).await;
    let client = oauth(&api, options(&tokens));
    assert_eq!(
        (status(&client, &api).await, status(&client, &api).await),
        (200, 200)
    );
    assert_eq!(tokens.requests().len(), 2);
    assert_eq!(api.requests().len(), 2, "and no request was lost on an old token");

    let Guarded { api, tokens, wanted } = guarded(|_| String::new()).await;
    let client = oauth(&api, options(&tokens));
    assert_eq!(status(&client, &api).await, 200);
    *wanted.lock().unwrap() = "revoked".into();
    assert_eq!(status(&client, &api).await, 200);
    assert_eq!((tokens.requests().len(), api.requests().len()), (2, 3));

    let (api, gives) = (
        Server::start(|_, _, _| reply(401, "", "no")).await,
        Server::start(|_, n, _| reply(200, "", format!("{{\"access_token\": \"token-{n}\"}}"))).await,
    );
    let client = oauth(&api, options(&gives));
    assert_eq!(
        status(&client, &api).await,
        401,
        "the second refusal is the component's"
    );
    assert_eq!((gives.requests().len(), api.requests().len()), (2, 2));
}

#[tokio::test]
async fn the_newest_refresh_token_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    let Guarded { api, tokens, .. } =
        guarded(|n| format!(", \"expires_in\": 0, \"refresh_token\": \"refresh-{n}\"")).await;
    let open = |configured: &str| {
        oauth(
            &api,
            options(&tokens)
                .with_refresh_token(configured)
                .with_store(secrets.clone()),
        )
    };
    let client = open("refresh-0");
    assert_eq!(
        (status(&client, &api).await, status(&client, &api).await),
        (200, 200)
    );
    drop(client);
    assert_eq!(status(&open("refresh-0"), &api).await, 200);
    // Whoever configures another one means it.
    assert_eq!(status(&open("refresh-new"), &api).await, 200);
    let used: Vec<_> = tokens
        .requests()
        .iter()
        .map(|request| request.rsplit_once("&refresh_token=").unwrap().1.to_owned())
        .collect();
    assert_eq!(used, ["refresh-0", "refresh-1", "refresh-2", "refresh-new"]);
}

#[tokio::test]
async fn a_refresh_token_that_nobody_waits_for_is_kept_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let Guarded { api, tokens, .. } = guarded(|_| ", \"refresh_token\": \"refresh-1\"".into()).await;
    let client = oauth(
        &api,
        options(&tokens)
            .with_refresh_token("refresh-0")
            .with_store(folder.path().join("secrets")),
    );
    let url = api.origin.clone();
    let waiting = tokio::spawn(async move { get(&client, &url).await });
    while tokens.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    while !folder.path().join("secrets").is_dir() {
        tokio::task::yield_now().await;
    }
    assert!(api.requests().is_empty(), "it was stopped before");
}

#[tokio::test]
async fn an_endpoint_that_wants_the_secret_in_the_body_gets_it_there() {
    let tokens = Server::start(
        |request, _, _| match request.contains("client_secret=client+secret") {
            true => reply(200, "", "{\"access_token\": \"t0ken\", \"expires_in\": 0}"),
            false => reply(401, "", "{\"error\": \"invalid_client\"}"),
        },
    )
    .await;
    let api = Server::start(|_, _, _| reply(200, "", "")).await;
    let client = oauth(&api, options(&tokens));
    assert_eq!(
        (status(&client, &api).await, status(&client, &api).await),
        (200, 200)
    );
    assert_eq!(tokens.requests().len(), 3, "it is remembered");
}

#[tokio::test]
async fn a_token_that_is_not_given_is_told_without_the_secret() {
    let refusing = Server::start(|request, _, _| {
        let error = format!("{{\"error\": \"bad {}\"}}", request.contains("client+secret"));
        let error = error
            .replace("true", "client secret")
            .replace("false", "client secret");
        reply(400, "", error)
    })
    .await;
    let api = Server::start(|_, _, _| reply(200, "", "")).await;
    let client = oauth(&api, options(&refusing));
    let Err((_, Some(Violation::Credential(why)))) = get(&client, &api.origin).await else {
        panic!("it went on");
    };
    assert!(
        why.contains(&format!(
            "is refused by {}/token: 400 bad ***; check",
            refusing.origin
        )),
        "{why}"
    );

    let busy = Server::start(|_, _, _| reply(503, "", "")).await;
    let client = oauth(&api, options(&busy));
    let (error, violation) = get(&client, &api.origin).await.unwrap_err();
    assert!(
        error.contains("can't be had from") && error.contains("503"),
        "{error}"
    );
    assert_eq!(violation, None, "the component says that it may work later");
    assert!(api.requests().is_empty());
}

#[test]
fn a_secret_is_not_sent_over_plain_http() {
    for (url, fine) in [
        ("https://auth.example/token", true),
        ("http://127.0.0.1:8080/token", true),
        ("http://[::1]/token", true),
        ("http://localhost/token", true),
        ("http://auth.example/token", false),
        ("http://10.0.0.1/token", false),
        ("ftp://auth.example", false),
        ("https://me:secret@auth.example", false),
        ("nonsense", false),
    ] {
        let options = OAuth2Options::new(url, "me", "s");
        assert_eq!(
            Credential::oauth2("https://a.example", options).is_ok(),
            fine,
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_component_can_set_no_header_of_a_credential_in_whatever_spelling() {
    let origin = "https://a.example";
    let credential = Credential::header(origin, "X_Api-Key", "hush-hush").unwrap();
    let client = client(&[origin], vec![credential], &Limits::default());
    let filter = Instance::of(&client).session.forbidden_headers();
    for name in [
        "x_api-key",
        "x-api-key",
        "x_api_key",
        "authorization",
        "content_length",
        "x-original-url",
    ] {
        assert!(filter(&name.parse().unwrap()), "{name}");
    }
    assert!(!filter(&"accept".parse().unwrap()));
}

#[tokio::test]
async fn two_processes_that_fetch_at_once_use_each_refresh_token_once() {
    let folder = tempfile::tempdir().unwrap();
    // As an endpoint that rotates: an old token is worth nothing, and its use is the end of the whole family.
    let newest = Arc::new(Mutex::new(0));
    let tokens = Server::start({
        let newest = newest.clone();
        move |request, _, _| {
            let used = request.rsplit_once("&refresh_token=refresh-").unwrap().1.parse::<u32>();
            let mut newest = newest.lock().unwrap();
            if used != Ok(*newest) {
                return reply(400, "", "{\"error\": \"invalid_grant\"}");
            }
            *newest += 1;
            let number = *newest;
            let body = format!(
                "{{\"access_token\": \"access-token-{number}\", \"expires_in\": 0, \"refresh_token\": \"refresh-{number}\"}}"
            );
            reply(200, "", body)
        }
    })
    .await;
    let api = Server::start(|_, _, _| reply(200, "", "rows")).await;
    // Each client is a process of its own as far as the store can tell.
    let processes: Vec<_> = (0..4)
        .map(|_| {
            let options = options(&tokens)
                .with_refresh_token("refresh-0")
                .with_store(folder.path().join("secrets"));
            let (client, url) = (oauth(&api, options), api.origin.clone());
            tokio::spawn(async move {
                for _ in 0..5 {
                    text(get(&client, &url).await);
                }
            })
        })
        .collect();
    for process in processes {
        process.await.unwrap();
    }
    assert_eq!(*newest.lock().unwrap(), 20);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn where_no_refresh_token_can_be_kept_it_is_used_from_memory() {
    let Guarded { api, tokens, .. } =
        guarded(|n| format!(", \"expires_in\": 0, \"refresh_token\": \"refresh-{n}\"")).await;
    let unwritable = "/proc/none/secrets";
    let client = oauth(
        &api,
        options(&tokens)
            .with_refresh_token("refresh-0")
            .with_store(unwritable),
    );
    assert_eq!(
        (status(&client, &api).await, status(&client, &api).await),
        (200, 200)
    );
    assert!(tokens.requests()[1].ends_with("&refresh_token=refresh-1"));
}
