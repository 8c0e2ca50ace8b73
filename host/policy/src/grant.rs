use http::Method;
use url::{Host, Url};

use crate::PolicyError;

/// One origin that requests may go to, and the methods that they may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    scheme: String,
    host: GrantedHost,
    port: u16,
    /// Ends without a slash; empty for the whole origin.
    path_prefix: String,
    methods: Vec<Method>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GrantedHost {
    One(Host),
    /// Every name that ends in this one behind a dot; the name itself is none of them.
    Below(String),
}

/// The methods that can be granted: those of requests to a resource.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The methods of a grant that names none.
pub const DEFAULT_METHODS: [Method; 2] = [Method::GET, Method::HEAD];

impl HttpGrant {
    /// Takes `scheme://host[:port][/path-prefix]` for GET and HEAD. `*.` in front of a host stands for every name
    /// below it.
    ///
    /// # Errors
    /// [`PolicyError::Grant`] when it is not of this form.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let bad = |reason: &str| PolicyError::Grant {
            grant: text.to_owned(),
            reason: format!(
                "{reason}; write scheme://host[:port][/path-prefix], for example \"https://api.example.com\""
            ),
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
        let host = match url.host().ok_or_else(|| bad("it has no host"))?.to_owned() {
            Host::Domain(name) => GrantedHost::of_name(name).map_err(bad)?,
            address => GrantedHost::One(address),
        };
        let port = url.port_or_known_default().ok_or_else(|| bad("it has no port"))?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host,
            port,
            path_prefix: url.path().trim_end_matches('/').to_owned(),
            methods: DEFAULT_METHODS.to_vec(),
        })
    }

    /// The same for other methods.
    ///
    /// # Errors
    /// [`PolicyError::Grant`] when there is none, or one that is no request to a resource.
    pub fn with_methods<S: AsRef<str>>(mut self, methods: &[S]) -> Result<Self, PolicyError> {
        let bad = |reason: String| PolicyError::Grant {
            grant: self.to_string(),
            reason,
        };
        if methods.is_empty() {
            return Err(bad("it allows no method".into()));
        }
        let parsed = methods.iter().map(|name| {
            let name = name.as_ref();
            let known = METHODS
                .contains(&name)
                .then(|| Method::from_bytes(name.as_bytes()).ok());
            known.flatten().ok_or_else(|| {
                bad(format!(
                    "{name:?} is no method that can be granted: these are {}",
                    METHODS.join(", ")
                ))
            })
        });
        self.methods = parsed.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Whether it names every host below a name.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host, GrantedHost::Below(_))
    }

    /// Whether a URL lies in this origin. Its path does not matter.
    pub fn covers_origin(&self, url: &Url) -> bool {
        let host = match (&self.host, url.host()) {
            (GrantedHost::One(granted), Some(host)) => *granted == host.to_owned(),
            (GrantedHost::Below(granted), Some(Host::Domain(host))) => host
                .strip_suffix(granted)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
            _ => false,
        };
        host && url.scheme() == self.scheme && url.port_or_known_default() == Some(self.port)
    }

    /// Whether a URL lies in this origin and below its path prefix.
    pub fn covers(&self, url: &Url) -> bool {
        let path = url.path();
        let below = || {
            path.strip_prefix(&self.path_prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                && !climbs(path)
        };
        self.covers_origin(url) && (self.path_prefix.is_empty() || below())
    }

    /// Whether it allows a method.
    pub fn allows(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// The methods that it allows.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The address that it grants by writing it out.
    pub(crate) fn address(&self) -> Option<std::net::IpAddr> {
        match self.host {
            GrantedHost::One(Host::Ipv4(v4)) => Some(v4.into()),
            GrantedHost::One(Host::Ipv6(v6)) => Some(v6.into()),
            _ => None,
        }
    }

    /// The grant as it stands in the array `http` of a pipeline file.
    pub fn to_toml(&self) -> String {
        if self.methods == DEFAULT_METHODS {
            return format!("\"{self}\"");
        }
        let methods: Vec<_> = self.methods.iter().map(|m| format!("\"{m}\"")).collect();
        format!("{{ origin = \"{self}\", methods = [{}] }}", methods.join(", "))
    }

    /// The grant of one request: its origin, and its method where GET and HEAD don't hold it.
    pub(crate) fn for_request(method: &Method, url: &Url) -> Option<Self> {
        let grant = Self::parse(&url.origin().ascii_serialization()).ok()?;
        match DEFAULT_METHODS.contains(method) {
            true => Some(grant),
            false => grant.with_methods(&[method.as_str()]).ok(),
        }
    }

    pub(crate) fn plus(&self, method: &Method) -> Self {
        let mut more = self.clone();
        more.methods.push(method.clone());
        more
    }
}

impl GrantedHost {
    fn of_name(name: String) -> Result<Self, &'static str> {
        let Some(above) = name.strip_prefix("*.") else {
            return match name.contains('*') {
                true => Err("a wildcard can only be the first label, as in \"https://*.example.com\""),
                false => Ok(Self::One(Host::Domain(name))),
            };
        };
        if above.contains('*') || !above.trim_end_matches('.').contains('.') {
            return Err(
                "a wildcard needs a name of two labels or more behind it, as in \"https://*.example.com\"",
            );
        }
        Ok(Self::Below(above.to_owned()))
    }
}

