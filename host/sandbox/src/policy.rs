use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Method};
use url::{Host, Url};

use crate::SandboxError;
use crate::address::is_private;
use crate::limits::Violation;

/// What a component may reach, decided when its pipeline is configured. Nothing is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    http: Vec<HttpGrant>,
    private_network: bool,
}

/// One origin that requests may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    scheme: String,
    host: Host,
    port: u16,
    /// Ends without a slash; empty for the whole origin.
    path_prefix: String,
}

/// A header that the host adds to requests to one origin. The component never sees it.
#[derive(Clone)]
pub struct Credential {
    origin: HttpGrant,
    header: HeaderName,
    value: HeaderValue,
}

/// The methods that a grant allows.
const METHODS: [Method; 2] = [Method::GET, Method::HEAD];

impl Grants {
    /// Takes origins as they stand in a pipeline file, `scheme://host[:port][/path-prefix]`.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] naming the one that is not of this form.
    pub fn parse<S: AsRef<str>>(http: &[S], private_network: bool) -> Result<Self, SandboxError> {
        let http = http
            .iter()
            .map(|origin| HttpGrant::parse(origin.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            http,
            private_network,
        })
    }

    /// The origins granted, as text.
    pub fn origins(&self) -> Vec<String> {
        self.http.iter().map(ToString::to_string).collect()
    }

    /// Whether names may lead to private addresses.
    pub fn private_network(&self) -> bool {
        self.private_network
    }

    /// The first check: is this request granted by its method, origin and path?
    pub(crate) fn check_request(&self, method: &Method, url: &Url) -> Result<(), Violation> {
        let refuse = |remedy: String| Violation::Refused {
            what: format!("{method} {}", shown(url)),
            remedy,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "nothing: a URL with a user name is never sent; use [[source.credentials]]".into(),
            ));
        }
        let granted = self.http.iter().find(|grant| grant.covers(url));
        let Some(granted) = granted else {
            let origin = url.origin().ascii_serialization();
            let mut line = format!("http = [\"{origin}\"]");
            if let Some(other) = self.http.first() {
                line = format!("http = [\"{other}\", \"{origin}\"]");
            }
            return Err(refuse(line));
        };
        if !METHODS.contains(method) {
            return Err(refuse(format!(
                "nothing: {granted} is granted for GET and HEAD, and there is no key for {method} yet"
            )));
        }
        Ok(())
    }

    /// The second check: may a connection to a granted host go to this address?
    pub(crate) fn check_address(&self, host: &str, address: IpAddr) -> bool {
        let written_out = || {
            self.http.iter().any(|grant| match grant.host {
                Host::Ipv4(v4) => IpAddr::V4(v4) == address,
                Host::Ipv6(v6) => IpAddr::V6(v6) == address,
                Host::Domain(_) => false,
            })
        };
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        self.private_network || !is_private(address) || (literal && written_out())
    }
}

