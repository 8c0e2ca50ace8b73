use std::fmt;

use serde::de::DeserializeOwned;

use super::{Request, status, text};
use crate::{Error, Result};

/// A body that is still coming in.
pub type Chunks = Box<dyn Iterator<Item = Result<Vec<u8>>>>;

/// What a remote answered: status and headers, and a body that is read when it is asked for.
pub struct Response {
    request: String,
    head: bool,
    status: u16,
    headers: Vec<(String, String)>,
    chunks: Chunks,
}

impl Response {
    /// A response to `request` without headers and body.
    pub fn new(request: &Request, status: u16) -> Self {
        let chunks = Box::new(std::iter::empty());
        let head = request.method == "HEAD";
        Self {
            request: request.to_string(),
            head,
            status,
            headers: Vec::new(),
            chunks,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a body that is there already.
    #[must_use]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with_chunks(Box::new(std::iter::once(Ok(body.into()))))
    }

    /// Sets a body that is still coming in.
    #[must_use]
    pub fn with_chunks(mut self, chunks: Chunks) -> Self {
        self.chunks = chunks;
        self
    }

    /// The request that this answers, for messages.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of that name, without regard to case, trimmed.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// This response when its status is 2xx, else the error that the status stands for.
    ///
    /// # Errors
    ///
    /// 401 and 403 are [`Error::Unauthorized`]. 408, 425, 429 and 5xx are [`Error::Unavailable`] with the pause
    /// of a `Retry-After`. All others are [`Error::Malformed`], a redirect with its target. All name the request.
    pub fn error_for_status(self) -> Result<Self> {
        match status::error(&self) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// The whole body, of at most `cap` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is longer, [`Error::Unavailable`] when it is cut.
    pub fn bytes(self, cap: usize) -> Result<Vec<u8>> {
        let told = self.told_length();
        if told.is_some_and(|told| told > cap as u64) {
            return Err(self.too_long(cap));
        }
        let mut body = Vec::with_capacity(
            told.and_then(|told| usize::try_from(told).ok())
                .unwrap_or_default(),
        );
        let Self { chunks, request, .. } = self;
        for chunk in chunks {
            let chunk = chunk?;
            if chunk.len() > cap - body.len() {
                return Err(too_long(&request, cap));
            }
            if body.capacity() == 0 {
                body = chunk;
            } else {
                body.extend_from_slice(&chunk);
            }
        }
        match told {
            Some(told) if told != body.len() as u64 => {
                let got = body.len();
                Err(Error::unavailable(format_args!(
                    "{request} gave {got} bytes of {told}"
                )))
            }
            _ => Ok(body),
        }
    }

    /// The whole body in UTF-8, of at most `cap` bytes: without a byte order mark, and out of UTF-16 where such a mark says
    /// so. Other charsets have become UTF-8 in the host, if the `content-type` names them. That it is UTF-8 at all is
    /// not checked.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::Malformed`] when it is not the UTF-16 that it says.
    pub fn utf8(self, cap: usize) -> Result<Vec<u8>> {
        let request = self.request.clone();
        let body = text::without_mark(self.bytes(cap)?);
        body.map_err(|what| Error::malformed(format_args!("{request} gave {what}")))
    }

    /// The body as JSON, of at most [`MAX_BODY`](super::MAX_BODY) bytes, and with a byte order mark too.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::Malformed`] when it is not a `T`.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let (request, status) = (self.request.clone(), self.status);
        match self.json_if_any()? {
            Some(value) => Ok(value),
            None => Err(Error::malformed(format_args!(
                "{request} gave {status} and no body"
            ))),
        }
    }

    /// The same where an API says with a response without a body, 204 for example, that there is nothing: then `None`.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub fn json_if_any<T: DeserializeOwned>(self) -> Result<Option<T>> {
        let request = self.request.clone();
        let body = self.utf8(super::MAX_BODY)?;
        if body.trim_ascii().is_empty() {
            return Ok(None);
        }
        let value = serde_json::from_slice(&body);
        value
            .map(Some)
            .map_err(|error| Error::malformed(format_args!("{request} gave {error}")))
    }

