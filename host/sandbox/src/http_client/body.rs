use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use wasmtime_wasi_http::Error;

use super::decode::Decoder;
use crate::capability::HttpUsage;
use crate::limits::{Violation, Violations};

/// A response's body on its way to the component: decoded, counted, and ended with an error when it is too long, or
/// pauses or lasts for too long.
pub(crate) struct GuestBody {
    pub(crate) incoming: Incoming,
    pub(crate) decoder: Option<Decoder>,
    /// Decoded bytes that are still allowed.
    pub(crate) left: u64,
    pub(crate) most: u64,
    pub(crate) between_bytes: Duration,
    pub(crate) pause: Pin<Box<Sleep>>,
    pub(crate) end: Pin<Box<Sleep>>,
    /// Without its query.
    pub(crate) url: String,
    pub(crate) usage: Arc<HttpUsage>,
    pub(crate) violations: Violations,
    pub(crate) _permit: OwnedSemaphorePermit,
}

type Next = Poll<Option<Result<Frame<Bytes>, Error>>>;

impl GuestBody {
    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Next {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = tokio::time::Instant::now() + self.between_bytes;
                self.pause.as_mut().reset(deadline);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(e))) => {
                let cut = e.is_incomplete_message() || e.is_body_write_aborted();
                Poll::Ready(Some(Err(match cut {
                    true => Error::HttpResponseIncomplete,
                    false => Error::ConnectionTerminated,
                })))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if self.end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(Err(Error::HttpResponseTimeout)));
                }
                let paused = self.pause.as_mut().poll(context);
                paused.map(|()| Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        self.usage.add_bytes(bytes);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.violations.note(Violation::Limit {
                    limit: format!("the answer of {} is longer than {} bytes", self.url, self.most),
                    key: "response_body",
                });
                Err(Error::HttpResponseBodySize(None))
            }
        }
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
                        return Poll::Ready(Some(Err(Error::HttpResponseContentCoding(None))));
                    }
                }
            }
            let next = self.poll_incoming(context);
            let Poll::Ready(Some(Ok(frame))) = next else {
                let broken_off = self.decoder.as_ref().is_some_and(|decoder| !decoder.is_whole());
                if matches!(next, Poll::Ready(None)) && broken_off {
                    self.decoder = None;
                    return Poll::Ready(Some(Err(Error::HttpResponseIncomplete)));
                }
                return next;
            };
            let frame = match (&mut self.decoder, frame.into_data()) {
                (Some(decoder), Ok(data)) => {
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

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Next {
        self.poll_counted(context)
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            None => self.incoming.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}
