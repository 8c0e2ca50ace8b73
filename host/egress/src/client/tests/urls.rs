//! Every spelling that may lead elsewhere than it says, and what becomes of it.

use http::{Method, Uri};

use super::*;
use crate::session::admit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is sent to a public address, or to one that is written out in a grant.
    Sent,
    /// No grant covers it.
    Refused,
    /// Its name leads to an address that is not public.
    Private,
    /// It has a user.
    Forbidden,
    /// It is no URL.
    Invalid,
}
use Verdict::{Forbidden, Invalid, Private, Refused, Sent};

const GRANTS: [&str; 6] = [
    "https://api.example.com/v1",
    "https://*.wild.example",
    "http://127.0.0.1:8080",
    "http://[::1]:8080",
    "https://plain.example:8443",
    "https://bücher.example",
];

const URLS: &[(&str, Verdict)] = &[
    // What is granted, in the spellings that are the same.
    ("https://api.example.com/v1", Sent),
    ("https://api.example.com/v1/", Sent),
    ("https://api.example.com/v1?x=1#top", Sent),
    ("HTTPS://API.EXAMPLE.COM/v1", Sent),
    ("https://api.example.com:443/v1/x", Sent),
    ("https://api.example.com:0443/v1/x", Sent),
    ("https://api.example.com:/v1", Sent),
    ("https://api%2eexample.com/v1", Sent),
    ("https://ａｐｉ.example.com/v1", Sent),
    ("https://api。example。com/v1", Sent),
    ("https://api.exam\tple.com/v1", Sent),
    ("https://api.example.com\n/v1", Sent),
    (" https://api.example.com/v1 ", Sent),
    ("https:\\\\api.example.com\\v1", Sent),
    ("https:api.example.com/v1", Sent),
    ("https:////api.example.com/v1", Sent),
    ("https://api.example.com/v1/./x/../y", Sent),
    ("https://api.example.com/v0/../v1/x", Sent),
    ("https://api.example.com/v1/a%2Fb", Sent),
    ("https://api.example.com/v1/http://evil.net/", Sent),
    ("https://@api.example.com/v1", Sent),
    // Another path.
    ("https://api.example.com", Refused),
    ("https://api.example.com/v10", Refused),
    ("https://api.example.com/V1", Refused),
    ("https://api.example.com//v1", Refused),
    ("https://api.example.com/%76%31/x", Refused),
    ("https://api.example.com/v1/../admin", Refused),
    ("https://api.example.com/v1/%2e%2e/admin", Refused),
    ("https://api.example.com/v1/.%2E/admin", Refused),
    ("https://api.example.com/v1/..%2fadmin", Refused),
    ("https://api.example.com/v1/..%5cadmin", Refused),
    ("https://api.example.com/v1/..%252fadmin", Refused),
    ("https://api.example.com/v1/%252e%252e%252fadmin", Refused),
    ("https://api.example.com/v1/..;/admin", Refused),
    ("https://api.example.com/v1\\..\\admin", Refused),
    ("https://api.example.com/v1;/x", Refused),
    ("https://api.example.com/?/v1", Refused),
    ("https://api.example.com/#/v1", Refused),
    // Another scheme or port.
    ("http://api.example.com/v1", Refused),
    ("https://api.example.com:80/v1", Refused),
    ("https://api.example.com:8443/v1", Refused),
    ("https://api.example.com:0/v1", Refused),
    ("https://api.example.com:65535/v1", Refused),
    ("https://api.example.com:65536/v1", Invalid),
    ("https://api.example.com:-443/v1", Invalid),
    ("https://api.example.com:+443/v1", Invalid),
    ("https://api.example.com:4 43/v1", Invalid),
    ("https://plain.example/", Refused),
    ("https://plain.example:8443/anything", Sent),
    ("ftp://api.example.com/v1", Refused),
    ("file:///etc/passwd", Refused),
    ("wss://api.example.com/v1", Refused),
    ("javascript:alert(1)", Refused),
    ("//api.example.com/v1", Invalid),
    ("/v1", Invalid),
    ("", Invalid),
    ("https://", Invalid),
    ("https:///", Invalid),
    // Another host that looks like it.
    ("https://api.example.com.evil.net/v1", Refused),
    ("https://evil.net/api.example.com/v1", Refused),
    ("https://evil.net?https://api.example.com/v1", Refused),
    ("https://evil.net#https://api.example.com/v1", Refused),
    ("https://evil.net\\@api.example.com/v1", Refused),
    ("https://api.example.com\\@evil.net/v1", Refused),
    ("https://api.example.com\\.evil.net/v1", Refused),
    ("https://evil.net\t.api.example.com/v1", Refused),
    ("https://api.example.com./v1", Refused),
    ("https://api.example.com../v1", Refused),
    ("https://api-example.com/v1", Refused),
    ("https://xapi.example.com/v1", Refused),
    ("https://аpi.example.com/v1", Refused),
    ("https://xn--pi-7kc.example.com/v1", Refused),
    ("https://api.example.com\u{200b}.evil.net/v1", Refused),
    ("https://api.exampIe.com/v1", Refused),
    ("https://xn--bcher-kva.example/", Sent),
    ("https://BÜCHER.example/", Sent),
    ("https://bu\u{308}cher.example/", Sent),
    ("https://bucher.example/", Refused),
    ("https://evil.net%2f.wild.example/", Invalid),
    ("https://evil.net%00.wild.example/", Invalid),
    ("https://evil.net%23.wild.example/", Invalid),
    ("https://evil.net%40a.wild.example/", Invalid),
    ("https://api.example.com%0d%0ahost:evil.net/v1", Invalid),
    ("https://a b.wild.example/", Invalid),
    ("https://api.example.com<evil.net/v1", Invalid),
    // A user.
    ("https://user@api.example.com/v1", Forbidden),
    ("https://user:pw@api.example.com/v1", Forbidden),
    ("https://:pw@api.example.com/v1", Forbidden),
    ("https://api.example.com@evil.net/v1", Forbidden),
    ("https://api.example.com%40evil.net/v1", Invalid),
    ("https://api.example.com:443@evil.net/v1", Forbidden),
    ("https://evil.net:443#@api.example.com/v1", Refused),
    ("https://a@b@api.example.com/v1", Forbidden),
    // Names below a wildcard.
    ("https://a.wild.example/", Sent),
    ("https://a.b.wild.example/", Sent),
    ("https://wild.example/", Refused),
    ("https://.wild.example/", Refused),
    ("https://xwild.example/", Refused),
    ("https://a.wild.example.evil.net/", Refused),
    ("https://*.wild.example/", Forbidden),
    ("http://a.wild.example/", Refused),
    // Addresses that are written out, in every spelling that is the same.
    ("http://127.0.0.1:8080/", Sent),
    ("http://2130706433:8080/", Sent),
    ("http://0x7f000001:8080/", Sent),
    ("http://0177.0.0.1:8080/", Sent),
    ("http://0x7f.1:8080/", Sent),
    ("http://127.1:8080/", Sent),
    ("http://127.0.0.1.:8080/", Sent),
    ("http://[0:0:0:0:0:0:0:1]:8080/", Sent),
    ("http://127.0.0.2:8080/", Refused),
    ("http://127.0.0.1/", Refused),
    ("http://0:8080/", Refused),
    ("http://[::]:8080/", Refused),
    ("http://[::ffff:127.0.0.1]:8080/", Refused),
    ("http://[::ffff:7f00:1]:8080/", Refused),
    ("http://[::127.0.0.1]:8080/", Refused),
    ("http://[::1%25eth0]:8080/", Invalid),
    ("http://[fe80::1%25lo]:8080/", Invalid),
    ("http://[::1]evil.net:8080/", Invalid),
    ("http://[127.0.0.1]:8080/", Invalid),
    ("http://256.0.0.1:8080/", Invalid),
    ("http://4294967296:8080/", Invalid),
    ("http://127.0.0.1.1:8080/", Invalid),
    ("http://0x7f.0.0.g:8080/", Refused),
    ("http://169.254.169.254/latest/meta-data/", Refused),
    ("http://2852039166/latest/meta-data/", Refused),
    ("http://localhost:8080/", Refused),
    // Granted names that lead to special addresses: `v4-` and `v6-` name what they resolve to.
    ("https://v4-93-184-216-34.wild.example/", Sent),
    ("https://v4-127-0-0-1.wild.example/", Private),
    ("https://v4-0-0-0-0.wild.example/", Private),
    ("https://v4-10-0-0-1.wild.example/", Private),
    ("https://v4-100-64-0-1.wild.example/", Private),
    ("https://v4-169-254-169-254.wild.example/", Private),
    ("https://v4-172-31-255-255.wild.example/", Private),
    ("https://v4-192-168-0-1.wild.example/", Private),
    ("https://v4-224-0-0-1.wild.example/", Private),
    ("https://v4-255-255-255-255.wild.example/", Private),
    ("https://v6-2606-4700--1111.wild.example/", Sent),
    ("https://v6---1.wild.example/", Private),
    ("https://v6---ffff-127.0.0.1.wild.example/", Private),
    ("https://v6---ffff-0-127.0.0.1.wild.example/", Private),
    ("https://v6---127.0.0.1.wild.example/", Private),
    ("https://v6-64-ff9b--10.0.0.1.wild.example/", Private),
    ("https://v6-64-ff9b--8.8.8.8.wild.example/", Sent),
    ("https://v6-64-ff9b-1--1.wild.example/", Private),
    ("https://v6-2002-7f00-1--.wild.example/", Private),
    ("https://v6-2001--1.wild.example/", Private),
    ("https://v6-2606-4700--5efe-10.0.0.1.wild.example/", Private),
    ("https://v6-fe80--1.wild.example/", Private),
    ("https://v6-fd00-ec2--254.wild.example/", Private),
    ("https://v6-ff02--1.wild.example/", Private),
];

