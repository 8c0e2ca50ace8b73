use std::net::IpAddr;

use http::Method;
use url::Url;

use crate::address::is_private;
use crate::limits::Violation;
use crate::{HttpGrant, METHODS, SandboxError};

/// What a component may reach, decided when its pipeline is configured. Nothing is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    http: Vec<HttpGrant>,
    private_network: bool,
}

impl Grants {
    /// Grants of these origins.
    pub fn new(http: Vec<HttpGrant>, private_network: bool) -> Self {
        Self {
            http,
            private_network,
        }
    }

    /// Takes origins as they stand in a pipeline file, `scheme://host[:port][/path-prefix]`, for GET and HEAD.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] naming the one that is not of this form.
    pub fn parse<S: AsRef<str>>(http: &[S], private_network: bool) -> Result<Self, SandboxError> {
        let http = http.iter().map(|origin| HttpGrant::parse(origin.as_ref()));
        Ok(Self::new(http.collect::<Result<_, _>>()?, private_network))
    }

    /// What may be reached, in plain words; nothing for nothing.
    pub fn plain(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .http
            .iter()
            .map(|grant| {
                let methods: Vec<_> = grant.methods().iter().map(Method::as_str).collect();
                format!("{} to {grant}", methods.join(", "))
            })
            .collect();
        if self.private_network && !lines.is_empty() {
            lines.push("private addresses included".into());
        }
        lines
    }

    /// Whether names may lead to private addresses.
    pub fn private_network(&self) -> bool {
        self.private_network
    }

    /// The first check: is this request granted by its method, origin and path?
    pub(crate) fn check_request(&self, method: &Method, url: &Url) -> Result<(), Violation> {
        let what = || format!("{method} {}", shown(url));
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Violation::Forbidden {
                what: what(),
                why: "a URL with a user name is never sent; use [[source.credentials]]".into(),
            });
        }
        if !METHODS.contains(&method.as_str()) {
            return Err(Violation::Forbidden {
                what: what(),
                why: format!(
                    "no grant allows this method; those that can be granted are {}",
                    METHODS.join(", ")
                ),
            });
        }
        // As a line of the file it would grant every name below.
        if url.host_str().is_some_and(|host| host.contains('*')) {
            return Err(Violation::Forbidden {
                what: what(),
                why: "no host has a name with a *".into(),
            });
        }
        let covering: Vec<_> = self.http.iter().filter(|grant| grant.covers(url)).collect();
        if covering.iter().any(|grant| grant.allows(method)) {
            return Ok(());
        }
        Err(Violation::Refused {
            what: what(),
            remedy: self.line_with(method, url, covering.first().copied()),
        })
    }

    /// The second check: may a connection to a granted host go to this address?
    pub(crate) fn check_address(&self, host: &str, address: IpAddr) -> bool {
        let written_out = || self.http.iter().any(|grant| grant.address() == Some(address));
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        self.private_network || !is_private(address) || (literal && written_out())
    }

    /// The line of a pipeline file that grants one request more.
    fn line_with(&self, method: &Method, url: &Url, covering: Option<&HttpGrant>) -> String {
        let mut all: Vec<_> = self
            .http
            .iter()
            .map(|grant| match covering {
                Some(covering) if covering == grant => grant.plus(method).to_toml(),
                _ => grant.to_toml(),
            })
            .collect();
        if covering.is_none() {
            let origin = url.origin().ascii_serialization();
            all.push(match *method {
                Method::GET | Method::HEAD => format!("\"{origin}\""),
                _ => format!("{{ origin = \"{origin}\", methods = [\"{method}\"] }}"),
            });
        }
        format!("http = [{}]", all.join(", "))
    }
}