impl std::fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            GrantedHost::One(host) => write!(f, "{}://{host}", self.scheme)?,
            GrantedHost::Below(above) => write!(f, "{}://*.{above}", self.scheme)?,
        }
        let usual = if self.scheme == "https" { 443 } else { 80 };
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path_prefix)
    }
}

/// Whether a path leads upwards for a server that takes `%2f`, `%5c` or `;` for what they stand for. The URL parser
/// has resolved every plain spelling already.
fn climbs(path: &str) -> bool {
    let mut text = path.to_ascii_lowercase();
    for _ in 0..4 {
        let climbs = text
            .split(['/', '\\'])
            .any(|segment| matches!(segment.split(';').next(), Some(".." | ".")));
        if climbs {
            return true;
        }
        let decoded = [
            ("%2f", "/"),
            ("%5c", "\\"),
            ("%2e", "."),
            ("%3b", ";"),
            ("%25", "%"),
        ]
        .iter()
        .fold(text.clone(), |text, (from, to)| text.replace(from, to));
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    // Nobody encodes five times for a good reason.
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, url: &str) -> bool {
        HttpGrant::parse(grant).unwrap().covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_wildcard_stands_for_the_names_below() {
        let grant = "https://*.example.com";
        for (url, verdict) in [
            ("https://a.example.com/", true),
            ("https://a.b.example.com/", true),
            ("https://example.com/", false),
            ("https://evilexample.com/", false),
            ("https://a.example.com.evil.net/", false),
            ("https://a.example.com:8443/", false),
            ("http://a.example.com/", false),
        ] {
            assert_eq!(covers(grant, url), verdict, "{url}");
        }
        for bad in [
            "https://*",
            "https://*.com",
            "https://a.*.com",
            "https://*a.example.com",
            "https://*.*.example.com",
        ] {
            assert!(HttpGrant::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(HttpGrant::parse(grant).unwrap().to_string(), grant);
    }

    #[test]
    fn a_path_that_a_server_may_read_as_leading_upwards_is_not_below() {
        let grant = "https://a.example/v1";
        assert!(covers(grant, "https://a.example/v1/group%2Fproject"));
        for url in [
            "https://a.example/v1/..%2fadmin",
            "https://a.example/v1/..%5cadmin",
            "https://a.example/v1/..%252fadmin",
            "https://a.example/v1/..;/admin",
            "https://a.example/v1/x%2f..%2f..%2fadmin",
        ] {
            assert!(!covers(grant, url), "{url}");
        }
        // Without a prefix there is nothing to climb out of.
        assert!(covers("https://a.example", "https://a.example/v1/..%2fadmin"));
    }

    #[test]
    fn methods_are_part_of_a_grant_and_of_its_spelling() {
        let grant = HttpGrant::parse("https://a.example").unwrap();
        assert!(grant.allows(&Method::HEAD) && !grant.allows(&Method::POST));
        assert_eq!(grant.to_toml(), r#""https://a.example""#);
        let grant = grant.with_methods(&["GET", "POST"]).unwrap();
        assert!(grant.allows(&Method::POST) && !grant.allows(&Method::HEAD));
        assert_eq!(
            grant.to_toml(),
            r#"{ origin = "https://a.example", methods = ["GET", "POST"] }"#
        );
        for bad in [&["CONNECT"][..], &["TRACE"], &["get"], &[""], &["A B"], &[]] {
            let message = grant.clone().with_methods(bad).unwrap_err().to_string();
            assert!(message.contains("https://a.example"), "{message}");
        }
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
            let message = HttpGrant::parse(bad).unwrap_err().to_string();
            assert!(message.contains(&format!("{bad:?}")), "{message}");
        }
    }
}