/// Names of the form `v4-1-2-3-4` and `v6-a-b--c` lead to what they say, all others to a public address.
struct Telling;

impl Resolve for Telling {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let name = host.strip_suffix(".wild.example").unwrap_or(host);
        let address = match (name.strip_prefix("v4-"), name.strip_prefix("v6-")) {
            (Some(v4), _) => v4.replace('-', "."),
            (_, Some(v6)) => v6.replace('-', ":"),
            _ => "93.184.216.34".to_owned(),
        };
        Box::pin(ready(Ok(vec![super::address(&address)])))
    }
}

/// Both checks, as they are made before and while a connection is opened.
async fn verdict(client: &HttpClient, admitted: Result<Url, SendError>) -> Verdict {
    let url = match admitted {
        Ok(url) => url,
        Err(SendError::Stopped(Violation::NotGranted { .. })) => return Refused,
        Err(SendError::Stopped(Violation::Forbidden { .. })) => return Forbidden,
        Err(e) => {
            assert!(matches!(e, SendError::Failed(HttpError::InvalidUrl)), "{e:?}");
            return Invalid;
        }
    };
    if client.check_literal(&url).is_err() {
        return Private;
    }
    let Some(url::Host::Domain(name)) = url.host() else {
        return Sent;
    };
    let mut resolver = CheckedResolver {
        grants: client.grants.clone(),
        resolver: Arc::new(Telling),
    };
    match tower_service::Service::call(&mut resolver, name.parse().unwrap()).await {
        Ok(mut addresses) => {
            assert!(addresses.all(|found| !sandbar_policy::is_private(found.ip())));
            Sent
        }
        Err(e) => {
            assert!(e.to_string().contains("leads to a private address"), "{e}");
            Private
        }
    }
}

