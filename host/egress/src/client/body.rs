use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::body_redactor::Mask;
use super::charset::Charset;
use super::decode::Decoder;
use super::flood::Meter;
use crate::redact::Redactor;
use crate::{HttpError, HttpUsage};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use sandbar_policy::{LimitKey, Violation, Violations};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

/// How the library of HTTP/2 calls what it closes a connection for (`ENHANCE_YOUR_CALM`).
const EXCESSIVE: &str = "error detected: detected excessive load";

/// A response's body on its way to the component: decoded, counted, without the secrets that it echoes, and ended with
/// an error when it is too long, or pauses or lasts for too long.
pub(crate) struct GuestBody {
    pub(crate) incoming: Incoming,
    pub(crate) decoder: Option<Decoder>,
    pub(crate) charset: Option<Charset>,
    /// Decoded bytes that are still allowed.
    pub(crate) left: u64,
    /// Bytes that are still allowed before they are decoded. Some decode to nothing.
    pub(crate) coded_left: u64,
    pub(crate) max: u64,
    pub(crate) between_bytes: Duration,
    pub(crate) pause: Pin<Box<Sleep>>,
    pub(crate) end: Pin<Box<Sleep>>,
    /// Without its query.
    pub(crate) url: String,
    pub(crate) mask: Option<Mask>,
    /// What comes behind what the mask held.
    pub(crate) behind: Option<Frame<Bytes>>,
    pub(crate) redactor: Redactor,
    pub(crate) usage: Arc<HttpUsage>,
    pub(crate) violations: Violations,
    /// Of the connection.
    pub(crate) meter: Option<Meter>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

type Next = Poll<Option<Result<Frame<Bytes>, HttpError>>>;

impl GuestBody {
    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Next {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = tokio::time::Instant::now() + self.between_bytes;
                self.pause.as_mut().reset(deadline);
                if let (Some(meter), Some(data)) = (&self.meter, frame.data_ref()) {
                    meter.body(data.len() as u64);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(e))) => {
                if let Some(what) = self.misdeed(&e) {
                    self.violations.record(Violation::Remote(format!(
                        "{} {what}; its connection was closed",
                        self.url
                    )));
                    return Poll::Ready(Some(Err(HttpError::Protocol)));
                }
                let cut = e.is_incomplete_message() || e.is_body_write_aborted();
                Poll::Ready(Some(Err(match cut {
                    true => HttpError::ResponseIncomplete,
                    false => HttpError::ConnectionTerminated,
                })))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if self.end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(Err(HttpError::ResponseTimeout)));
                }
                let paused = self.pause.as_mut().poll(context);
                paused.map(|()| Some(Err(HttpError::ReadTimeout)))
            }
        }
    }

    /// What the remote did that no honest one does.
    fn misdeed(&self, error: &hyper::Error) -> Option<String> {
        if let Some(flood) = self.meter.as_ref().and_then(Meter::flood) {
            return Some(flood.to_string());
        }
        // Chunk extensions and trailers without end.
        let mut cause = error.source();
        while let Some(e) = cause {
            let broken = e.downcast_ref::<io::Error>();
            if let Some(broken) = broken.filter(|e| e.kind() == io::ErrorKind::InvalidData) {
                return Some(format!("sent a body that is none: {broken}"));
            }
            // The library of HTTP/2 bounds some kinds of frames itself, and its text alone says so.
            if e.to_string().contains(EXCESSIVE) {
                return Some("sent frames of HTTP/2 without end that belong to no body".to_owned());
            }
            cause = e.source();
        }
        None
    }

    fn count(&mut self, bytes: u64) -> Result<(), HttpError> {
        self.usage.add_bytes(bytes);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.too_long()),
        }
    }

    fn too_long(&self) -> HttpError {
        self.violations.record(Violation::Limit {
            limit: format!("the answer of {} is longer than {} bytes", self.url, self.max),
            key: LimitKey::ResponseBody,
        });
        HttpError::ResponseBodySize
    }

    fn poll_counted(&mut self, context: &mut Context<'_>) -> Next {
        loop {
            if let Some(decoder) = &mut self.decoder {
                match decoder.next() {
                    Ok(Some(piece)) => {
                        let counted = self.count(piece.len() as u64);
                        return Poll::Ready(Some(counted.map(|()| Frame::data(piece))));
                    }
                    Ok(None) => {}
                    Err(_) => {
                        let why = "its body is not coded as its content-encoding says".to_owned();
                        return Poll::Ready(Some(Err(HttpError::ContentCoding(why))));
                    }
                }
            }
            let next = self.poll_incoming(context);
            let Poll::Ready(Some(Ok(frame))) = next else {
                let broken_off = self.decoder.as_ref().is_some_and(|decoder| !decoder.is_whole());
                if matches!(next, Poll::Ready(None)) && broken_off {
                    self.decoder = None;
                    return Poll::Ready(Some(Err(HttpError::ResponseIncomplete)));
                }
                return next;
            };
            let frame = match (&mut self.decoder, frame.into_data()) {
                (Some(decoder), Ok(data)) => {
                    match self.coded_left.checked_sub(data.len() as u64) {
                        Some(left) => self.coded_left = left,
                        None => return Poll::Ready(Some(Err(self.too_long()))),
                    }
                    decoder.feed(data);
                    continue;
                }
                (None, Ok(data)) => Frame::data(data),
                (_, Err(frame)) => frame,
            };
            let counted = self.count(frame.data_ref().map_or(0, |data| data.len() as u64));
            return Poll::Ready(Some(counted.map(|()| frame)));
        }
    }
}

