use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::until;

/// A run of the program that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// It must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.with_code(0)
    }

    /// It must have ended with this exit status, and have told no user of a panic.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked at"), "{}", self.stderr);
        self
    }

    /// stderr must have all of these.
    #[track_caller]
    pub(crate) fn saying(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
        }
        self
    }

    /// The JSON lines on stdout.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(json).collect()
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{}", self.stdout);
        lines.into_iter().next().unwrap()
    }

    /// The rows of each micro-batch that was reported.
    #[track_caller]
    pub(crate) fn batches(&self) -> Vec<u64> {
        self.lines()
            .iter()
            .map(|line| line["rows"].as_u64().unwrap())
            .collect()
    }
}

/// A run of the program that may still go on. It is killed when the test is through with it.
pub(crate) struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            stdout: Stream::of(child.stdout.take().unwrap()),
            stderr: Stream::of(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The whole lines on stdout so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.stdout.lines.lock().unwrap().clone()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn told(&self) -> String {
        self.stderr.text()
    }

    /// The rows reported so far.
    pub(crate) fn rows(&self) -> u64 {
        self.lines()
            .iter()
            .map(|line| json(line)["rows"].as_u64().unwrap())
            .sum()
    }

    /// Waits until this many rows are reported.
    pub(crate) fn until_rows(&mut self, rows: u64) {
        until(&format!("{rows} rows are reported"), || {
            assert!(self.is_running(), "it ended early: {}", self.stderr.text());
            self.rows() >= rows
        });
    }

    /// Waits until this many micro-batches are reported, or it ended.
    pub(crate) fn until_batches(&mut self, batches: u64) {
        until(&format!("{batches} micro-batches are reported"), || {
            self.lines().len() as u64 >= batches || !self.is_running()
        });
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until a signal stopped it, or it ended. Whether it is stopped.
    #[cfg(target_os = "linux")]
    pub(crate) fn until_stopped(&mut self) -> bool {
        let stat = format!("/proc/{}/stat", self.child.id());
        let mut stopped = false;
        until("it stops or ends", || {
            let text = std::fs::read_to_string(&stat).unwrap();
            let state = text.rsplit(") ").next().and_then(|rest| rest.chars().next());
            stopped = state == Some('T');
            stopped || !self.is_running()
        });
        stopped
    }

    /// Waits until the program catches a signal itself, or it ended.
    #[cfg(target_os = "linux")]
    pub(crate) fn until_caught(&mut self, signal: Signal) {
        let status = format!("/proc/{}/status", self.child.id());
        until("it catches the signal", || {
            let text = std::fs::read_to_string(&status).unwrap();
            let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let mask = mask.map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
            mask.is_some_and(|mask| mask & 1 << (signal.as_raw() - 1) != 0) || !self.is_running()
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it as a power cut would. Whether it was still at work.
    pub(crate) fn kill(mut self) -> bool {
        let at_work = self.is_running();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at_work
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        until("the program ends", || !self.is_running());
        let code = self.child.wait().unwrap().code();
        Ended {
            code,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process writes, read while it runs so that it never has to wait.
struct Stream {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn of(from: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(vec![]));
        let to = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
                to.lock().unwrap().push(line);
            }
        });
        Self {
            lines,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn finish(&mut self) -> String {
        self.reader.take().unwrap().join().unwrap();
        self.text()
    }
}

#[track_caller]
fn json(line: impl AsRef<str>) -> Value {
    let line = line.as_ref();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}
