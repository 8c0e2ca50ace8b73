//! Pipelines in a folder of their own, and the program at work there.

#[cfg(unix)]
mod control;
mod process;
mod random;
pub(crate) mod s3_server;
mod settings;
#[cfg(target_os = "linux")]
mod steps;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

#[cfg(unix)]
pub(crate) use control::{WithVersions, ask, sockets};
pub(crate) use process::{Ended, Running};
pub(crate) use random::{Random, hash};
pub(crate) use settings::Settings;
#[cfg(target_os = "linux")]
pub(crate) use steps::{EIO, ENOSPC, Fault, Journal, Step, Watched};
pub(crate) use table::{Comment, Table, current};

/// The longest that anything here may take. Nothing is expected to need a hundredth of it.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// A folder that holds pipeline files and what comes of them. It is gone with the test.
pub(crate) struct Workspace {
    folder: TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        compile_once();
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// One whose files lie in memory, where the machine offers that: for hundreds of short runs, of which the calls
    /// matter and not the disk.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_memory() -> Self {
        compile_once();
        let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        Self {
            folder: folder.unwrap(),
        }
    }

    /// A workspace with one pipeline file, `comments.toml` unless the settings say another name.
    pub(crate) fn with(settings: &Settings) -> Self {
        let work = Self::new();
        work.add(settings);
        work
    }

    /// Writes `<name>.toml`, or overwrites it.
    pub(crate) fn add(&self, settings: &Settings) {
        self.write(&format!("{}.toml", settings.name()), &settings.to_toml());
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.path(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The program in this folder, with nothing of the caller's environment that could matter to it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy().to_ascii_lowercase();
            if known.starts_with("rust_") || known.ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CACHE_HOME", cache());
        command.env("XDG_STATE_HOME", cache());
        // Control sockets lie among the files of the test, which other tests do not see.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.spawn(arguments).end()
    }

    /// Starts the program.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Reads all that is there with `comments.toml`, which must work.
    pub(crate) fn read_available(&self) -> Ended {
        self.run_available("comments").ok()
    }

    /// Reads all that is there with a pipeline of this name, and reports each micro-batch.
    pub(crate) fn run_available(&self, name: &str) -> Ended {
        let file = format!("{name}.toml");
        self.run(&["run", &file, "--available-now", "--progress", "json"])
    }

    /// The table of `comments.toml`.
    pub(crate) fn table(&self) -> Table {
        self.table_at("lake/comments")
    }

    pub(crate) fn table_at(&self, path: &str) -> Table {
        Table::read(&self.path(path))
    }

    /// All files below the folder, in order.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files_below(self.folder.path())
    }

    /// All files below a folder of the workspace, in order; none if it is not there.
    pub(crate) fn files_in(&self, path: &str) -> Vec<PathBuf> {
        files_below(&self.path(path))
    }
}

/// All files below a folder, in order; none if it is not there.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < BOUND, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A number that the caller's environment sets.
pub(crate) fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// The seed of what is random in a test: `SANDBAR_SEED`, or else another one each time.
pub(crate) fn seed() -> u64 {
    variable("SANDBAR_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    })
}

/// Tells whoever runs the tests, who would not see what a passing test prints.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says that a test is left out since this machine lacks a program that `tests/readers/install` or
/// `tests/toolchains/install` brings. With
/// `SANDBAR_REQUIRE_ALL=1`, as in CI, the test fails instead.
#[track_caller]
pub(crate) fn not_installed(program: &str) {
    let text = format!("{program} not installed: run tests/readers/install and tests/toolchains/install");
    let required = std::env::var_os("SANDBAR_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{text} (SANDBAR_REQUIRE_ALL=1)");
    say(&text);
}

/// Where cargo lets tests put files, inside the target folder.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The repository.
pub(crate) fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// A target folder's subfolder that `tests/readers/install` fills, if it did: of this build's target folder, or
/// of the repository's own.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let targets = [
        scratch().parent().unwrap().to_owned(),
        repository().join("target"),
    ];
    targets
        .map(|target| target.join(name))
        .into_iter()
        .find(|folder| folder.is_dir())
}

fn cache() -> PathBuf {
    scratch().join("cache")
}

/// Compiling a component takes seconds. The first test does it, the others find it in the cache.
fn compile_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        command
            .args(["inspect", "comments"])
            .env("XDG_CACHE_HOME", cache())
            .env("XDG_STATE_HOME", cache());
        assert!(
            command.output().unwrap().status.success(),
            "the built-in component must load"
        );
    });
}
