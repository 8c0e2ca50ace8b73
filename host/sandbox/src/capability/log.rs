use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use sandbar_egress::Redactor;
use sandbar_pipeline::Clock;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::{Capability, linked_by_track, redacted};

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[("sandbar:connector/log", "write log messages")],
    add_to_linker: linked_by_track,
};

const MAX_MESSAGE: usize = 8 << 10;
/// What a message costs beside its bytes: short ones fill a log too.
const LINE: u64 = 32;
const PERIOD: Duration = Duration::from_secs(60);

/// How much the instances of one pipeline may still log. Were it counted for each instance, a source with many
/// partitions could log without end.
pub(crate) struct LogBudget {
    max: u64,
    clock: Arc<dyn Clock>,
    period: Mutex<Period>,
}

#[derive(Debug)]
struct Period {
    began: Duration,
    left: u64,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Enough,
    /// This message still, and a word that others follow which are dropped.
    Last,
    None,
}

impl LogBudget {
    /// A budget of `max` bytes in each minute.
    pub(crate) fn new(max: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let period = Period {
            began: clock.elapsed(),
            left: max,
        };
        Arc::new(Self {
            max,
            clock,
            period: Mutex::new(period),
        })
    }

    fn take(&self, bytes: usize, now: Duration) -> Room {
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(period.began) >= PERIOD {
            *period = Period {
                began: now,
                left: self.max,
            };
        }
        let before = period.left;
        period.left = before.saturating_sub(bytes as u64 + LINE);
        match (before, period.left) {
            (0, _) => Room::None,
            (_, 0) => Room::Last,
            _ => Room::Enough,
        }
    }
}

/// Messages of one instance on their way into the host's log. What is over the limit is dropped, once with
/// a word about it.
#[derive(Clone)]
pub(crate) struct LogCapability {
    pipeline: Arc<str>,
    component: Arc<str>,
    budget: Arc<LogBudget>,
    redactor: Redactor,
}

impl LogCapability {
    pub(crate) fn new(
        pipeline: Arc<str>,
        component: Arc<str>,
        budget: Arc<LogBudget>,
        redactor: Redactor,
    ) -> Self {
        Self {
            pipeline,
            component,
            budget,
            redactor,
        }
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        let message = redacted(&self.redactor, message, MAX_MESSAGE);
        let room = self.budget.take(message.len(), self.budget.clock.elapsed());
        if room == Room::None {
            return;
        }
        let (pipeline, component) = (&*self.pipeline, &*self.component);
        match level {
            Level::ERROR => tracing::error!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::WARN => tracing::warn!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::INFO => tracing::info!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::DEBUG => tracing::debug!(target: "sandbar::component", pipeline, component, "{message}"),
            Level::TRACE => tracing::trace!(target: "sandbar::component", pipeline, component, "{message}"),
        }
        if room == Room::Last {
            tracing::warn!(
                target: "sandbar::component", pipeline, component,
                "further messages are dropped: more than {} bytes in a minute; raise `log` under [source.limits] if that is too little",
                self.budget.max
            );
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

#[cfg(test)]
mod tests {
    use sandbar_pipeline::SystemClock;

    use super::*;

    #[test]
    fn a_pipeline_has_room_for_so_much_in_a_minute_whatever_its_instances() {
        let budget = LogBudget::new(1_000, Arc::new(SystemClock::default()));
        let now = budget.clock.elapsed();
        let said: Vec<_> = (0..12).map(|_| budget.take(100, now)).collect();
        assert_eq!(said.iter().filter(|room| **room == Room::Enough).count(), 7);
        assert_eq!(said.iter().filter(|room| **room == Room::Last).count(), 1);
        assert_eq!(said[8..], [Room::None, Room::None, Room::None, Room::None]);
        let later = now + PERIOD * 2;
        assert_eq!(budget.take(100, later), Room::Enough);
        assert_eq!(
            budget.take(2_000, later),
            Room::Last,
            "one message that is too long is the last"
        );
        assert_eq!(budget.take(0, later), Room::None);
    }
}