#[tokio::test]
async fn every_url_of_the_table_has_its_verdict() {
    let client = client(&GRANTS, vec![], &Limits::default());
    let (mut wrong, mut through_uri) = (vec![], 0);
    for (text, wanted) in URLS {
        // As the target of a redirect, which is any text.
        let admitted = Url::parse(text)
            .map_err(|_| SendError::from(HttpError::InvalidUrl))
            .and_then(|url| Ok(client.grants.check_request(&Method::GET, &url).map(|()| url)?));
        let found = verdict(&client, admitted).await;
        if found != *wanted {
            wrong.push(format!("{text:?} is {found:?} and should be {wanted:?}"));
        }
        // As a component gives it, which goes through a stricter type first.
        if let Ok(uri) = text.parse::<Uri>() {
            through_uri += 1;
            let found = verdict(&client, admit(&client.grants, &Method::GET, &uri)).await;
            if found == Sent && *wanted != Sent {
                wrong.push(format!("{text:?} is sent for a component"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} URLs, {through_uri} of them as a component's too", URLS.len());
    assert!(URLS.len() >= 80 && through_uri >= 80);
}

#[tokio::test]
async fn a_component_can_name_no_other_host_in_the_path() {
    let client = client(&["https://api.example.com"], vec![], &Limits::default());
    for path in [
        "http://evil.net/",
        "//evil.net/",
        "/\\evil.net",
        "@evil.net/",
        ".evil.net/",
        ":80/",
        "?@evil.net",
    ] {
        let uri = Uri::builder()
            .scheme("https")
            .authority("api.example.com")
            .path_and_query(path)
            .build();
        let Ok(uri) = uri else { continue };
        if let Ok(url) = admit(&client.grants, &Method::GET, &uri) {
            assert_eq!(url.host_str(), Some("api.example.com"), "{path}");
        }
    }
}
