use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use sandbar_test_versions::{Change, version};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{BOUND, Ended, Running, Workspace, repository, until};

/// The control sockets of the runs in a workspace.
pub(crate) fn sockets(work: &Workspace) -> Vec<PathBuf> {
    work.files_in("sandbar")
}

/// Sends one line to a control socket, and returns the answer.
pub(crate) fn ask(socket: &Path, request: &[u8]) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(BOUND)).unwrap();
    // Whoever refuses what comes does not read all of it.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// What tests of swaps do in a workspace.
pub(crate) trait WithVersions {
    /// Writes a version of the comments component. The name of the file tells nothing of it. Returns its digest.
    fn version(&self, file: &str, change: &Change) -> String;

    /// Writes the comments component that was built when the track was released. Returns its digest.
    fn released(&self, file: &str) -> String;

    /// Writes a component, as a whole and at once. Returns its digest.
    fn component(&self, file: &str, bytes: &[u8]) -> String;

    /// `run FILE` until it is stopped, which reports micro-batches.
    fn start(&self, file: &str) -> Running;

    /// `swap`, with the rest of the command line.
    fn swap(&self, arguments: &[&str]) -> Ended;

    /// Where the pipelines of all runs here stand, by the runs themselves.
    fn reports(&self) -> Vec<Value>;

    /// Where one of them stands.
    fn report(&self, pipeline: &str) -> Option<Value>;

    /// Waits until a pipeline is reported so.
    fn until_report(&self, pipeline: &str, what: &str, is_so: impl FnMut(&Value) -> bool);

    /// What `status --json` says.
    fn status(&self, pipeline: &str) -> Value;

    /// The digest of the component that read each micro-batch in the table.
    fn readers(&self, pipeline: &str) -> Vec<String>;
}

impl WithVersions for Workspace {
    fn version(&self, file: &str, change: &Change) -> String {
        self.component(file, &version(change))
    }

    fn released(&self, file: &str) -> String {
        let kept = repository().join("tests/data/0.1.0/components/comments-rust.wasm");
        self.component(file, &std::fs::read(kept).unwrap())
    }

    fn component(&self, file: &str, bytes: &[u8]) -> String {
        let (path, made) = (self.path(file), self.path(&format!("{file}.new")));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&made, bytes).unwrap();
        std::fs::rename(made, path).unwrap();
        let hex: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sha256:{hex}")
    }

    fn start(&self, file: &str) -> Running {
        self.spawn(&["run", file, "--progress", "json"])
    }

    fn swap(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(&[&["swap"], arguments].concat());
        command.env("USER", "tester");
        Running::start(command).end()
    }

    fn reports(&self) -> Vec<Value> {
        let answers = sockets(self).into_iter();
        let answers = answers.filter_map(|socket| ask(&socket, b"{\"command\":\"list\"}\n"));
        answers
            .flat_map(|answer| answer["pipelines"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    fn report(&self, pipeline: &str) -> Option<Value> {
        let mut reports = self.reports().into_iter();
        reports.find(|report| report["pipeline"] == pipeline)
    }

    fn until_report(&self, pipeline: &str, what: &str, mut is_so: impl FnMut(&Value) -> bool) {
        until(&format!("{pipeline} {what}"), || {
            self.report(pipeline).is_some_and(|report| is_so(&report))
        });
    }

    fn status(&self, pipeline: &str) -> Value {
        let file = format!("{pipeline}.toml");
        self.run(&["status", &file, "--json", "--history"]).ok().json()
    }

    fn readers(&self, pipeline: &str) -> Vec<String> {
        let batches = self.table_at(&format!("lake/{pipeline}")).batches(pipeline);
        let digest = |batch: Value| batch["component"]["digest"].as_str().unwrap().to_owned();
        batches.into_iter().map(digest).collect()
    }
}
