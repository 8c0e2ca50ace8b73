//! Requests through a proxy, and what stays as it is then: grants, addresses, certificates, secrets.
//!
//! The API is said to be at a public address, which the proxy knows to be on loopback: nothing leaves this machine.

use std::process::Command;

use sandbar_harness::{Authority, Certificate, Fault, Proxy, ProxyRules, ScriptedApi};

use crate::support::{Ended, Running, Settings, Workspace};

/// Nobody is asked there.
const PUBLIC: &str = "93.184.216.34";
const SECRET: &str = "n33dle-in-no-other-place";
const ACCESS: &str = "n33dle-of-access";
const PASSWORD: &str = "n33dle@of-the-proxy";
/// `me:` and the password.
const ENCODED: &str = "bWU6bjMzZGxlQG9mLXRoZS1wcm94eQ==";

fn rules(servers: &[(&str, &ScriptedApi)]) -> ProxyRules {
    let servers = servers
        .iter()
        .map(|(name, api)| ((*name).to_owned(), api.address()));
    ProxyRules {
        servers: servers.collect(),
        authorization: Some(format!("Basic {ENCODED}")),
    }
}

fn named(proxy: &Proxy) -> String {
    format!("http://me:n33dle%40of-the-proxy@{}", proxy.address())
}

/// Runs with a variable that names the proxy and all that the libraries below have to say, and looks for secrets in it.
fn run(work: &Workspace, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command: Command = work.command(arguments);
    command.env("API_TOKEN", SECRET).env("RUST_LOG", "trace");
    command.envs(variables.iter().copied());
    let ended = Running::start(command).end();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for secret in [SECRET, ACCESS, PASSWORD, "n33dle%40of-the-proxy", ENCODED] {
        assert!(!said.contains(secret), "{secret} is shown:\n{said}");
    }
    ended
}

const RUN: [&str; 3] = ["run", "comments.toml", "--available-now"];

#[test]
fn plain_requests_are_handed_to_the_proxy_with_its_password_alone() {
    let api = ScriptedApi::start(25);
    let proxy = Proxy::start(rules(&[("93.184.216.34:80", &api)]));
    let origin = format!("http://{PUBLIC}");
    let credential = format!("[[source.credentials]]\norigin = '{origin}'\nbearer = '${{env:API_TOKEN}}'");
    let work = Workspace::with(&Settings::at(&origin).and(&credential));
    let name = named(&proxy);
    let ended = run(&work, &RUN, &[("http_proxy", &name)]).ok();
    work.table().assert_once(1..=25);
    let told = ended.stderr.matches("requests go through a proxy").count();
    assert_eq!(told, 1, "{}", ended.stderr);
    let asked = proxy.requests();
    assert!(!asked.is_empty() && asked.len() == api.requests().len());
    for (line, request) in asked {
        assert!(
            line.starts_with(&format!("GET http://{PUBLIC}/comments?_start=")),
            "{line}"
        );
        assert_eq!(
            request.header("proxy-authorization"),
            Some(format!("Basic {ENCODED}").as_str())
        );
    }
    let wanted = format!("Bearer {SECRET}");
    assert!(
        api.requests()
            .iter()
            .all(|request| request.header("authorization") == Some(&wanted))
    );

    let checked = run(&work, &["check", "comments.toml"], &[("ALL_PROXY", &name)]).ok();
    let line = format!("through the proxy http://{} (ALL_PROXY)", proxy.address());
    assert!(checked.stdout.contains(&line), "{}", checked.stdout);
}

#[test]
fn requests_over_tls_and_for_tokens_go_through_tunnels() {
    let authority = Authority::new("tests");
    let tls = authority.vouch(Certificate {
        names: &[PUBLIC],
        ..Certificate::default()
    });
    let (api, tokens) = (ScriptedApi::start_tls(25, &tls), ScriptedApi::start_tls(0, &tls));
    let given = Fault::Status {
        code: 200,
        headers: vec![],
        body: format!("{{\"access_token\": \"{ACCESS}\", \"expires_in\": 3600}}"),
    };
    tokens.fault_when(|_| true, given, usize::MAX);
    let proxy = Proxy::start(rules(&[
        ("93.184.216.34:443", &api),
        ("93.184.216.34:8443", &tokens),
    ]));
    let origin = format!("https://{PUBLIC}");
    let credential = format!(
        "[[source.credentials]]\norigin = '{origin}'\noauth2 = {{ token_url = '{origin}:8443/token', client_id = 'me', client_secret = '${{env:API_TOKEN}}' }}"
    );
    let settings = Settings::at(&origin).set("source.tls.ca_file", "'authority.pem'");
    let work = Workspace::with(&settings.and(&credential));
    work.write("authority.pem", &authority.pem());
    run(&work, &RUN, &[("HTTPS_PROXY", &named(&proxy))]).ok();
    work.table().assert_once(1..=25);
    let asked: Vec<_> = proxy.requests().into_iter().map(|(line, _)| line).collect();
    for target in ["CONNECT 93.184.216.34:443", "CONNECT 93.184.216.34:8443"] {
        assert!(asked.iter().any(|line| line == target), "{asked:?}");
    }
    assert!(asked.iter().all(|line| line.starts_with("CONNECT ")), "{asked:?}");
    let wanted = format!("Bearer {ACCESS}");
    for request in api.requests() {
        assert_eq!(request.version, "HTTP/2.0");
        assert_eq!(request.header("authorization"), Some(wanted.as_str()));
        assert_eq!(request.header("proxy-authorization"), None);
    }

    // The certificate is looked at behind the tunnel as in front of it.
    let stranger = Authority::new("somebody else");
    work.write("authority.pem", &stranger.pem());
    let before = api.requests().len();
    let ended = run(&work, &RUN, &[("https_proxy", &named(&proxy))]).with_code(1);
    ended.saying(&["UnknownIssuer"]);
    assert_eq!(api.requests().len(), before);
}

