use std::net::IpAddr;

use http::Method;
use url::Url;

use crate::address::is_private;
use crate::{HttpGrant, METHODS, PolicyError, Remedy, Violation, display_url};

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
    /// [`PolicyError::Grant`] naming the one that is not of this form.
    pub fn parse<S: AsRef<str>>(http: &[S], private_network: bool) -> Result<Self, PolicyError> {
        let http = http.iter().map(|origin| HttpGrant::parse(origin.as_ref()));
        Ok(Self::new(http.collect::<Result<_, _>>()?, private_network))
    }

    /// The grants in words, one line each; empty where nothing is granted.
    pub fn describe(&self) -> Vec<String> {
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

    /// What is granted over HTTP.
    pub fn http(&self) -> &[HttpGrant] {
        &self.http
    }

    /// Whether names may lead to private addresses.
    pub fn private_network(&self) -> bool {
        self.private_network
    }

    /// The first check of a request: by its method, origin and path.
    ///
    /// # Errors
    /// [`Violation::NotGranted`] with the grant that is missing, or [`Violation::Forbidden`] for a request that no grant
    /// allows.
    pub fn check_request(&self, method: &Method, url: &Url) -> Result<(), Violation> {
        let what = || format!("{method} {}", display_url(url));
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
        Err(Violation::NotGranted {
            what: what(),
            remedy: Remedy::Grant(self.extended_by(method, url, covering.first().copied())),
        })
    }

    /// The second check: whether a connection to a granted host may go to this address.
    pub fn allows_address(&self, host: &str, address: IpAddr) -> bool {
        let written_out = || self.http.iter().any(|grant| grant.address() == Some(address));
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        self.private_network || !is_private(address) || (literal && written_out())
    }

    /// These grants, and what one further request needs.
    fn extended_by(&self, method: &Method, url: &Url, covering: Option<&HttpGrant>) -> Vec<HttpGrant> {
        let mut all: Vec<_> = self
            .http
            .iter()
            .map(|grant| match covering {
                Some(covering) if covering == grant => grant.plus(method),
                _ => grant.clone(),
            })
            .collect();
        if covering.is_none() {
            all.extend(HttpGrant::for_request(method, url));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(grants: &Grants, method: Method, url: &str) -> (String, String) {
        match grants.check_request(&method, &Url::parse(url).unwrap()) {
            Err(Violation::NotGranted { what, remedy }) => (what, remedy.to_toml()),
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
                    let Violation::NotGranted { remedy, .. } = violation else {
                        panic!("{method} {url}: {violation:?}")
                    };
                    let remedy = remedy.to_toml();
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
            grants.describe(),
            ["GET, HEAD to https://a.example", "POST to https://a.example/in"]
        );
    }

    #[test]
    fn private_addresses_need_the_flag_or_must_be_written_out() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let by_name = Grants::parse(&["http://localhost:8080"], false).unwrap();
        assert!(!by_name.allows_address("localhost", loopback));
        let flagged = Grants::parse(&["http://localhost:8080"], true).unwrap();
        assert!(flagged.allows_address("localhost", loopback));
        let written = Grants::parse(&["http://127.0.0.1:8080", "http://rebound.example"], false).unwrap();
        assert!(written.allows_address("127.0.0.1", loopback));
        assert!(
            !written.allows_address("rebound.example", loopback),
            "a name must not borrow it"
        );
    }
}
