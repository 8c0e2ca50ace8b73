use http::{StatusCode, Uri};
use sandbar_policy::{Violation, display_url};
use url::Url;

use crate::HttpError;
use crate::error::SendError;

/// Why a proxy gave no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// Nothing was heard of it.
    #[error("the proxy {proxy} can't be reached: {reason}")]
    Unreachable { proxy: Uri, reason: String },
    /// It said no.
    #[error("the proxy {proxy} refuses a tunnel to {to}: {status}")]
    Refused {
        proxy: Uri,
        to: String,
        status: StatusCode,
    },
}

impl ProxyError {
    /// What a request to this URL comes to.
    pub(super) fn of_request(&self, url: &Url) -> SendError {
        match self {
            Self::Refused { proxy, status, .. } if status.is_client_error() => refused(proxy, *status, url),
            _ => SendError::Failed(HttpError::Internal(Some(self.to_string()))),
        }
    }
}

/// No other try gets another answer.
pub(super) fn refused(proxy: &Uri, status: StatusCode, url: &Url) -> SendError {
    let proxy = proxy.to_string();
    let proxy = proxy.trim_end_matches('/');
    let why = match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => format!(
            "the proxy {proxy} wants another user name and password (407); write http://user:password@host:port into the variable that names it"
        ),
        _ => format!("the proxy {proxy} refuses the way there ({status})"),
    };
    SendError::Stopped(Violation::Unreachable {
        what: display_url(url),
        why,
    })
}
