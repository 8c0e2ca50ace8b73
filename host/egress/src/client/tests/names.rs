//! Names with several addresses, with scopes, and with more than anybody needs.

use super::*;

#[tokio::test]
async fn of_several_addresses_the_one_that_answers_is_taken() {
    let server = Server::start(|_, _, _| reply(200, "connection: close\r\n", "reached")).await;
    let url = server.origin.replace("127.0.0.1", "many.example");
    for answers in [
        // Nobody listens at the other ones.
        &["127.0.0.2", "127.0.0.1"][..],
        &["::1", "127.0.0.1"],
        &["127.0.0.1", "::1"],
        &["::1", "127.0.0.3", "127.0.0.2", "127.0.0.1"],
    ] {
        let names = Names::of("many.example", &[answers]);
        let grants = Grants::parse(&[&url], true).unwrap();
        let client = HttpClient::with(grants, vec![], &Limits::default(), names, quick());
        assert_eq!(text(get(&client, &url).await), "reached", "{answers:?}");
    }
    let none = Names::of("many.example", &[&["127.0.0.2", "127.0.0.3"]]);
    let grants = Grants::parse(&[&url], true).unwrap();
    let client = HttpClient::with(grants, vec![], &Limits::default(), none, quick());
    assert_eq!(get(&client, &url).await.unwrap_err().0, "ConnectionRefused");
}

#[tokio::test]
async fn a_scope_stays_with_its_address() {
    let url = "http://printer.example";
    let names = Names::of("printer.example", &[&["fe80::1%3", "127.0.0.1", "fe80::2"]]);
    let mut resolver = CheckedResolver {
        grants: Arc::new(Grants::parse(&[url], true).unwrap()),
        resolver: names.clone(),
    };
    let found = tower_service::Service::call(&mut resolver, "printer.example".parse().unwrap());
    let found: Vec<_> = found.await.unwrap().map(|found| found.to_string()).collect();
    assert_eq!(found, ["[fe80::1%3]:0", "127.0.0.1:0", "[fe80::2]:0"]);
    // What is local to a link is private, whatever its scope.
    resolver.grants = Arc::new(Grants::parse(&[url], false).unwrap());
    let refused = tower_service::Service::call(&mut resolver, "printer.example".parse().unwrap());
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("leads to a private address"), "{refused}");
}

#[test]
fn a_scope_has_no_place_in_urls_and_grants() {
    for spelled in [
        "http://[fe80::1%eth0]/",
        "http://[fe80::1%25eth0]:80/",
        "http://[::1%251]/",
    ] {
        assert!(Url::parse(spelled).is_err(), "{spelled}");
        assert!(
            Grants::parse(&[spelled.trim_end_matches('/')], true).is_err(),
            "{spelled}"
        );
    }
}

#[tokio::test]
async fn an_answer_of_a_thousand_addresses_takes_no_longer_than_one() {
    // Of a network that is kept for documentation: nobody answers there, or the kernel says so at once.
    let many: Vec<String> = (0..1_000).map(|n| format!("192.0.2.{}", n % 250)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let names = Names::of("many.example", &[&many]);
    let grants = Grants::parse(&["http://many.example"], true).unwrap();
    let phases = Phases {
        connected: Duration::from_millis(300),
        ..quick()
    };
    let client = HttpClient::with(grants, vec![], &Limits::default(), names, phases);
    let asked = tokio::time::timeout(Duration::from_secs(20), get(&client, "http://many.example/"));
    assert!(asked.await.expect("it ends").is_err());
}
