use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority that nobody trusts who was not told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// How a server speaks TLS.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// The certificate that a server shows, and the protocols that it offers.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// Names and addresses that it is for.
    pub names: &'a [&'a str],
    /// Whether its time is over.
    pub expired: bool,
    /// Names of protocols (ALPN), the best one first.
    pub protocols: &'a [&'a str],
}

impl Default for Certificate<'_> {
    /// A good one for the loopback address, and HTTP/2 before HTTP/1.1.
    fn default() -> Self {
        Self {
            names: &["127.0.0.1"],
            expired: false,
            protocols: &["h2", "http/1.1"],
        }
    }
}

impl Authority {
    /// One of this name.
    ///
    /// # Panics
    ///
    /// When this machine has no random numbers: no test could go on.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test can't go on without its authority")]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate, as `SSL_CERT_FILE` takes it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server that it vouches for.
    ///
    /// # Panics
    ///
    /// When a name is none that a certificate can have.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test can't go on without its certificate")]
    pub fn vouch(&self, certificate: Certificate<'_>) -> Tls {
        let names: Vec<_> = certificate.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names for a certificate");
        if certificate.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        let chain = vec![
            CertificateDer::from(signed),
            CertificateDer::from(self.0.der().to_vec()),
        ];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key that TLS can use");
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.expect("a certificate with its key");
        let protocols = certificate.protocols.iter();
        config.alpn_protocols = protocols.map(|name| name.as_bytes().to_vec()).collect();
        Tls(Arc::new(config))
    }
}

impl Tls {
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
