use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Memory for lines that are not written yet, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// How long the end waits for a reader that takes no line.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines on their way to a reader, which may be slow: a thread of its own writes them, and whoever hands a line over
/// never waits.
///
/// Lines wait in a queue of bounded memory. If it is full, lines are left out, which is said on stderr, with their
/// number at the end: a slow reader must not stop what is reported. A reader that went away gets no more lines.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    bytes: usize,
    /// Lines that were taken from the queue and are written, or were.
    taken: u64,
    /// A line is being written.
    busy: bool,
    /// The reader went away.
    unread: bool,
    left_out: u64,
    closed: bool,
}

impl Lines {
    /// Lines for `out`, each followed by a line break and a flush.
    pub(crate) fn new(out: impl Write + Send + 'static) -> Self {
        Self::bounded(out, MAX_BYTES)
    }

    fn bounded(out: impl Write + Send + 'static, max_bytes: usize) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        });
        let writer = shared.clone();
        std::thread::spawn(move || writer.write_all(out));
        Self(shared)
    }

    /// Hands a line over. `name` says what it is about, should it be left out.
    pub(crate) fn push(&self, name: &str, line: String) {
        let mut queue = self.0.lock();
        if queue.unread || queue.closed {
            return;
        }
        if queue.bytes + line.len() > self.0.max_bytes {
            queue.left_out += 1;
            let first = queue.left_out == 1;
            drop(queue);
            if first {
                tracing::warn!("the reader of the progress is too slow: lines are left out, {name} first");
            }
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, or nobody reads them any more. Blocks.
    pub(crate) fn finish(&self) {
        self.finish_within(PATIENCE);
    }

    fn finish_within(&self, patience: Duration) {
        let mut queue = self.0.lock();
        queue.closed = true;
        self.0.changed.notify_all();
        while !queue.unread && (queue.busy || !queue.lines.is_empty()) {
            let before = queue.taken;
            let waited = self.0.changed.wait_timeout(queue, patience);
            let timeout;
            (queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() && queue.taken == before {
                break;
            }
        }
        let lost = queue.left_out + queue.lines.len() as u64 + u64::from(queue.busy);
        if lost > 0 && !queue.unread {
            tracing::warn!("{lost} lines of progress were not written, because their reader was too slow");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut out: impl Write) {
        while let Some(line) = self.take() {
            let written = write_line(&mut out, line);
            let mut queue = self.lock();
            queue.busy = false;
            if let Err(e) = written {
                queue.unread = true;
                queue.lines = VecDeque::new();
                drop(queue);
                tracing::warn!(error = %e, "no more progress is shown; the run goes on");
                self.changed.notify_all();
                return;
            }
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// The next line; `None` when there will be none.
    fn take(&self) -> Option<String> {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.taken += 1;
                queue.busy = true;
                return Some(line);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn write_line(out: &mut impl Write, mut line: String) -> io::Result<()> {
    line.push('\n');
    out.write_all(line.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes each write only when it is let.
    struct Reader {
        let_go: Receiver<io::Result<()>>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.let_go.recv().unwrap_or(Ok(()))?;
            self.read.send(String::from_utf8_lossy(bytes).into()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(max_bytes: usize) -> (Lines, Sender<io::Result<()>>, Receiver<String>) {
        let (go, let_go) = channel();
        let (read, reads) = channel();
        (Lines::bounded(Reader { let_go, read }, max_bytes), go, reads)
    }

    #[test]
    fn handing_over_does_not_wait_for_the_reader_and_the_end_does() {
        let (lines, go, reads) = lines(MAX_BYTES);
        for n in 0..100 {
            lines.push("p", n.to_string());
        }
        assert!(reads.try_recv().is_err(), "nothing is read yet");
        drop(go);
        lines.finish();
        let all: Vec<_> = reads.try_iter().collect();
        assert_eq!(all, (0..100).map(|n| format!("{n}\n")).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_leaves_lines_out_in_bounded_memory_and_counts_them() {
        let (lines, go, reads) = lines(10);
        for _ in 0..1000 {
            lines.push("p", "12345".into());
        }
        let left_out = lines.0.lock().left_out;
        // Two wait, and one may be at the reader.
        assert!((997..=998).contains(&left_out), "{left_out}");
        drop(go);
        lines.finish();
        assert_eq!(reads.try_iter().count() as u64, 1000 - left_out);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_never_reads() {
        let (lines, go, reads) = lines(MAX_BYTES);
        lines.push("p", "1".into());
        lines.finish_within(Duration::from_millis(20));
        assert!(reads.try_recv().is_err());
        drop(go);
    }

    #[test]
    fn a_reader_that_went_away_gets_no_more_and_holds_nobody_up() {
        let (lines, go, reads) = lines(MAX_BYTES);
        go.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        lines.push("p", "1".into());
        lines.finish();
        lines.push("p", "2".into());
        lines.finish();
        assert!(reads.try_recv().is_err());
        assert!(lines.0.lock().lines.is_empty());
    }
}