impl GuestBody {
    fn poll_masked(&mut self, context: &mut Context<'_>) -> Next {
        loop {
            if let Some(behind) = self.behind.take() {
                return Poll::Ready(Some(Ok(behind)));
            }
            let Poll::Ready(next) = self.poll_counted(context) else {
                let data = self.mask.as_mut().map(Mask::pause).unwrap_or_default();
                self.tell_echo();
                return match data.is_empty() {
                    true => Poll::Pending,
                    false => Poll::Ready(Some(Ok(Frame::data(data)))),
                };
            };
            let frame = match next {
                Some(Ok(frame)) => Some(frame),
                None => None,
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
            };
            let (data, behind) = match frame.map(Frame::into_data) {
                Some(Ok(data)) => (self.text(data).map(|text| self.hide(text)), None),
                Some(Err(frame)) => (self.rest(), Some(self.trailers(frame))),
                None if self.holds() => (self.rest(), None),
                None => return Poll::Ready(None),
            };
            let data = match data {
                Ok(data) => data,
                Err(e) => return Poll::Ready(Some(Err(e))),
            };
            self.tell_echo();
            self.behind = behind;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn hide(&mut self, data: Bytes) -> Bytes {
        match &mut self.mask {
            Some(mask) => mask.pass(data),
            None => data,
        }
    }

    /// A piece of the body in UTF-8. What it gains in length counts too.
    fn text(&mut self, data: Bytes) -> Result<Bytes, HttpError> {
        let Some(charset) = &mut self.charset else {
            return Ok(data);
        };
        let (length, text) = (data.len(), charset.decode(data, false));
        let text = text.map_err(HttpError::ContentCoding)?;
        self.count(text.len().saturating_sub(length) as u64)?;
        Ok(text)
    }

    fn holds(&self) -> bool {
        self.charset.is_some() || self.mask.as_ref().is_some_and(Mask::holds)
    }

    fn rest(&mut self) -> Result<Bytes, HttpError> {
        let text = match self.charset.take() {
            Some(mut charset) => charset
                .decode(Bytes::new(), true)
                .map_err(HttpError::ContentCoding)?,
            None => Bytes::new(),
        };
        self.count(text.len() as u64)?;
        let hidden = self.hide(text);
        let rest = self.mask.as_mut().map(Mask::rest).unwrap_or_default();
        Ok(match (hidden.is_empty(), rest.is_empty()) {
            (_, true) => hidden,
            (true, false) => rest,
            (false, false) => [hidden, rest].concat().into(),
        })
    }

    fn trailers(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut trailers) => {
                self.redactor.hide_in(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    }

    fn tell_echo(&self) {
        if self.mask.as_ref().is_some_and(Mask::found) && self.redactor.note_echo() {
            let url = self.redactor.redact(&self.url);
            tracing::warn!(%url, "an answer echoes a credential; the component gets * in its place");
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Next {
        self.poll_masked(context)
    }

    fn is_end_stream(&self) -> bool {
        let held = self.behind.is_some() || self.holds();
        self.decoder.is_none() && !held && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.decoder, &self.charset, &self.mask) {
            (None, None, None) => self.incoming.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