    /// The length that a whole body has, as far as the headers tell.
    fn told_length(&self) -> Option<u64> {
        // A host may have decoded the body and left the length of the encoded one.
        if self.head || matches!(self.status, 204 | 304) || self.header("content-encoding").is_some() {
            return None;
        }
        self.header("content-length")?.parse().ok()
    }

    fn too_long(&self, cap: usize) -> Error {
        too_long(&self.request, cap)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            request,
            status,
            headers,
            ..
        } = self;
        formatter
            .debug_struct("Response")
            .field("request", request)
            .field("status", status)
            .field("headers", headers)
            .finish()
    }
}

fn too_long(request: &str, cap: usize) -> Error {
    Error::malformed(format_args!("{request} gave a body of more than {cap} bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn response() -> Response {
        Response::new(&Request::get("http://a/b?c=1".parse().unwrap()), 200)
    }

    fn chunked(chunks: Vec<Result<Vec<u8>>>) -> Response {
        response().with_chunks(Box::new(chunks.into_iter()))
    }

    #[test]
    fn a_body_is_put_together() {
        let chunks = || vec![Ok(b"ab".to_vec()), Ok(Vec::new()), Ok(b"c".to_vec())];
        assert_eq!(chunked(chunks()).bytes(3).unwrap(), b"abc");
        assert_eq!(
            chunked(chunks())
                .with_header("Content-Length", "3")
                .bytes(3)
                .unwrap(),
            b"abc"
        );
        assert_eq!(response().bytes(0).unwrap(), b"");
    }

    #[test]
    fn a_long_body_is_malformed() {
        let long = Error::malformed("GET http://a/b?c=1 gave a body of more than 2 bytes");
        assert_eq!(
            chunked(vec![Ok(vec![0]), Ok(vec![0, 0])]).bytes(2).unwrap_err(),
            long
        );
        assert_eq!(
            response()
                .with_header("content-length", "3")
                .bytes(2)
                .unwrap_err(),
            long
        );
    }

    #[test]
    fn a_cut_body_is_unavailable() {
        let cut = response().with_body("abc").with_header("content-length", "4");
        assert_eq!(
            cut.bytes(9).unwrap_err(),
            Error::unavailable("GET http://a/b?c=1 gave 3 bytes of 4")
        );
        let reset = Error::unavailable("reset");
        assert_eq!(
            chunked(vec![Ok(vec![0]), Err(reset.clone())])
                .bytes(9)
                .unwrap_err(),
            reset
        );
        let decoded = response().with_body("abc").with_header("content-length", "2");
        assert!(decoded.with_header("content-encoding", "gzip").bytes(9).is_ok());
    }

    #[test]
    fn nothing_is_told_from_something() {
        let json = |body: &str| response().with_body(body).json_if_any::<Vec<u8>>();
        assert_eq!(json("[1]").unwrap(), Some(vec![1]));
        assert_eq!(json("\u{feff}[1]").unwrap(), Some(vec![1]));
        for nothing in ["", " \r\n", "\u{feff}"] {
            assert_eq!(json(nothing).unwrap(), None);
        }
        let empty = Response::new(&Request::get("http://a/b".parse().unwrap()), 204);
        assert_eq!(
            empty.json::<Vec<u8>>().unwrap_err(),
            Error::malformed("GET http://a/b gave 204 and no body")
        );
    }

    #[test]
    fn json_is_typed() {
        assert_eq!(response().with_body("[1]").json::<Vec<u8>>().unwrap(), [1]);
        let error = response().with_body("<html>").json::<Vec<u8>>().unwrap_err();
        assert_eq!(
            error,
            Error::malformed("GET http://a/b?c=1 gave expected value at line 1 column 1")
        );
    }
}
