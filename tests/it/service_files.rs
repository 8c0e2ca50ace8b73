//! The unit and the manifests of the documentation: for systemd, for the schemas of Kubernetes, and for the program.

use std::path::PathBuf;
use std::process::Command;

use sandbar_runtime::PipelineFile;
use serde_json::Value;

use crate::readers;
use crate::support::{Workspace, repository, say};

const EXAMPLES: &str = "docs/src/examples";
const PROGRAM: &str = "/usr/local/bin/sandbar";
/// The oldest version of Kubernetes whose schemas are asked.
const KUBERNETES: &str = "1.30";

#[test]
fn systemd_understands_the_unit() {
    let work = Workspace::new();
    let verify = |name: &str, text: &str| {
        work.write(name, text);
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]).arg(work.path(name));
        command.output().map(|output| {
            let said = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&said).into_owned()
        })
    };
    let unit = unit();
    let unit = unit.replace(PROGRAM, env!("CARGO_BIN_EXE_sandbar"));
    let Ok(said) = verify("sandbar.service", &unit) else {
        say("systemd-analyze is not installed");
        return;
    };
    assert_eq!(said, "", "what it does not know it ignores, with a message");
    let said = verify(
        "misspelt.service",
        &unit.replace("WatchdogSec", "WatchdogSeconds"),
    );
    assert!(said.unwrap().contains("WatchdogSeconds"));
}

#[test]
fn the_unit_starts_a_command_that_exists() {
    let unit = unit();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let mut words = start.unwrap().split(' ');
    assert_eq!(words.next(), Some(PROGRAM));
    takes(&words.map(str::to_owned).collect::<Vec<_>>());
    // Components would not run with it.
    assert!(unit.contains("\nMemoryDenyWriteExecute=no\n"));
}

#[test]
fn manifests_fit_the_schemas_of_kubernetes_and_the_program() {
    let Some(python) = readers::python() else { return };
    for (name, kind, containers) in [
        (
            "kubernetes-cronjob.yaml",
            "CronJob",
            "/spec/jobTemplate/spec/template/spec/containers",
        ),
        (
            "kubernetes-deployment.yaml",
            "Deployment",
            "/spec/template/spec/containers",
        ),
    ] {
        let path = repository().join(EXAMPLES).join(name);
        let text = readers::script(
            &python,
            "manifests.py",
            &[path.to_str().unwrap(), "--version", KUBERNETES],
        );
        let documents: Vec<Value> = serde_json::from_str(&text).unwrap();
        let kinds: Vec<_> = documents.iter().map(|document| &document["kind"]).collect();
        assert_eq!(kinds, ["ConfigMap", kind], "{name}");

        let mut files = vec![];
        for (file, text) in documents[0]["data"].as_object().unwrap() {
            let path = PathBuf::from("/etc/sandbar").join(file);
            PipelineFile::parse(text.as_str().unwrap(), &path).unwrap_or_else(|e| panic!("{name}: {e}"));
            files.push(path.to_str().unwrap().to_owned());
        }
        let container = &documents[1].pointer(containers).unwrap()[0];
        let arguments = container["args"].as_array().unwrap();
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| argument.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(arguments[arguments.len() - files.len()..], files, "{name}");
        takes(&arguments);
    }
}

#[test]
fn a_manifest_that_is_wrong_is_noticed() {
    let Some(python) = readers::python() else { return };
    let work = Workspace::new();
    let path = repository().join(EXAMPLES).join("kubernetes-deployment.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    work.write("wrong.yaml", &text.replace("replicas:", "replcas:"));
    let script = repository().join("tests/readers/manifests.py");
    let output = Command::new(python)
        .arg(script)
        .arg(work.path("wrong.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("replcas"), "{said}");
}

fn unit() -> String {
    std::fs::read_to_string(repository().join(EXAMPLES).join("sandbar.service")).unwrap()
}

/// Asserts that the program understands these arguments: all that it misses is the file.
fn takes(arguments: &[String]) {
    let work = Workspace::new();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|argument| match argument.as_str() {
            "0.0.0.0:8080" | "127.0.0.1:8080" => "127.0.0.1:0",
            argument => argument,
        })
        .collect();
    let missing = arguments.last().unwrap();
    assert!(missing.starts_with("/etc/sandbar/"), "{arguments:?}");
    work.run(&arguments)
        .with_code(2)
        .saying(&["can't read the pipeline file", missing]);
}
