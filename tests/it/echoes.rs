//! An API that sends back what it was sent, into the very rows.

use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Running, Settings, Workspace};

const SECRET: &str = "n33dle-in-no-other-place";

#[test]
fn rows_that_echo_a_credential_hold_stars_in_its_place_and_the_run_says_so_once() {
    let api = ScriptedApi::start(25);
    api.fault_when(|_| true, Fault::EchoHeader("authorization".into()), usize::MAX);
    let settings = Settings::of(&api).and(&format!(
        "[[source.credentials]]\norigin = '{}'\nbearer = '${{env:API_TOKEN}}'",
        api.origin()
    ));
    let work = Workspace::with(&settings);
    let run = |arguments: &[&str]| {
        let mut command = work.command(arguments);
        command.env("API_TOKEN", SECRET);
        Running::start(command).end().ok()
    };
    let wanted = format!("Bearer {SECRET}");
    let hidden = "*".repeat(wanted.len());
    let preview = run(&["preview", "comments.toml"]);
    assert!(
        preview.stdout.contains("*****") && !preview.stdout.contains("n33dle"),
        "{}",
        preview.stdout
    );
    let ended = run(&["run", "comments.toml", "--available-now", "-vv"]);
    let told = "an answer echoes a credential";
    assert_eq!(ended.stderr.matches(told).count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("n33dle"), "{}", ended.stderr);

    assert!(
        api.requests()
            .iter()
            .all(|request| request.header("authorization") == Some(&wanted))
    );
    let comments = work.table().rows();
    assert_eq!(comments.len(), 25);
    assert!(
        comments.iter().all(|comment| comment.name == hidden),
        "{comments:?}"
    );
}