impl HttpGrant {
    /// Takes `scheme://host[:port][/path-prefix]`.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when it is not of this form.
    pub fn parse(text: &str) -> Result<Self, SandboxError> {
        let bad = |reason: &str| {
            SandboxError::Policy(format!(
                "grant {text:?}: {reason}; write scheme://host[:port][/path-prefix], for example \"https://api.example.com\""
            ))
        };
        let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("only http and https can be granted"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a user name or password does not belong here"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("a query or fragment does not belong here"));
        }
        let host = url.host().ok_or_else(|| bad("it has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad("it has no port"))?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host,
            port,
            path_prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether a URL lies in this origin and below its path prefix.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        let path = url.path();
        let below = || {
            path.strip_prefix(&self.path_prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        url.scheme() == self.scheme
            && url.host().map(|h| h.to_owned()).as_ref() == Some(&self.host)
            && url.port_or_known_default() == Some(self.port)
            && below()
    }
}

impl std::fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        let usual = if self.scheme == "https" { 443 } else { 80 };
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path_prefix)
    }
}

impl Credential {
    /// A header for the requests to one origin.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when the origin or the header is not well-formed. The value never shows.
    pub fn header(origin: &str, header: &str, value: &str) -> Result<Self, SandboxError> {
        let origin = HttpGrant::parse(origin)?;
        let name = header.parse::<HeaderName>().map_err(|_| {
            SandboxError::Policy(format!("credential for {origin}: {header:?} is no header name"))
        })?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            SandboxError::Policy(format!(
                "credential for {origin}: the value of {header} has a character that no header may have (a line break at its end?)"
            ))
        })?;
        value.set_sensitive(true);
        Ok(Self {
            origin,
            header: name,
            value,
        })
    }

    pub(crate) fn name(&self) -> &HeaderName {
        &self.header
    }

    /// The header's value, for a URL that it is meant for.
    pub(crate) fn value_for(&self, url: &Url) -> Option<&HeaderValue> {
        self.origin.covers(url).then_some(&self.value)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({} for {}: ***)", self.header, self.origin)
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

    fn allowed(grants: &[&str], url: &str) -> bool {
        let grants = Grants::parse(grants, false).unwrap();
        grants
            .check_request(&Method::GET, &Url::parse(url).unwrap())
            .is_ok()
    }

    #[test]
    fn a_grant_covers_its_origin_and_what_lies_below_its_path() {
        let api = &["https://api.example.com/v1"][..];
        for (url, verdict) in [
            ("https://api.example.com/v1", true),
            ("https://api.example.com/v1/", true),
            ("https://API.example.com:443/v1/comments?_start=0", true),
            ("https://api.example.com/v1/../v1/x", true),
            ("https://api.example.com/v10", false),
            ("https://api.example.com/", false),
            ("https://api.example.com/v1/../admin", false),
            ("https://api.example.com/v1/%2e%2e/admin", false),
            ("http://api.example.com/v1", false),
            ("https://api.example.com:8443/v1", false),
            ("https://api.example.com.evil.net/v1", false),
            ("https://api.example.com@evil.net/v1", false),
            ("https://user:pw@api.example.com/v1", false),
            ("https://evil.net/https://api.example.com/v1", false),
        ] {
            assert_eq!(allowed(api, url), verdict, "{url}");
        }
        assert!(!allowed(&[], "https://api.example.com/"), "denied by default");
    }

    #[test]
    fn a_refusal_names_the_url_without_its_query_and_the_line_to_write() {
        let grants = Grants::parse(&["https://a.example"], false).unwrap();
        let url = Url::parse("https://b.example/x?token=hush").unwrap();
        let Err(Violation::Refused { what, remedy }) = grants.check_request(&Method::GET, &url) else {
            panic!("granted");
        };
        assert_eq!(what, "GET https://b.example/x");
        assert_eq!(remedy, r#"http = ["https://a.example", "https://b.example"]"#);
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

    #[test]
    fn other_methods_than_get_and_head_are_refused() {
        let grants = Grants::parse(&["https://a.example"], false).unwrap();
        let url = Url::parse("https://a.example/x").unwrap();
        assert!(grants.check_request(&Method::HEAD, &url).is_ok());
        assert!(grants.check_request(&Method::POST, &url).is_err());
    }

    #[test]
    fn a_malformed_grant_is_named() {
        for bad in [
            "example.com",
            "ftp://a.example",
            "https://u@a.example",
            "https://a.example?x=1",
            "",
        ] {
            let message = Grants::parse(&[bad], false).unwrap_err().to_string();
            assert!(message.contains(&format!("{bad:?}")), "{message}");
        }
    }

    #[test]
    fn a_credential_never_shows_its_value() {
        let credential = Credential::header("https://a.example", "authorization", "Bearer hush").unwrap();
        assert!(!format!("{credential:?}").contains("hush"));
        let error = Credential::header("https://a.example", "authorization", "hush\n").unwrap_err();
        assert!(!error.to_string().contains("hush"));
    }
}
