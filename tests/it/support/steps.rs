use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Running, Workspace, repository, scratch};

/// Input/output error.
pub(crate) const EIO: i32 = 5;
/// No space left on device.
pub(crate) const ENOSPC: i32 = 28;

/// What the program meets at one of its file steps, in the words of `tests/README.md`: see `file_steps.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    CrashBefore,
    CrashHalf,
    CrashAfter,
    ErrorBefore(i32),
    ErrorAfter(i32),
    PauseBefore,
    /// From this step on there is no room left.
    FullFrom,
}

/// A call of the program that changes what lies in the workspace's lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) call: String,
    /// Below `lake`; the new one of a link or rename.
    pub(crate) path: String,
    /// Whether the system itself refused it, as when a folder is there already.
    pub(crate) failed: bool,
}

impl Step {
    /// What is changed, and how: steps of one kind do the same work, for another file or micro-batch.
    pub(crate) fn kind(&self) -> String {
        let file = self.path.split('#').next().unwrap_or_default();
        let what = if file.ends_with(".parquet") && file.contains(".checkpoint.") {
            "log checkpoint"
        } else if file.ends_with(".parquet") {
            "data file"
        } else if file.ends_with("_last_checkpoint") {
            "pointer to the log checkpoint"
        } else if file.ends_with(".crc") {
            "checksum file"
        } else if file.contains("_delta_log/") {
            "log entry"
        } else if file.contains("/offsets/") {
            "offset entry"
        } else if file.ends_with("progress.json") {
            "progress note"
        } else {
            return format!("folder {:?}: {}", self.path, self.call);
        };
        format!("{what}: {}", self.call)
    }

    pub(crate) fn parent(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

/// The file steps of one run, as it made them.
pub(crate) struct Journal {
    pub(crate) steps: Vec<Step>,
    /// Whether the fault came.
    pub(crate) met: bool,
}

impl Journal {
    fn read(file: &Path) -> Self {
        let (mut steps, mut met): (Vec<Step>, _) = (vec![], false);
        for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
            let parts: Vec<_> = line.split('\t').collect();
            let [_, call, path] = parts[..] else {
                panic!("{line:?} is no step")
            };
            let path = path.trim_end_matches('/');
            match call {
                "!" => met = true,
                "failed" => {
                    let of = steps.iter_mut().rfind(|step| step.path == path);
                    of.unwrap().failed = true;
                }
                call => steps.push(Step {
                    call: call.into(),
                    path: path.into(),
                    failed: false,
                }),
            }
        }
        Self { steps, met }
    }
}

/// Runs of the program in a workspace whose file steps are written down.
pub(crate) struct Watched<'a> {
    work: &'a Workspace,
    journal: PathBuf,
}

impl<'a> Watched<'a> {
    /// `name` tells runs in one workspace apart.
    pub(crate) fn new(work: &'a Workspace, name: &str) -> Self {
        let journal = work.path(&format!("{name}.journal"));
        Self { work, journal }
    }

    /// Starts `run --available-now`, which meets the fault at that step, counted from 1.
    pub(crate) fn spawn(&self, fault: Option<(Fault, usize)>) -> Running {
        let _ = std::fs::remove_file(&self.journal);
        let mut command =
            self.work
                .command(&["run", "comments.toml", "--available-now", "--progress", "json"]);
        let folder = self.work.path("").canonicalize().unwrap().join("lake");
        command
            .env("LD_PRELOAD", library())
            .env("FILE_STEPS_FOLDER", folder)
            .env("FILE_STEPS_JOURNAL", &self.journal);
        if let Some((fault, at)) = fault {
            let (name, error) = match fault {
                Fault::CrashBefore => ("crash-before", 0),
                Fault::CrashHalf => ("crash-half", 0),
                Fault::CrashAfter => ("crash-after", 0),
                Fault::ErrorBefore(error) => ("error-before", error),
                Fault::ErrorAfter(error) => ("error-after", error),
                Fault::PauseBefore => ("pause-before", 0),
                Fault::FullFrom => ("full-from", 0),
            };
            command
                .env("FILE_STEPS_FAULT", name)
                .env("FILE_STEPS_AT", at.to_string())
                .env("FILE_STEPS_ERROR", error.to_string());
        }
        Running::start(command)
    }

    /// The steps so far.
    pub(crate) fn journal(&self) -> Journal {
        Journal::read(&self.journal)
    }
}

/// The library that watches, compiled once. A C compiler is needed for the build anyway.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = repository().join("tests/it/support/file_steps.c");
        let (library, made) = (
            scratch().join("file_steps.so"),
            scratch().join(format!("file_steps-{}.so", std::process::id())),
        );
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let mut command = Command::new(compiler);
        command
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&made, &source]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        // Another test run may have the old one loaded: it is replaced as a whole.
        std::fs::rename(made, &library).unwrap();
        library
    })
}