/// A URL as it may be shown: without its query, which may hold what nobody should read.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(grants: &Grants, method: Method, url: &str) -> (String, String) {
        match grants.check_request(&method, &Url::parse(url).unwrap()) {
            Err(Violation::Refused { what, remedy }) => (what, remedy),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_names_the_url_without_its_query_and_the_line_to_write() {
        let grants = Grants::parse(&["https://a.example", "https://*.c.example/v1"], false).unwrap();
        let (what, remedy) = refused(&grants, Method::GET, "https://b.example/x?token=hush");
        assert_eq!(what, "GET https://b.example/x");
        assert_eq!(
            remedy,
            r#"http = ["https://a.example", "https://*.c.example/v1", "https://b.example"]"#
        );
        assert!(
            Grants::default()
                .check_request(&Method::GET, &Url::parse("https://a.example").unwrap())
                .is_err(),
            "denied by default"
        );
    }

    #[test]
    fn the_line_for_a_method_extends_the_grant_that_is_there() {
        let grants = Grants::parse(&["https://a.example", "https://b.example"], false).unwrap();
        let (what, remedy) = refused(&grants, Method::POST, "https://a.example/x");
        assert_eq!(what, "POST https://a.example/x");
        assert_eq!(
            remedy,
            r#"http = [{ origin = "https://a.example", methods = ["GET", "HEAD", "POST"] }, "https://b.example"]"#
        );
        let (_, remedy) = refused(&Grants::default(), Method::PUT, "https://a.example/x");
        assert_eq!(
            remedy,
            r#"http = [{ origin = "https://a.example", methods = ["PUT"] }]"#
        );
    }

    #[test]
    fn every_line_that_is_told_grants_this_request_and_no_other_host() {
        let (none, some) = (
            Grants::default(),
            Grants::parse(&["https://a.example/v1", "https://*.c.example"], false).unwrap(),
        );
        let mut told = 0;
        for grants in [&none, &some] {
            for url in [
                "https://a.example/v1/x",
                "https://b.example:8443/",
                "http://[::1]:80/x",
                "https://x.y.c.example",
            ] {
                let url = Url::parse(url).unwrap();
                for method in METHODS.map(|name| name.parse::<Method>().unwrap()) {
                    let Err(violation) = grants.check_request(&method, &url) else {
                        continue;
                    };
                    let Violation::Refused { remedy, .. } = violation else {
                        panic!("{method} {url}: {violation:?}")
                    };
                    let added: Vec<_> = remedy.split('"').skip(1).step_by(2).collect();
                    assert!(
                        !remedy.contains("*.") || remedy.contains("*.c.example"),
                        "{remedy}"
                    );
                    // Every text in quotes is an origin or a method that can be granted.
                    let known = |text: &&str| METHODS.contains(text) || HttpGrant::parse(text).is_ok();
                    assert!(added.iter().all(known), "{remedy}");
                    let covers = |text: &&str| HttpGrant::parse(text).is_ok_and(|grant| grant.covers(&url));
                    assert!(added.iter().any(covers), "{remedy}");
                    told += 1;
                }
            }
        }
        assert!(told > 30, "{told}");
    }

    #[test]
    fn what_no_line_can_grant_is_told_none() {
        for (method, url, why) in [
            ("CONNECT", "https://a.example", "no grant allows this method"),
            ("PROPFIND", "https://a.example", "no grant allows this method"),
            ("get", "https://a.example", "no grant allows this method"),
            ("GET", "https://*.evil.example", "no host has a name with a *"),
        ] {
            let checked =
                Grants::default().check_request(&method.parse().unwrap(), &Url::parse(url).unwrap());
            match checked {
                Err(Violation::Forbidden { why: told, .. }) => assert!(told.starts_with(why), "{told}"),
                other => panic!("{method} {url}: {other:?}"),
            }
        }
    }

    #[test]
    fn two_grants_of_one_origin_add_up() {
        let write = HttpGrant::parse("https://a.example/in").unwrap();
        let write = write.with_methods(&["POST"]).unwrap();
        let grants = Grants::new(vec![HttpGrant::parse("https://a.example").unwrap(), write], false);
        let check = |method, url| grants.check_request(&method, &Url::parse(url).unwrap()).is_ok();
        assert!(check(Method::GET, "https://a.example/in/x"));
        assert!(check(Method::POST, "https://a.example/in/x"));
        assert!(!check(Method::POST, "https://a.example/out"));
        assert_eq!(
            grants.plain(),
            ["GET, HEAD to https://a.example", "POST to https://a.example/in"]
        );
    }

    #[test]
    fn private_addresses_need_the_flag_or_must_be_written_out() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let by_name = Grants::parse(&["http://localhost:8080"], false).unwrap();
        assert!(!by_name.check_address("localhost", loopback));
        let flagged = Grants::parse(&["http://localhost:8080"], true).unwrap();
        assert!(flagged.check_address("localhost", loopback));
        let written = Grants::parse(&["http://127.0.0.1:8080", "http://rebound.example"], false).unwrap();
        assert!(written.check_address("127.0.0.1", loopback));
        assert!(
            !written.check_address("rebound.example", loopback),
            "a name must not borrow it"
        );
    }
}
