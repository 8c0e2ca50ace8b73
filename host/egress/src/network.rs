//! How requests leave this machine: what its operator says, and no component can change.

use std::path::Path;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use percent_encoding::percent_decode_str;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use sandbar_pipeline::read_file;
use sandbar_policy::{PolicyError, basic_authorization};

/// Proxies, and authorities that are trusted beside those of this machine. Neither by default.
#[derive(Clone, Default)]
pub struct Network {
    proxies: Option<Arc<Proxies>>,
    authorities: Vec<CertificateDer<'static>>,
}

struct Proxies {
    matcher: Matcher,
    /// Which variable names which proxy, without user and password.
    named: Vec<(&'static str, String)>,
    secrets: Vec<String>,
    /// `HTTP_PROXY` is set, which is not read.
    capitals: bool,
}

/// The port of a proxy that names none, as curl has it.
const PROXY_PORT: u16 = 1080;
/// The longest file of certificates. Those of a whole machine take some 300 KiB.
const MAX_FILE: u64 = 16 << 20;

impl Network {
    /// Sends requests through the proxies that the environment names, read as curl reads them: `https_proxy`,
    /// `HTTPS_PROXY`, `http_proxy`, `all_proxy`, `ALL_PROXY`, without `no_proxy`, `NO_PROXY`. `HTTP_PROXY` is not read:
    /// in a CGI program it comes from a request. Private addresses are never asked for from a proxy.
    ///
    /// # Errors
    /// [`PolicyError::Network`] when a variable names no proxy that can be used. Its value never shows.
    pub fn with_proxies_of_environment(self) -> Result<Self, PolicyError> {
        self.with_proxies(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    pub(crate) fn with_proxies(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PolicyError> {
        let set = |names: &[&'static str]| {
            let found = names
                .iter()
                .map(|name| (*name, variable(name).unwrap_or_default()));
            found
                .map(|(name, value)| (name, value.trim().to_owned()))
                .find(|(_, value)| !value.is_empty())
        };
        let mut proxies = Proxies {
            matcher: Matcher::builder().build(),
            named: vec![],
            secrets: vec![],
            capitals: set(&["HTTP_PROXY"]).is_some(),
        };
        let mut url_of = |names: &[&'static str]| match set(names) {
            Some((name, value)) => proxies.add(name, &value),
            None => Ok(String::new()),
        };
        let (https, http, all) = (
            url_of(&["https_proxy", "HTTPS_PROXY"])?,
            url_of(&["http_proxy"])?,
            url_of(&["all_proxy", "ALL_PROXY"])?,
        );
        let except = set(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value);
        // curl takes spaces for commas.
        let except = except.unwrap_or_default().replace(char::is_whitespace, ",");
        let builder = Matcher::builder().https(https).http(http).all(all).no(except);
        proxies.matcher = builder.build();
        self.proxies = (!proxies.named.is_empty() || proxies.capitals).then(|| Arc::new(proxies));
        Ok(self)
    }

    /// Trusts the authorities in a file of PEM certificates, beside those of this machine.
    ///
    /// # Errors
    /// [`PolicyError::Network`] naming the file that can't be read, holds no certificate, or one that is none.
    pub fn trusting_file(mut self, path: &Path) -> Result<Self, PolicyError> {
        let bad = |reason: String| PolicyError::Network(format!("{} {reason}", path.display()));
        let unread = |e: std::io::Error| bad(format!("can't be read: {e}"));
        let bytes = read_file(path, MAX_FILE).map_err(unread)?;
        let mut roots = RootCertStore::empty();
        for (number, certificate) in CertificateDer::pem_slice_iter(&bytes).enumerate() {
            let number = number + 1;
            let broken = |e: &dyn std::fmt::Display| {
                bad(format!("holds a certificate, number {number}, that is none: {e}"))
            };
            let certificate = certificate.map_err(|e| broken(&e))?;
            roots.add(certificate.clone()).map_err(|e| broken(&e))?;
            self.authorities.push(certificate);
        }
        if roots.is_empty() {
            return Err(bad(
                "holds no certificate: it has no line -----BEGIN CERTIFICATE----- (is it DER? `openssl x509 -inform der` writes PEM)".into(),
            ));
        }
        Ok(self)
    }

    /// The settings that differ from the default, in words.
    pub fn describe(&self) -> Vec<String> {
        let named = self.proxies.iter().flat_map(|proxies| &proxies.named);
        let mut lines: Vec<_> = named
            .map(|(variable, proxy)| format!("through the proxy {proxy} ({variable})"))
            .collect();
        match self.authorities.len() {
            0 => {}
            1 => lines.push("trusting one further authority".into()),
            more => lines.push(format!("trusting {more} further authorities")),
        }
        lines
    }

    pub(crate) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// What a proxy is sent and nobody else may see.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &String> {
        self.proxies.iter().flat_map(|proxies| &proxies.secrets)
    }

    /// The proxy for a URL, if there is one.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<Intercept> {
        let proxies = self.proxies.as_ref()?;
        let host = url.host_str()?.trim_end_matches('.');
        let uri = format!("{}://{host}/", url.scheme()).parse::<Uri>().ok()?;
        proxies.matcher.intercept(&uri)
    }

    /// Whether a plain URL would have a proxy if `HTTP_PROXY` were read.
    pub(crate) fn proxy_in_capitals_for(&self, url: &Url) -> bool {
        let capitals = self.proxies.as_ref().is_some_and(|proxies| proxies.capitals);
        capitals && url.scheme() == "http"
    }
}

impl Proxies {
    /// The URL of a proxy in the form that the matcher takes.
    fn add(&mut self, variable: &'static str, value: &str) -> Result<String, PolicyError> {
        let bad = |reason: &str| {
            PolicyError::Network(format!(
                "the environment variable {variable} {reason}; write http://[user:password@]host[:port]"
            ))
        };
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        if !scheme.eq_ignore_ascii_case("http") {
            let known = ["https", "socks4", "socks4a", "socks5", "socks5h"];
            return Err(
                match known.iter().find(|known| scheme.eq_ignore_ascii_case(known)) {
                    Some(known) => bad(&format!(
                        "names a proxy that is spoken to by {known}, and only http is known"
                    )),
                    None => bad("is no URL of a proxy"),
                },
            );
        }
        // Another scheme, because a port that is usual for a scheme would be dropped.
        let mut url = Url::parse(&format!("proxy://{rest}")).map_err(|_| bad("is no URL of a proxy"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).map(str::to_owned);
        let host = host.ok_or_else(|| bad("names no host"))?;
        if url.port().is_none() {
            let _ = url.set_port(Some(PROXY_PORT));
        }
        let port = url.port().unwrap_or(PROXY_PORT);
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        let mut user_info = String::new();
        if !user.is_empty() || password.is_some() {
            let password = password.unwrap_or_default();
            let encoded = basic_authorization(&user, &password);
            self.secrets.push(encoded.trim_start_matches("Basic ").to_owned());
            self.secrets.extend([format!("{user}:{password}"), password]);
            self.secrets.extend(url.password().map(str::to_owned));
            user_info = format!("{}:{}@", url.username(), url.password().unwrap_or_default());
        }
        let shown = format!("http://{host}:{port}");
        let normal = format!("http://{user_info}{host}:{port}");
        let probe = Matcher::builder().all(normal.as_str()).build();
        if probe.intercept(&Uri::from_static("http://a.example/")).is_none() {
            return Err(bad("is no URL of a proxy"));
        }
        self.named.push((variable, shown));
        Ok(normal)
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({})", self.describe().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(variables: &[(&str, &str)]) -> Result<Network, PolicyError> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Network::default().with_proxies(value)
    }

    fn proxy(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxy = network(variables).unwrap().proxy_for(&url.parse().unwrap())?;
        Some(proxy.uri().authority().unwrap().to_string())
    }

    #[test]
    fn variables_are_read_as_curl_reads_them() {
        let (http, https) = ("http://a.example/x", "https://a.example/x");
        for (variables, for_http, for_https) in [
            (&[][..], None, None),
            (&[("HTTPS_PROXY", "p:1")], None, Some("p:1")),
            (
                &[("HTTPS_PROXY", "p:1"), ("https_proxy", "http://q:2/")],
                None,
                Some("q:2"),
            ),
            (&[("HTTPS_PROXY", "p:1"), ("https_proxy", "")], None, Some("p:1")),
            (&[("http_proxy", "p")], Some("p:1080"), None),
            (&[("http_proxy", "http://p:80")], Some("p:80"), None),
            (&[("HTTP_PROXY", "p:1")], None, None),
            (&[("ALL_PROXY", "p:1")], Some("p:1"), Some("p:1")),
            (
                &[("all_proxy", "p:1"), ("https_proxy", "q:2")],
                Some("p:1"),
                Some("q:2"),
            ),
            (
                &[("all_proxy", "http://u:x%40y@[::1]:8")],
                Some("[::1]:8"),
                Some("[::1]:8"),
            ),
            (&[("all_proxy", "p:1"), ("no_proxy", "*")], None, None),
            (
                &[("all_proxy", "p:1"), ("NO_PROXY", "b.example, example")],
                None,
                None,
            ),
            (
                &[("all_proxy", "p:1"), ("NO_PROXY", "b.example a.example")],
                None,
                None,
            ),
            (&[("all_proxy", "p:1"), ("NO_PROXY", ".a.example")], None, None),
            (
                &[("all_proxy", "p:1"), ("NO_PROXY", "xa.example,ple")],
                Some("p:1"),
                Some("p:1"),
            ),
        ] {
            assert_eq!(proxy(variables, http).as_deref(), for_http, "{variables:?}");
            assert_eq!(proxy(variables, https).as_deref(), for_https, "{variables:?}");
        }
        let capitals = network(&[("HTTP_PROXY", "p:1")]).unwrap();
        assert!(
            capitals.proxy_in_capitals_for(&http.parse().unwrap()),
            "which is said"
        );
        assert!(!capitals.proxy_in_capitals_for(&https.parse().unwrap()));
        let private = [("all_proxy", "p:1"), ("no_proxy", "10.0.0.0/8,::1")];
        assert_eq!(proxy(&private, "http://10.1.2.3/"), None);
        assert_eq!(proxy(&private, "http://[::1]/"), None);
        assert_eq!(proxy(&private, "http://11.1.2.3/").as_deref(), Some("p:1"));
        assert_eq!(
            proxy(
                &[("all_proxy", "p:1"), ("no_proxy", "a.example")],
                "http://A.example./"
            ),
            None
        );
    }

    #[test]
    fn a_user_and_a_password_are_sent_and_shown_nowhere() {
        let network = network(&[("https_proxy", "http://me:p%40ss-word@proxy.example:3128")]).unwrap();
        let proxy = network.proxy_for(&"https://a.example".parse().unwrap()).unwrap();
        assert_eq!(
            proxy.basic_auth().unwrap(),
            &basic_authorization("me", "p@ss-word")
        );
        assert_eq!(proxy.uri(), "http://proxy.example:3128/");
        assert_eq!(
            network.describe(),
            ["through the proxy http://proxy.example:3128 (https_proxy)"]
        );
        assert!(!format!("{network:?}").contains("ss-word"));
        let secrets: Vec<_> = network.secrets().map(String::as_str).collect();
        let encoded = basic_authorization("me", "p@ss-word");
        for wanted in ["me:p@ss-word", "p@ss-word", "p%40ss-word", &encoded[6..]] {
            assert!(secrets.contains(&wanted), "{wanted}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_the_name_of_its_variable() {
        for bad in [
            "socks5://me:hush@p:1",
            "https://me:hush@p:1",
            "ftp://me:hush@p",
            "me:hush@",
            "http://me:hush@p:x",
            "http://me:hush@a b",
        ] {
            let error = network(&[("ALL_PROXY", bad)]).unwrap_err().to_string();
            assert!(error.contains("ALL_PROXY") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_file_of_authorities_is_read_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let trusting = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            Network::default().trusting_file(&path)
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, content, why) in [
            ("empty.pem", &b""[..], "holds no certificate"),
            ("der.crt", &[0x30, 0x82, 1, 2], "holds no certificate"),
            (
                "key.pem",
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "holds no certificate",
            ),
            ("broken.pem", broken.as_bytes(), "number 1, that is none"),
        ] {
            let error = trusting(name, content).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
        let missing = Network::default().trusting_file(&folder.path().join("none.pem"));
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("none.pem can't be read")
        );
        assert!(Network::default().trusting_file(folder.path()).is_err());
    }
}
