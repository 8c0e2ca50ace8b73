//! Files that are none: named pipes that nobody writes to, devices without an end, folders, and files of a terabyte.
//! Whatever names them, nothing waits for them and nothing is read without bounds.

use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use sandbar_harness::{Authority, Certificate, ScriptedApi};

use crate::support::{Ended, Running, Settings, Workspace};

const PIPE: &str = "it is a named pipe, not a regular file";
const DEVICE: &str = "it is a device, not a regular file";
const FOLDER: &str = "it is a folder, not a regular file";

/// What can lie at `pipe`, `zero`, `folder` and `huge`, and what is said of it.
fn specials(work: &Workspace, most: u64) -> [(&'static str, String); 4] {
    let path = |name: &str| work.path(name);
    mkfifoat(CWD, path("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    // It takes no place on the disk.
    let huge = std::fs::File::create(path("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    [
        ("pipe", PIPE.to_owned()),
        ("zero", DEVICE.to_owned()),
        ("folder", FOLDER.to_owned()),
        ("huge", format!("it has more than {most} bytes")),
    ]
}

fn run(work: &Workspace, variables: &[(&str, &Path)], arguments: &[&str]) -> Ended {
    let mut command = work.command(arguments);
    command.envs(variables.iter().copied());
    Running::start(command).end()
}

#[test]
fn as_pipeline_files() {
    let work = Workspace::new();
    for (name, says) in specials(&work, 1 << 20) {
        let commands: [&[&str]; 5] = [
            &["run", name],
            &["check", name],
            &["preview", name],
            &["status", name],
            &["reset", name, "--to-offset", "1", "--yes"],
        ];
        for command in commands {
            // The pipeline files of a folder may run.
            if command == ["run", "folder"] {
                continue;
            }
            let ended = run(&work, &[], command).with_code(2);
            ended.saying(&[&says, &format!("can't read the pipeline file {name}")]);
        }
    }
}

#[test]
fn as_components() {
    let api = ScriptedApi::start(5);
    let work = Workspace::new();
    for (name, says) in specials(&work, 64 << 20) {
        let component = format!("./{name}");
        // A component of a terabyte is one that is too large.
        let code = if name == "huge" { 1 } else { 2 };
        work.add(&Settings::of(&api).set("source.component", &format!("'{component}'")));
        for command in [
            ["run", "comments.toml"],
            ["check", "comments.toml"],
            ["inspect", &component],
        ] {
            run(&work, &[], &command).with_code(code).saying(&[&says, name]);
        }
        // What is there stands in the table of a pipeline, whatever its component is.
        let status = run(&work, &[], &["status", "comments.toml", "--json"])
            .ok()
            .json();
        let why = status["latest_error"].as_str().unwrap().to_owned();
        assert!(why.contains(&says), "{why}");
    }
    assert!(api.requests().is_empty());
}

#[test]
fn as_secrets() {
    let api = ScriptedApi::start(5);
    let work = Workspace::new();
    for (name, says) in specials(&work, 64 << 10) {
        let credential = format!(
            "[[source.credentials]]\norigin = '{}'\nbearer = '${{file:{name}}}'",
            api.origin()
        );
        work.add(&Settings::of(&api).and(&credential));
        for command in ["run", "check", "preview"] {
            let ended = run(&work, &[], &[command, "comments.toml"]).with_code(2);
            ended.saying(&["can't read the secret file", name, &says]);
        }
    }
    assert!(api.requests().is_empty());
}

#[test]
fn as_certificates() {
    let authority = Authority::new("tests");
    let api = ScriptedApi::start_tls(5, &authority.vouch(Certificate::default()));
    let work = Workspace::with(&Settings::of(&api));
    for (name, says) in specials(&work, 16 << 20) {
        let path = work.path(name);
        let command = ["run", "comments.toml", "--available-now"];
        let ended = run(&work, &[("SSL_CERT_FILE", &path)], &command).with_code(1);
        ended.saying(&["TLS can't be set up: SSL_CERT_FILE", &says]);
    }
}

#[test]
fn as_keys_of_a_store() {
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&Settings::of(&api).set("sink.table", "'gs://bucket/table'"));
    for (name, says) in specials(&work, 1 << 20) {
        let path = work.path(name);
        for variable in ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"] {
            let command = ["run", "comments.toml", "--available-now"];
            let ended = run(&work, &[(variable, &path)], &command).with_code(2);
            ended.saying(&[variable, &says]);
        }
    }
}