#[test]
fn private_addresses_and_exceptions_are_not_asked_of_a_proxy() {
    let api = ScriptedApi::start(25);
    let proxy = Proxy::start(ProxyRules::default());
    let work = Workspace::with(&Settings::of(&api));
    let name = named(&proxy);
    run(&work, &RUN, &[("http_proxy", &name), ("all_proxy", &name)]).ok();
    work.table().assert_once(1..=25);
    assert!(proxy.requests().is_empty());
}

#[test]
fn grants_hold_in_front_of_a_proxy() {
    let api = ScriptedApi::start(25);
    let proxy = Proxy::start(rules(&[
        ("93.184.216.34:80", &api),
        ("169.254.169.254:80", &api),
        ("93.184.216.35:80", &api),
    ]));
    let name = named(&proxy);
    for (target, why) in [
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("http://93.184.216.35/comments", "http://93.184.216.35"),
    ] {
        api.fault_next(Fault::Redirect(target.into()));
        let work = Workspace::with(&Settings::at(&format!("http://{PUBLIC}")));
        let ended = run(&work, &RUN, &[("http_proxy", &name)]).with_code(1);
        ended.saying(&["was refused", why]);
        let asked = proxy.requests();
        assert!(asked.iter().all(|(line, _)| line.contains(PUBLIC)), "{asked:?}");
    }
    // Private, granted by name of the address, and so reached without the proxy: nobody is there, and nobody is asked.
    let asked = proxy.requests().len();
    let settings = Settings::at("http://127.0.0.1:9").set("retry.attempts", "1");
    run(&Workspace::with(&settings), &RUN, &[("http_proxy", &name)]).with_code(1);
    assert_eq!(proxy.requests().len(), asked);
}

#[test]
fn a_proxy_that_refuses_is_asked_once_and_named_without_its_password() {
    let authority = Authority::new("tests");
    let proxy = Proxy::start(rules(&[]));
    let address = proxy.address();
    let (right, wrong) = (named(&proxy), format!("http://me:n33dle-wrong@{address}"));
    for (scheme, variable, name, why) in [
        (
            "http",
            "http_proxy",
            &wrong,
            "wants another user name and password (407)",
        ),
        (
            "https",
            "https_proxy",
            &wrong,
            "wants another user name and password (407)",
        ),
        (
            "https",
            "https_proxy",
            &right,
            "refuses the way there (403 Forbidden)",
        ),
    ] {
        let before = proxy.requests().len();
        let settings =
            Settings::at(&format!("{scheme}://{PUBLIC}")).set("source.tls.ca_file", "'authority.pem'");
        let work = Workspace::with(&settings);
        work.write("authority.pem", &authority.pem());
        let ended = run(&work, &RUN, &[(variable, name)]).with_code(1);
        let ended = ended.saying(&[why, &format!("the proxy http://{address}")]);
        assert!(!ended.stderr.contains("n33dle"), "{}", ended.stderr);
        assert_eq!(
            proxy.requests().len(),
            before + 1,
            "{scheme}: it is not tried again"
        );
    }
    drop(proxy);
    let work = Workspace::with(&Settings::at(&format!("http://{PUBLIC}")));
    let gone = run(&work, &RUN, &[("http_proxy", &right)]).with_code(1);
    gone.saying(&[&format!("the proxy http://{address}/ can't be reached")]);
}

#[test]
fn a_variable_that_names_no_proxy_is_named_without_its_value() {
    let work = Workspace::with(&Settings::at(&format!("http://{PUBLIC}")).set("retry.attempts", "1"));
    let bad = format!("socks5://me:{PASSWORD}@127.0.0.1:1");
    let ended = run(&work, &RUN, &[("ALL_PROXY", &bad)]);
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    ended.saying(&["the environment variable ALL_PROXY names a proxy that is spoken to by socks5"]);
}
