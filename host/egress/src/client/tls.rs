use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;

use crate::Network;

/// Puts TLS above a connector, with the authorities of this machine and those of the configuration.
///
/// # Errors
/// No authority is known.
pub(super) fn connector<C>(network: &Network, below: C) -> Result<HttpsConnector<C>, String> {
    super::look_at_certificates()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let extra = network.authorities().iter().cloned();
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(|e| unknown(&e))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .enable_http2()
        .wrap_connector(below))
}

/// Where these variables are set, nothing else is looked at.
fn unknown(error: &rustls::Error) -> String {
    let set = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some(format!("{name} names {}", value.display()))
    });
    match set.collect::<Vec<_>>().join(" and ") {
        none if none.is_empty() => format!(
            "{error}; install this machine's certificates, or name a file of them in ca_file under [source.tls]"
        ),
        set => format!("{set}, which holds no certificate (PEM is wanted)"),
    }
}

/// Why a certificate or a protocol is no ground to try again on; `None` for what may be an accident.
pub(super) fn lasting(error: &rustls::Error) -> Option<String> {
    use rustls::{CertificateError, Error, InvalidMessage};
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(
            "its certificate is from an authority that is not trusted here (UnknownIssuer); if that is one of your own, name its certificate in ca_file under [source.tls]".into(),
        ),
        Error::InvalidCertificate(reason) => Some(format!("its certificate does not hold: {reason}")),
        Error::PeerIncompatible(reason) => Some(format!("it has no version or cipher of TLS in common: {reason:?}")),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("it does not speak TLS (is it http?)".into())
        }
        _ => None,
    }
}
