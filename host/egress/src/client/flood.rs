//! What a remote sends beside bodies, on every connection: counted, and bounded by what was asked of it.
//!
//! `100 Continue` without end, frames of HTTP/2 that say nothing, chunks of one byte, tickets of TLS: none of it comes to
//! a limit on answers, because none of it is part of one, and each of it costs a processor.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::frames::{Frame, Frames};
use crate::cpu::yield_turn;

/// What an idle connection may always send, in bytes a second: pings, settings, tickets.
const PER_SECOND: u64 = 1 << 10;
/// Bytes beside a body after which a connection lets others go first.
const TURN: u64 = 64 << 10;
/// What one answer's head is paid for with, beside its headers.
const HEAD: u64 = 1 << 10;
/// A byte of a request's body may bring one in so many beside a body: windows are updated.
const WRITTEN: u64 = 8;

/// What is spoken on a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// TLS. What it carries pays for it.
    Tls,
    /// HTTP/1.1. Who reads the answers tells what of them was a body.
    Http1,
    /// HTTP/2. Its frames tell what is a body.
    Http2,
}

/// The account of one stream of bytes: what is no body is owed, and bodies, heads, requests and time pay for it.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<Mutex<Account>>);

/// The meter of TLS, for whoever reads what TLS carries.
#[derive(Clone)]
pub(crate) struct Below(pub(crate) Meter);

/// Marks a connection that was closed because of what the remote sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Flood(pub(crate) String);

#[derive(Debug)]
struct Account {
    layer: Layer,
    /// What may be owed.
    max: u64,
    owed: u64,
    paid: Instant,
    /// Bytes and frames since nothing was owed.
    bytes: u64,
    frames: Frames,
    /// HTTP/1.1: the head of the last request's answer came.
    answered: bool,
    below: Option<Meter>,
    flood: Option<Flood>,
}

impl Meter {
    pub(crate) fn new(layer: Layer, max: u64, below: Option<Meter>) -> Self {
        Self(Arc::new(Mutex::new(Account {
            layer,
            max,
            owed: 0,
            paid: Instant::now(),
            bytes: 0,
            frames: Frames::default(),
            answered: false,
            below,
            flood: None,
        })))
    }

    /// The head of an answer came, with headers of so many bytes.
    pub(crate) fn head(&self, headers: u64) {
        let mut account = self.account();
        account.answered = true;
        match account.layer {
            Layer::Http1 => account.pay(u64::MAX),
            _ => account.pay(headers.saturating_add(HEAD)),
        }
    }

    /// Bytes of a body came. They pay for themselves, and for as much that is around them.
    pub(crate) fn body(&self, bytes: u64) {
        let mut account = self.account();
        if account.layer == Layer::Http1 {
            account.pay(bytes.saturating_mul(2));
        }
    }

    /// What the remote did, if that is why the connection was closed.
    pub(crate) fn flood(&self) -> Option<Flood> {
        let account = self.account();
        let below = || account.below.as_ref().and_then(Self::flood);
        account.flood.clone().or_else(below)
    }

    /// Bytes came. Gives whether so much is owed that others should go first at times.
    fn read(&self, bytes: &[u8], now: Instant) -> Result<bool, Flood> {
        let mut account = self.account();
        account.read(bytes, now);
        if let Some(below) = &account.below {
            below.account().pay((bytes.len() as u64).saturating_mul(2));
        }
        account.judge()
    }

    fn wrote(&self, bytes: u64) {
        let mut account = self.account();
        match account.layer {
            // The next request: connections of HTTP/1.1 have one at a time.
            Layer::Http1 if account.answered => {
                account.answered = false;
                account.pay(u64::MAX);
            }
            Layer::Http1 => {}
            Layer::Tls | Layer::Http2 => account.pay(bytes / WRITTEN),
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn read(&mut self, bytes: &[u8], now: Instant) {
        let mut cost = bytes.len() as u64;
        if self.layer == Layer::Http2 {
            cost = 0;
            let mut data = 0;
            self.frames.read(bytes, |frame: Frame| {
                cost += frame.cost;
                data += frame.data;
            });
            self.pay(data);
        }
        if self.owed > 0 {
            let passed = now.saturating_duration_since(self.paid).as_millis();
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            if passed > 0 {
                self.pay(passed.saturating_mul(PER_SECOND) / 1_000);
                self.paid = now;
            }
        } else {
            self.paid = now;
        }
        self.owed = self.owed.saturating_add(cost);
        self.bytes = self.bytes.saturating_add(cost);
    }

    fn pay(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.bytes = 0;
            self.frames.forget();
        }
    }

    fn judge(&mut self) -> Result<bool, Flood> {
        if let Some(flood) = &self.flood {
            return Err(flood.clone());
        }
        if self.owed > self.max {
            let flood = Flood(self.told());
            self.flood = Some(flood.clone());
            return Err(flood);
        }
        let is_body = self.layer == Layer::Http1 && self.answered;
        Ok(self.owed > TURN && !is_body)
    }

    fn told(&self) -> String {
        let bytes = self.bytes;
        match self.layer {
            Layer::Tls => format!("sent {bytes} bytes of TLS that carry next to nothing"),
            Layer::Http1 if self.answered => {
                format!("sent {bytes} bytes of chunks, extensions or trailers around next to no body")
            }
            Layer::Http1 => format!("sent {bytes} bytes of interim responses (1xx) and no answer"),
            Layer::Http2 => format!("sent {} that belong to no body", self.frames.told()),
        }
    }
}

/// A stream of bytes with its meter.
pub(crate) struct Counted<S> {
    stream: TokioIo<S>,
    meter: Meter,
    /// Bytes beside a body since others last went first.
    streak: u64,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S, meter: Meter) -> TokioIo<Self> {
        TokioIo::new(Self {
            stream: TokioIo::new(stream),
            meter,
            streak: 0,
        })
    }
}

impl<S: Connection> Connection for Counted<S> {
    fn connected(&self) -> Connected {
        let connected = self.stream.inner().connected();
        match self.meter.account().layer {
            Layer::Tls => connected.extra(Below(self.meter.clone())),
            _ => connected.extra(self.meter.clone()),
        }
    }
}

impl<S: Read + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.streak > TURN {
            self.streak = 0;
            yield_turn(context);
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &polled {
            Poll::Pending => self.streak = 0,
            Poll::Ready(Ok(())) => {
                let came = buffer.filled().get(before..).unwrap_or_default();
                match self.meter.read(came, Instant::now()) {
                    Ok(false) => self.streak = 0,
                    Ok(true) => self.streak = self.streak.saturating_add(came.len() as u64),
                    Err(flood) => {
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, flood)));
                    }
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<S: Write + Unpin> Counted<S> {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.meter.wrote(*bytes as u64);
        }
        written
    }
}

impl<S: Write + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.count(written)
    }
}

#[cfg(test)]
mod tests;
