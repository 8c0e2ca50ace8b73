//! Which way a request takes. The proxy answers for everybody.

use super::*;
use crate::Network;

async fn proxy() -> Server {
    Server::start(|request, _, _| {
        let line = request.lines().next().unwrap_or_default();
        reply(200, "", format!("proxied {line}"))
    })
    .await
}

fn through(proxy: &Server, grants: Grants, names: Arc<Names>) -> Arc<HttpClient> {
    let address = proxy.origin.clone();
    let network = Network::default().with_proxies(|name| (name == "all_proxy").then(|| address.clone()));
    let ways = super::super::proxy::Ways::new(network.unwrap(), names);
    HttpClient::by(ways, grants, vec![], &Limits::default(), quick())
}

#[tokio::test]
async fn a_public_name_and_one_that_nobody_knows_here_are_left_to_the_proxy() {
    let proxy = proxy().await;
    let grants = Grants::parse(&["http://public.example", "http://unknown.example"], false).unwrap();
    let names = Names::of("public.example", &[&["93.184.216.34"]]);
    let client = through(&proxy, grants, names.clone());
    for host in ["public.example", "unknown.example"] {
        let answer = text(get(&client, &format!("http://{host}/x?y=1")).await);
        assert_eq!(answer, format!("proxied GET http://{host}/x?y=1 HTTP/1.1"));
    }
    let asked = names.asked.load(Ordering::Relaxed);
    get(&client, "http://public.example/").await.unwrap();
    assert_eq!(
        names.asked.load(Ordering::Relaxed),
        asked,
        "the answer is known for a while"
    );
}

#[tokio::test]
async fn a_name_of_a_private_address_goes_straight_there_or_nowhere() {
    let proxy = proxy().await;
    let inner = Server::start(|_, _, _| reply(200, "", "inner")).await;
    let url = inner.origin.replace("127.0.0.1", "inner.example");
    let names = || Names::of("inner.example", &[&["127.0.0.1"]]);
    let client = through(&proxy, Grants::parse(&[&url], false).unwrap(), names());
    let Err((_, Some(Violation::NotGranted { remedy, .. }))) = get(&client, &url).await else {
        panic!("it was reached");
    };
    assert_eq!(remedy, Remedy::AllowPrivateNetwork);
    let client = through(&proxy, Grants::parse(&[&url], true).unwrap(), names());
    assert_eq!(text(get(&client, &url).await), "inner");
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
async fn components_have_no_say_in_it() {
    let proxy = proxy().await;
    let grants = Grants::parse(&["http://public.example"], false).unwrap();
    let client = through(&proxy, grants, Names::of("public.example", &[&["93.184.216.34"]]));
    let instance = Instance::of(&client);
    let forbidden = instance.session.forbidden_headers();
    for name in [
        "proxy-authorization",
        "proxy_authorization",
        "proxy-connection",
        "host",
    ] {
        assert!(forbidden(&name.parse().unwrap()), "{name}");
    }
    // A refusal that an API makes up is taken for the proxy's, and stops the call.
    let refusing = Server::start(|_, _, _| reply(407, "proxy-authenticate: Basic\r\n", "")).await;
    let grants = Grants::parse(&["http://public.example"], false).unwrap();
    let client = through(
        &refusing,
        grants,
        Names::of("public.example", &[&["93.184.216.34"]]),
    );
    let Err((_, Some(Violation::Unreachable { why, .. }))) = get(&client, "http://public.example/").await
    else {
        panic!("it was taken for an answer");
    };
    assert!(why.contains("(407)"), "{why}");
}
