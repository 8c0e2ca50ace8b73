use std::cell::RefCell;
use std::fmt;

use serde::de::DeserializeOwned;

use super::{Request, status, text};
#[cfg(target_family = "wasm")]
use crate::bindings::generated::sandbar::connector::http as wit;
use crate::rows::{HeldRows, read_json};
use crate::{Error, Result, Schema, Selection};

/// A body that is still coming in.
pub type Chunks = Box<dyn Iterator<Item = Result<Vec<u8>>>>;

/// What a remote answered.
///
/// Inside a host the body stays there. [`rows`](Self::rows), [`value`](Self::value) and [`count`](Self::count) ask for what is in
/// it, at the speed of the host; [`bytes`](Self::bytes) and what stands on it bring it in.
pub struct Response(Place);

enum Place {
    #[cfg(target_family = "wasm")]
    Host(wit::Response),
    Here(Here),
}

/// A response that is here.
struct Here {
    request: String,
    head: bool,
    status: u16,
    headers: Vec<(String, String)>,
    body: RefCell<Body>,
}

enum Body {
    Coming(Chunks),
    There(Vec<u8>),
}

impl Response {
    /// A response to `request` without headers and body.
    pub fn new(request: &Request, status: u16) -> Self {
        Self(Place::Here(Here {
            request: request.to_string(),
            head: request.method == "HEAD",
            status,
            headers: Vec::new(),
            body: RefCell::new(Body::There(vec![])),
        }))
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn held(response: wit::Response) -> Self {
        Self(Place::Host(response))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Some(here) = self.here_mut() {
            here.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets a body that is there already.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Some(here) = self.here_mut() {
            here.body = RefCell::new(Body::There(body.into()));
        }
        self
    }

    /// Sets a body that is still coming in.
    #[must_use]
    pub fn with_chunks(mut self, chunks: Chunks) -> Self {
        if let Some(here) = self.here_mut() {
            here.body = RefCell::new(Body::Coming(chunks));
        }
        self
    }

    /// What a test or a client of its own made. A response of the host is as it is.
    fn here_mut(&mut self) -> Option<&mut Here> {
        match &mut self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(_) => None,
            Place::Here(here) => Some(here),
        }
    }

    /// The request that this answers, for messages.
    pub fn request(&self) -> String {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => response.request(),
            Place::Here(here) => here.request.clone(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => response.status(),
            Place::Here(here) => here.status,
        }
    }

    /// The first header of that name, without regard to case, trimmed.
    pub fn header(&self, name: &str) -> Option<String> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => response.header(name),
            Place::Here(here) => here.header(name).map(str::to_owned),
        }
    }

    /// This response when its status is 2xx, else the error that the status stands for.
    ///
    /// # Errors
    ///
    /// 401 and 403 are [`Error::Unauthorized`]. 408, 425, 429 and 5xx are [`Error::Unavailable`] with the pause
    /// of a `Retry-After`. All others are [`Error::Malformed`], a redirect with its target. All name the request.
    pub fn error_for_status(self) -> Result<Self> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => response.error_for_status()?,
            Place::Here(_) => status::error(&self).map_or(Ok(()), Err)?,
        }
        Ok(self)
    }

    /// The rows that are selected, in the schema of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] with request, row, field and byte when the body is no JSON or does not fit the schema;
    /// [`Error::Internal`] for a selection that does not.
    pub fn rows(&self, schema: &Schema, selection: &Selection) -> Result<HeldRows> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => Ok(HeldRows(response.rows(&selection.into())?)),
            Place::Here(here) => here.with_text(|text| read_json(schema, text, selection)),
        }
    }

    /// The JSON text of the value at a JSON Pointer (RFC 6901) of the body: `None` where nothing is there.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] with the request when the body is no JSON as far as it is read.
    pub fn value(&self, pointer: &str) -> Result<Option<String>> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => Ok(response.value(pointer)?),
            Place::Here(here) => here.with_text(|text| lookup::value(text, pointer)),
        }
    }

    /// The number of elements of the array at a JSON Pointer of the body, 0 for `null`: `None` where nothing is there.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value); also when something else is there.
    pub fn count(&self, pointer: &str) -> Result<Option<u64>> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => Ok(response.count(pointer)?),
            Place::Here(here) => here.with_text(|text| lookup::count(text, pointer)),
        }
    }

    /// The whole body, of at most `cap` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is longer, [`Error::Unavailable`] when it is cut.
    pub fn bytes(self, cap: usize) -> Result<Vec<u8>> {
        match self.0 {
            #[cfg(target_family = "wasm")]
            Place::Host(response) => match response.size() > cap as u64 {
                true => Err(too_long(&response.request(), cap)),
                false => Ok(response.body()),
            },
            Place::Here(here) => here.bytes(cap),
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
        let request = self.request();
        let body = text::without_mark(self.bytes(cap)?);
        body.map_err(|what| Error::malformed(format_args!("{request} gave {what}")))
    }

    /// The body as JSON, of at most [`MAX_BODY`](super::MAX_BODY) bytes, and with a byte order mark too.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::Malformed`] when it is not a `T`.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let (request, status) = (self.request(), self.status());
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
        let request = self.request();
        let body = self.utf8(super::MAX_BODY)?;
        if body.trim_ascii().is_empty() {
            return Ok(None);
        }
        let value = serde_json::from_slice(&body);
        value
            .map(Some)
            .map_err(|error| Error::malformed(format_args!("{request} gave {error}")))
    }
}

