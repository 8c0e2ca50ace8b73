use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::text::printable;

const MAX_MESSAGE: usize = 8 << 10;

/// Messages of one instance on their way into the host's log. What is over the limit is dropped, once with
/// a word about it.
#[derive(Clone)]
pub(crate) struct LogCapability {
    pipeline: Arc<str>,
    component: Arc<str>,
    left: Arc<AtomicU64>,
}

impl LogCapability {
    pub(crate) fn new(pipeline: Arc<str>, component: Arc<str>, bytes: u64) -> Self {
        Self {
            pipeline,
            component,
            left: Arc::new(AtomicU64::new(bytes)),
        }
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        let message = printable(message, MAX_MESSAGE);
        // Short messages cost too: each line has a price beside its bytes.
        let cost = message.len() as u64 + 32;
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left > 0).then(|| left.saturating_sub(cost))
            });
        let Ok(left) = left else { return };
        let (pipeline, component) = (&*self.pipeline, &*self.component);
        match level {
            Level::ERROR => tracing::error!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::WARN => tracing::warn!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::INFO => tracing::info!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::DEBUG => tracing::debug!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::TRACE => tracing::trace!(target: "sandbar::component", pipeline, component, "{message}"),
        }
        if left <= cost {
            tracing::warn!(target: "sandbar::component", pipeline, component, "further messages are dropped: the log limit is reached");
        }
    }

    /// The component's standard output or error, line by line.
    pub(crate) fn lines(&self, level: Level) -> LineStream {
        LineStream {
            log: self.clone(),
            level,
        }
    }
}

/// A stream of lines into the log.
#[derive(Clone)]
pub(crate) struct LineStream {
    log: LogCapability,
    level: Level,
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LineWriter {
            stream: self.clone(),
            line: vec![],
        })
    }
}

struct LineWriter {
    stream: LineStream,
    line: Vec<u8>,
}

impl LineWriter {
    fn flush_line(&mut self) {
        if !self.line.is_empty() {
            let text = String::from_utf8_lossy(&self.line);
            self.stream.log.log(self.stream.level, &text);
            self.line.clear();
        }
    }
}

impl AsyncWrite for LineWriter {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let room = MAX_MESSAGE.saturating_sub(self.line.len()).min(part.len());
            self.line.extend_from_slice(&part[..room]);
            if part.ends_with(b"\n") {
                self.flush_line();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flush_line();
        Poll::Ready(Ok(()))
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.flush_line();
    }
}
