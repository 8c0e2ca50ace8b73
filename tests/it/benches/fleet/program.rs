use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::{processor_time, sandbar};

/// `sandbar run` on a folder of pipeline files, with a control socket and a cache of its own.
pub(crate) struct Program {
    process: Child,
    socket: PathBuf,
    /// The progress lines, and when they came.
    batches: Arc<Mutex<Vec<(Instant, Value)>>>,
}

/// What a process takes at a moment.
pub(crate) struct Footprint {
    /// Resident memory in kB.
    pub(crate) resident_kb: u64,
    /// Of that what is no file's.
    pub(crate) anonymous_kb: u64,
    pub(crate) threads: u64,
    pub(crate) files: usize,
    pub(crate) mappings: usize,
}

impl Program {
    /// Runs `folder/pipelines`.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let socket = folder.join("control.sock");
        let mut process = Command::new(sandbar())
            .args(["run", "--progress", "json", "--control"])
            .arg(&socket)
            .args(arguments)
            .arg(folder.join("pipelines"))
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let batches = Arc::new(Mutex::new(vec![]));
        let kept = batches.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let came = Instant::now();
                let batch = serde_json::from_str(&line).unwrap();
                kept.lock().unwrap().push((came, batch));
            }
        });
        Self {
            process,
            socket,
            batches,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The micro-batches so far.
    pub(crate) fn batches(&self) -> Vec<(Instant, Value)> {
        self.batches.lock().unwrap().clone()
    }

    /// Where its pipelines stand; none as long as it does not listen.
    pub(crate) fn reports(&self) -> Vec<Value> {
        match self.ask(&json!({"command": "list"})) {
            Ok(mut answer) => serde_json::from_value(answer["pipelines"].take()).unwrap(),
            // It does not listen yet.
            Err(_) => vec![],
        }
    }

    /// Waits until the reports are so, and returns them.
    #[track_caller]
    pub(crate) fn wait_for(&self, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let reports = self.reports();
            if !reports.is_empty() && is_so(&reports) {
                return reports;
            }
            assert!(began.elapsed() < Duration::from_secs(600), "{reports:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Swaps one pipeline. The answer is the takeover.
    #[track_caller]
    pub(crate) fn swap(&self, pipeline: &str, reference: &str) -> Value {
        let request = json!({"command": "swap", "pipeline": pipeline, "reference": reference});
        let answer = self.ask(&request).unwrap();
        assert!(answer["done"]["pause_ms"].is_f64(), "{answer}");
        answer["done"].clone()
    }

    fn ask(&self, request: &Value) -> std::io::Result<Value> {
        let mut stream = UnixStream::connect(&self.socket)?;
        writeln!(stream, "{request}")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) fn footprint(&self) -> Footprint {
        let folder = PathBuf::from(format!("/proc/{}", self.id()));
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let maps = std::fs::read_to_string(folder.join("maps")).unwrap();
        Footprint {
            resident_kb: number("VmRSS:"),
            anonymous_kb: number("RssAnon:"),
            threads: number("Threads:"),
            files: std::fs::read_dir(folder.join("fd")).unwrap().count(),
            mappings: maps.lines().count(),
        }
    }

    /// Seconds of processors so far.
    pub(crate) fn processor_time(&self) -> f64 {
        processor_time(self.id())
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let asked = Command::new("kill").arg(self.id().to_string()).status();
        assert!(asked.unwrap().success());
        self.process.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
