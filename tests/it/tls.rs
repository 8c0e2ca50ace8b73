//! HTTPS for real: certificates that hold and that do not, HTTP/2 and HTTP/1.1, and what goes wrong below HTTP.

use std::net::TcpListener;

use sandbar_harness::{Authority, Certificate, Fault, ScriptedApi, Tls};

use crate::support::{Ended, Running, Settings, Workspace};

const SECRET: &str = "n33dle-in-no-other-place";

/// Runs `comments.toml` in a world where this authority is the only one that is trusted.
fn run(work: &Workspace, authority: &Authority) -> Ended {
    work.write("authority.pem", &authority.pem());
    let mut command = work.command(&["run", "comments.toml", "--available-now", "--progress", "json"]);
    command.env("SSL_CERT_FILE", work.path("authority.pem"));
    command.env_remove("SSL_CERT_DIR");
    command.env("API_TOKEN", SECRET);
    // What HTTP/2 and TLS say of each frame must not say it either.
    command.env("RUST_LOG", "trace");
    let ended = Running::start(command).end();
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(SECRET));
    ended
}

fn with_token(api: &ScriptedApi) -> Settings {
    let origin = api.origin();
    Settings::of(api).and(&format!(
        "[[source.credentials]]\norigin = '{origin}'\nbearer = '${{env:API_TOKEN}}'"
    ))
}

fn good(authority: &Authority) -> Tls {
    authority.vouch(Certificate::default())
}

#[test]
fn four_partitions_at_once_share_one_connection_of_http_2() {
    let authority = Authority::new("tests");
    let api = ScriptedApi::start_tls(60, &good(&authority));
    let settings = with_token(&api)
        .set("source.options.rows_per_batch", "30")
        .set("source.limits.parallelism", "4");
    let work = Workspace::with(&settings);
    run(&work, &authority).ok();
    work.table().assert_once(1..=60);
    let requests = api.requests();
    assert!(requests.len() >= 12, "{} requests", requests.len());
    for request in &requests {
        assert_eq!(request.version, "HTTP/2.0");
        assert_eq!(
            request.header("authorization"),
            Some(format!("Bearer {SECRET}").as_str())
        );
    }
    assert_eq!(api.connections(), 1);
}

#[test]
fn a_server_without_http_2_is_read_over_http_1_1() {
    let authority = Authority::new("tests");
    for protocols in [&["http/1.1"][..], &[]] {
        let tls = authority.vouch(Certificate {
            protocols,
            ..Certificate::default()
        });
        let api = ScriptedApi::start_tls(25, &tls);
        let work = Workspace::with(&Settings::of(&api).set("source.limits.parallelism", "1"));
        run(&work, &authority).ok();
        work.table().assert_once(1..=25);
        assert!(api.requests().iter().all(|request| request.version == "HTTP/1.1"));
        assert!(
            api.connections() < api.requests().len(),
            "{} connections for {} requests",
            api.connections(),
            api.requests().len()
        );
    }
}

#[test]
fn a_certificate_that_does_not_hold_is_refused_before_anything_is_sent() {
    let authority = Authority::new("tests");
    let other = Authority::new("somebody else");
    let expired = Certificate {
        expired: true,
        ..Certificate::default()
    };
    let foreign = Certificate {
        names: &["api.example.com"],
        ..Certificate::default()
    };
    let cases = [
        (
            good(&other),
            "an authority that is not trusted here (UnknownIssuer)",
        ),
        (
            authority.vouch(expired),
            "its certificate does not hold: certificate expired",
        ),
        (
            authority.vouch(foreign),
            "its certificate does not hold: certificate not valid for name",
        ),
    ];
    for (tls, why) in cases {
        let api = ScriptedApi::start_tls(25, &tls);
        let work = Workspace::with(&with_token(&api));
        run(&work, &authority).with_code(1).saying(&[&api.url(), why]);
        assert!(api.requests().is_empty(), "{why}");
        assert_eq!(api.connections(), 1, "{why}: it is not tried again");
        assert!(!work.path("lake/comments").exists(), "{why}");
    }
}

#[test]
fn plain_http_at_a_port_of_https_and_the_other_way_round_are_errors() {
    let authority = Authority::new("tests");
    let (plain, secure) = (
        ScriptedApi::start(25),
        ScriptedApi::start_tls(25, &good(&authority)),
    );
    for origin in [
        plain.origin().replace("http://", "https://"),
        secure.origin().replace("https://", "http://"),
    ] {
        let work = Workspace::with(&Settings::at(&origin));
        run(&work, &authority).with_code(1).saying(&[&origin]);
    }
    assert!(plain.requests().is_empty() && secure.requests().is_empty());
}

#[test]
fn a_handshake_that_never_ends_comes_to_the_end_of_the_request() {
    let authority = Authority::new("tests");
    // The system takes the connection, and nobody ever says a word on it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("https://{}", silent.local_addr().unwrap());
    let settings = Settings::at(&origin)
        .set("source.limits.request_timeout", "'200ms'")
        .set("retry.attempts", "2");
    let work = Workspace::with(&settings);
    run(&work, &authority)
        .with_code(1)
        .saying(&[&origin, "http response timeout"]);
}

