use std::fmt;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::{Result, json};

/// What is asked of a remote.
///
/// Shown as method and URL, without a user or a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) timeout: Option<Duration>,
}

impl Request {
    /// A request with any method.
    pub fn new(method: impl Into<String>, url: Url) -> Self {
        Self {
            method: method.into(),
            url,
            headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// A `GET` request.
    pub fn get(url: Url) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` request with a JSON body.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`](crate::Error::Internal) when the body is no JSON value.
    pub fn post_json(url: Url, body: &impl Serialize) -> Result<Self> {
        let body = json::write("request body", body)?;
        Ok(Self::new("POST", url)
            .header("content-type", "application/json")
            .body(body))
    }

    /// Adds a header. The host refuses those that carry credentials, which it adds itself.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the longest wait for the head of the response. The host's own limit holds besides.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, .. } = self;
        write!(
            formatter,
            "{method} {}://{}",
            url.scheme(),
            url.host_str().unwrap_or_default()
        )?;
        if let Some(port) = url.port() {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(url.path())?;
        url.query().map_or(Ok(()), |query| write!(formatter, "?{query}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_request_is_shown_without_user_and_fragment() {
        let url = "http://me:secret@127.0.0.1:8080/comments?_start=1#top"
            .parse()
            .unwrap();
        assert_eq!(
            Request::get(url).to_string(),
            "GET http://127.0.0.1:8080/comments?_start=1"
        );
        let post = Request::post_json("https://[::1]/x".parse().unwrap(), &[1]).unwrap();
        assert_eq!(post.to_string(), "POST https://[::1]/x");
        assert_eq!(post.body, Some(b"[1]".to_vec()));
    }
}