impl Here {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// Lets a function look at the body as UTF-8. Its errors are those of the request.
    fn with_text<T>(&self, look: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let named = |what: &dyn fmt::Display| Error::malformed(format_args!("{} gave {what}", self.request));
        let mut body = self.body.borrow_mut();
        if let Body::Coming(chunks) = &mut *body {
            let chunks = std::mem::replace(chunks, Box::new(std::iter::empty()));
            *body = Body::There(self.collect(chunks, super::MAX_BODY)?);
        }
        let Body::There(bytes) = &mut *body else {
            return Err(Error::internal("a body is read twice"));
        };
        let text = text::without_mark(std::mem::take(bytes)).map_err(|what| named(&what))?;
        let looked = look(&text).map_err(|error| match error {
            Error::Malformed(what) => named(&what),
            other => other,
        });
        *bytes = text;
        looked
    }

    fn bytes(self, cap: usize) -> Result<Vec<u8>> {
        let empty = Body::There(vec![]);
        match self.body.replace(empty) {
            Body::Coming(chunks) => self.collect(chunks, cap),
            Body::There(body) => self.collect(Box::new(std::iter::once(Ok(body))), cap),
        }
    }

    fn collect(&self, chunks: Chunks, cap: usize) -> Result<Vec<u8>> {
        let told = self.told_length();
        if told.is_some_and(|told| told > cap as u64) {
            return Err(too_long(&self.request, cap));
        }
        let mut body = Vec::with_capacity(
            told.and_then(|told| usize::try_from(told).ok())
                .unwrap_or_default(),
        );
        for chunk in chunks {
            let chunk = chunk?;
            if chunk.len() > cap - body.len() {
                return Err(too_long(&self.request, cap));
            }
            if body.capacity() == 0 {
                body = chunk;
            } else {
                body.extend_from_slice(&chunk);
            }
        }
        match told {
            Some(told) if told != body.len() as u64 => {
                let (request, got) = (&self.request, body.len());
                Err(Error::unavailable(format_args!(
                    "{request} gave {got} bytes of {told}"
                )))
            }
            _ => Ok(body),
        }
    }

    /// The length that a whole body has, as far as the headers tell.
    fn told_length(&self) -> Option<u64> {
        // A host may have decoded the body and left the length of the encoded one.
        if self.head || matches!(self.status, 204 | 304) || self.header("content-encoding").is_some() {
            return None;
        }
        self.header("content-length")?.parse().ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("request", &self.request())
            .field("status", &self.status())
            .finish()
    }
}

/// What is looked up in a body that is here: outside of a host by the same code that hosts do it with.
#[cfg(not(target_family = "wasm"))]
mod lookup {
    use sandbar_rows::Document;

    use crate::Result;
    use crate::rows::of_text;

    pub(super) fn value(text: &[u8], pointer: &str) -> Result<Option<String>> {
        let value = Document::new(text).and_then(|document| document.value(pointer));
        value
            .map(|value| value.map(str::to_owned))
            .map_err(|error| of_text(error, text))
    }

    pub(super) fn count(text: &[u8], pointer: &str) -> Result<Option<u64>> {
        let count = Document::new(text).and_then(|document| document.count(pointer));
        count.map_err(|error| of_text(error, text))
    }
}

/// In a component, only bodies that came by `wasi:http` are here.
#[cfg(target_family = "wasm")]
mod lookup {
    use serde_json::Value;

    use crate::{Error, Result};

    pub(super) fn value(text: &[u8], pointer: &str) -> Result<Option<String>> {
        Ok(parsed(text)?.pointer(pointer).map(Value::to_string))
    }

    pub(super) fn count(text: &[u8], pointer: &str) -> Result<Option<u64>> {
        match parsed(text)?.pointer(pointer) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(0)),
            Some(Value::Array(rows)) => Ok(Some(rows.len() as u64)),
            Some(_) => Err(Error::malformed("no array")),
        }
    }

    fn parsed(text: &[u8]) -> Result<Value> {
        serde_json::from_slice(text).map_err(Error::malformed)
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
