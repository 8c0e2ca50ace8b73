use super::*;

fn forbidden(outcome: Result<Got, Failure>) -> (String, String) {
    match outcome {
        Err((_, Some(Violation::Forbidden { what, why }))) => (what, why),
        other => panic!("{other:?}"),
    }
}

/// `/1` leads to `/2` and so on, until `/last`.
async fn chain(last: usize) -> Server {
    Server::start(move |request, _, _| {
        let path = request.split(' ').nth(1).unwrap().trim_start_matches('/');
        match path.parse::<usize>() {
            Ok(n) if n < last => redirect(&format!("/{}", n + 1)),
            _ => reply(200, "", path),
        }
    })
    .await
}

#[tokio::test]
async fn five_redirects_are_followed_and_six_are_not() {
    let server = chain(6).await;
    let client = client(&[&server.origin], vec![], &Limits::default());
    assert_eq!(text(get(&client, &format!("{}/1", server.origin)).await), "6");
    assert_eq!(server.requests().len(), 6);
    let server = chain(7).await;
    let client = self::client(&[&server.origin], vec![], &Limits::default());
    let (what, why) = forbidden(get(&client, &format!("{}/1", server.origin)).await);
    assert_eq!(why, "more than 5 redirects in a row");
    assert!(what.contains(&format!("{}/7, where", server.origin)), "{what}");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_circle_ends_at_once() {
    let server = Server::start(|request, _, _| {
        let there = request.starts_with("GET /a ");
        redirect(if there { "/b?x=1" } else { "/a" })
    })
    .await;
    let client = client(&[&server.origin], vec![], &Limits::default());
    let (_, why) = forbidden(get(&client, &format!("{}/a", server.origin)).await);
    assert_eq!(why, "these redirects go in a circle");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn each_station_is_checked_like_a_first_request() {
    let other = Server::start(|_, _, _| reply(200, "", "reached")).await;
    let target = format!("{}/in/x?token=hush", other.origin);
    let server = Server::start(move |_, _, _| redirect(&target)).await;
    let url = format!("{}/start", server.origin);
    let grants = [server.origin.clone(), format!("{}/out", other.origin)];
    let client = client(&[&grants[0], &grants[1]], vec![], &Limits::default());
    let Err((_, Some(Violation::NotGranted { what, remedy }))) = get(&client, &url).await else {
        panic!("followed");
    };
    assert_eq!(what, format!("GET {}/in/x, where {url} leads to", other.origin));
    assert_eq!(
        remedy.to_toml(),
        format!(
            "http = [\"{}\", \"{}\", \"{}\"]",
            grants[0], grants[1], other.origin
        )
    );
    assert!(other.requests().is_empty());

    let client = self::client(&[&grants[0], &other.origin], vec![], &Limits::default());
    assert_eq!(text(get(&client, &url).await), "reached");
}

#[tokio::test]
async fn a_redirect_to_a_name_of_this_machine_gets_nowhere() {
    let inner = Server::start(|_, _, _| reply(200, "", "metadata")).await;
    let target = inner.origin.replace("127.0.0.1", "inner.example");
    let granted = target.clone();
    let server = Server::start(move |_, _, _| redirect(&target)).await;
    let grants = Grants::parse(&[&server.origin, &granted], false).unwrap();
    let names = Names::of("inner.example", &[&["127.0.0.1"]]);
    let client = HttpClient::with(grants, vec![], &Limits::default(), names, quick());
    let Err((_, Some(Violation::NotGranted { what, remedy }))) = get(&client, &server.origin).await else {
        panic!("followed");
    };
    assert!(
        what.contains("inner.example leads to a private address"),
        "{what}"
    );
    assert_eq!(remedy, Remedy::AllowPrivateNetwork);
    assert!(inner.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gets_nowhere() {
    let server = Server::start(|_, _, _| reply(200, "connection: close\r\n", "reached")).await;
    let url = server.origin.replace("127.0.0.1", "fickle.example");
    // What is connected to is the answer that was checked: one question for one connection.
    let names = Names::of("fickle.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    let grants = Grants::parse(&[&url], true).unwrap();
    let client = HttpClient::with(grants, vec![], &Limits::default(), names.clone(), quick());
    assert_eq!(text(get(&client, &url).await), "reached");
    assert_eq!(names.asked.load(Ordering::Relaxed), 1);

    // Without the flag: a public answer first, and this machine for the second connection.
    let names = Names::of(
        "fickle.example",
        &[&["93.184.216.34"], &["127.0.0.1"], &["10.0.0.1", "93.184.216.34"]],
    );
    let mut resolver = CheckedResolver {
        grants: Arc::new(Grants::parse(&[&url], false).unwrap()),
        resolver: names,
    };
    let mut ask = || tower_service::Service::call(&mut resolver, "fickle.example".parse().unwrap());
    let public: Vec<_> = ask().await.unwrap().map(|found| found.ip().to_string()).collect();
    assert_eq!(public, ["93.184.216.34"]);
    assert!(
        ask()
            .await
            .unwrap_err()
            .to_string()
            .contains("leads to a private address")
    );
    let public: Vec<_> = ask().await.unwrap().map(|found| found.ip().to_string()).collect();
    assert_eq!(public, ["93.184.216.34"], "of both kinds, the public one is left");
}

#[tokio::test]
async fn credentials_and_headers_stay_at_home_and_do_not_come_back() {
    let (home, other) = (
        Arc::new(Mutex::new(String::new())),
        Arc::new(Mutex::new(String::new())),
    );
    let there = other.clone();
    let first = Server::start(move |request, _, _| match request.starts_with("GET /start") {
        true => redirect(&there.lock().unwrap()),
        false => reply(200, "", "home again"),
    })
    .await;
    let back = home.clone();
    let second = Server::start(move |_, _, _| redirect(&format!("{}/back", back.lock().unwrap()))).await;
    *home.lock().unwrap() = first.origin.clone();
    *other.lock().unwrap() = format!("{}/away", second.origin);
    let credentials = vec![
        Credential::bearer(&first.origin, "first-secret").unwrap(),
        Credential::query(&first.origin, "key", "query-secret").unwrap(),
        Credential::bearer(&second.origin, "second-secret").unwrap(),
    ];
    let client = client(&[&first.origin, &second.origin], credentials, &Limits::default());
    let headers = [("x-api-version", "7"), ("accept", "application/json")];
    let request = to("GET", &format!("{}/start", first.origin), &headers, "");
    assert_eq!(text(Instance::of(&client).fetch(request).await), "home again");

    let [start, back] = first.requests().try_into().unwrap();
    let [away] = second.requests().try_into().unwrap();
    assert!(start.contains("Bearer first-secret") && start.contains("key=query-secret"));
    assert!(start.contains("x-api-version: 7"));
    for request in [away, back] {
        assert!(
            !request.contains("secret") && !request.contains("x-api-version"),
            "{request}"
        );
        assert!(request.contains("accept: application/json"), "{request}");
    }
}

#[tokio::test]
async fn a_redirect_that_carries_a_credential_away_is_not_followed() {
    let other = Server::start(|_, _, _| reply(200, "", "caught")).await;
    let target = other.origin.clone();
    let server = Server::start(move |request, _, _| {
        let query = request.split(' ').nth(1).unwrap().split_once('?').unwrap().1;
        redirect(&format!("{target}/?{query}"))
    })
    .await;
    let key = Credential::query(&server.origin, "key", "query secret/1").unwrap();
    let client = client(&[&server.origin, &other.origin], vec![key], &Limits::default());
    let (what, why) = forbidden(get(&client, &server.origin).await);
    assert_eq!(why, "it would carry a credential to another origin");
    assert!(!what.contains("secret"), "{what}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn no_spelling_of_a_credential_is_carried_away() {
    for target in [
        "http://Query-SECRET-1.other.example/",
        "http://x.other.example/Query%2DSECRET%2D1",
        "http://x.other.example/?next=http%3A%2F%2Fy%2F%3Fkey%3DQuery%252DSECRET%252D1",
        "http://x.other.example/?Query\\u002dSECRET\\u002d1",
        "http://x.other.example/?Query&#45;SECRET&#x2d;1",
        "http://x.other.example/?part-of-a-cookie",
    ] {
        let server = Server::start(move |_, _, _| redirect(target)).await;
        let key = Credential::query(&server.origin, "key", "Query-SECRET-1").unwrap();
        let cookie = Credential::header(&server.origin, "cookie", "a=part-of-a-cookie; b=c").unwrap();
        let grants = [server.origin.as_str(), "http://*.other.example"];
        let client = client(&grants, vec![key, cookie], &Limits::default());
        let (_, why) = forbidden(get(&client, &server.origin).await);
        assert_eq!(why, "it would carry a credential to another origin", "{target}");
    }
}

#[tokio::test]
async fn what_is_posted_is_not_led_elsewhere() {
    let server = Server::start(|_, _, _| redirect("/other")).await;
    let grant = sandbar_policy::HttpGrant::parse(&server.origin).unwrap();
    let grants = Grants::new(vec![grant.with_methods(&["POST"]).unwrap()], false);
    let client = HttpClient::new(Network::default(), grants, vec![], &Limits::default());
    let posted = Instance::of(&client)
        .fetch(to("POST", &server.origin, &[], "x"))
        .await;
    let (status, headers, _) = posted.unwrap();
    assert_eq!((status, headers["location"].as_bytes()), (302, &b"/other"[..]));
    assert_eq!(server.requests().len(), 1);
}