#[test]
fn streams_of_http_2_that_break_off_are_tried_again() {
    let authority = Authority::new("tests");
    for (fault, tries) in [
        (Fault::DropConnection, 2),
        (Fault::CutBody, 1),
        (Fault::status(503), 1),
    ] {
        let api = ScriptedApi::start_tls(25, &good(&authority));
        for number in 4..4 + tries {
            api.fault_at(number, fault.clone());
        }
        let work = Workspace::with(&Settings::of(&api));
        run(&work, &authority).ok();
        work.table().assert_once(1..=25);
        assert!(api.requests().iter().all(|request| request.version == "HTTP/2.0"));
    }
}

#[test]
fn headers_of_http_2_without_end_meet_their_limit() {
    let authority = Authority::new("tests");
    let api = ScriptedApi::start_tls(25, &good(&authority));
    let long = vec![("x-more".to_owned(), "x".repeat(8 << 10))];
    let many = (0..200).map(|number| (format!("x-{number}"), String::new()));
    let cases = [
        (long, "response_headers", "'4KiB'", "'16KiB'"),
        (many.collect(), "response_header_count", "150", "250"),
    ];
    for (headers, key, little, enough) in cases {
        let work = |value: &str| {
            api.fault_next(Fault::Status {
                code: 200,
                headers: headers.clone(),
                body: "[]".into(),
            });
            let settings = Settings::of(&api).set("source.options.page_size", "25");
            Workspace::with(&settings.set(&format!("source.limits.{key}"), value))
        };
        let raise = format!("raise `{key}` under [source.limits]");
        run(&work(little), &authority).with_code(1).saying(&[&raise]);
        run(&work(enough), &authority).ok();
    }
}

#[test]
fn no_kind_of_credential_shows_in_what_the_libraries_below_say() {
    const ACCESS: &str = "n33dle-of-access";
    let authority = Authority::new("tests");
    let (api, tokens) = (
        ScriptedApi::start_tls(25, &good(&authority)),
        ScriptedApi::start_tls(0, &good(&authority)),
    );
    let given = Fault::Status {
        code: 200,
        headers: vec![],
        body: format!("{{\"access_token\": \"{ACCESS}\", \"expires_in\": 3600}}"),
    };
    tokens.fault_when(|_| true, given, usize::MAX);
    let oauth2 = format!(
        "oauth2 = {{ token_url = '{}/token', client_id = 'me', client_secret = '${{env:API_TOKEN}}' }}",
        tokens.origin()
    );
    let others = [
        "query = 'key'\nvalue = '${env:API_TOKEN}'",
        "header = 'x-key'\nvalue = 'key=${env:API_TOKEN}'",
        "basic = { username = 'me', password = '${env:API_TOKEN}' }",
        &oauth2,
    ];
    for kind in others {
        let credential = format!("[[source.credentials]]\norigin = '{}'\n{kind}", api.origin());
        // The trace is of an API that leads elsewhere, too.
        api.fault_next(Fault::Redirect(format!("{}?_start=0&_limit=1&again", api.url())));
        let work = Workspace::with(&Settings::of(&api).and(&credential));
        let ended = run(&work, &authority).ok();
        assert!(ended.stderr.contains("TRACE"), "{}", ended.stderr);
        // `me:` and the secret, as Basic has them.
        for secret in [ACCESS, "bjMzZGxlLWluLW5vLW90aGVyLXBsYWNl"] {
            assert!(!ended.stderr.contains(secret), "{kind}: {}", ended.stderr);
        }
        work.table().assert_once(1..=25);
    }
}

#[test]
fn a_file_of_authorities_is_trusted_beside_what_is_trusted_anyway() {
    let (own, usual) = (Authority::new("tests"), Authority::new("usual"));
    let api = ScriptedApi::start_tls(25, &good(&own));
    let settings = with_token(&api).set("source.tls.ca_file", "'own/ca.pem'");
    let work = Workspace::with(&settings);
    work.write(
        "own/ca.pem",
        &format!("a line before\n{}{}", usual.pem(), own.pem()),
    );
    run(&work, &usual).ok();
    work.table().assert_once(1..=25);
    let with_usual = ScriptedApi::start_tls(25, &good(&usual));
    let work = Workspace::with(&with_token(&with_usual).set("source.tls.ca_file", "'own.pem'"));
    work.write("own.pem", &own.pem());
    run(&work, &usual).ok();
}

#[test]
fn a_file_that_holds_no_certificate_is_named() {
    let authority = Authority::new("tests");
    let api = ScriptedApi::start_tls(25, &good(&authority));
    let work = Workspace::with(&with_token(&api).set("source.tls.ca_file", "'own.pem'"));
    for (content, why) in [
        ("", "holds no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "number 1, that is none",
        ),
    ] {
        work.write("own.pem", content);
        let ended = run(&work, &authority).with_code(2);
        ended.saying(&["own.pem", why, "ca_file"]);
    }
    // The other place where authorities come from.
    let work = Workspace::with(&with_token(&api));
    work.write("empty.pem", "");
    let mut command = work.command(&["run", "comments.toml", "--available-now"]);
    command
        .env("SSL_CERT_FILE", work.path("empty.pem"))
        .env_remove("SSL_CERT_DIR");
    command.env("API_TOKEN", SECRET);
    let ended = Running::start(command).end().with_code(1);
    ended.saying(&["SSL_CERT_FILE names ", "empty.pem, which holds no certificate"]);
    assert_eq!(api.connections(), 0);
}
