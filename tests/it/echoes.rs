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

/// A credential that is made of several secrets, and one of them as an API may give it back.
const PIECES: [(&str, &str); 9] = [
    (
        "header = 'cookie'\nvalue = 'session=${env:S}; csrf=${env:C}'",
        "first-n33dle-9",
    ),
    (
        "header = 'cookie'\nvalue = 'session=${env:S}; csrf=${env:C}'",
        "second-n33dle-8",
    ),
    (
        "header = 'authorization'\nvalue = 'Token token=\"${env:S}\"'",
        "first-n33dle-9",
    ),
    (
        "query = 'auth'\nvalue = 'key=${env:S}'",
        "key%3Dfirst-n33dle-9 and first-n33dle-9",
    ),
    (
        "basic = { username = '${env:S}', password = '${env:C}' }",
        "first-n33dle-9",
    ),
    (
        "basic = { username = '${env:S}', password = '${env:C}' }",
        "second-n33dle-8",
    ),
    // Read from a file as a whole, and taken to pieces by the API.
    ("header = 'cookie'\nvalue = '${file:cookies}'", "third-n33dle-7"),
    (
        "header = 'authorization'\nvalue = 'Basic ${file:basic}'",
        "fourth-n33dle-6",
    ),
    // As Go, Python and scripts write it.
    ("bearer = '${env:W}'", "w&#43;n33dle\\u003c &quot;6\\/"),
];

#[test]
fn each_piece_of_a_credential_is_hidden_in_rows_and_said_to_be() {
    for (toml, echoed) in PIECES {
        let api = ScriptedApi::start(5);
        api.fault_when(|_| true, Fault::Name(format!("you sent {echoed}!")), usize::MAX);
        let credential = format!("[[source.credentials]]\norigin = '{}'\n{toml}", api.origin());
        let work = Workspace::with(&Settings::of(&api).and(&credential));
        work.write("cookies", "session=third-n33dle-7; csrf=other\n");
        // `me:fourth-n33dle-6`
        work.write("basic", "bWU6Zm91cnRoLW4zM2RsZS02\n");
        let mut command = work.command(&["run", "comments.toml", "--available-now", "-vv"]);
        command.env("S", "first-n33dle-9").env("C", "second-n33dle-8");
        command.env("W", "w+n33dle< \"6/");
        let ended = Running::start(command).end().ok();
        let told = "an answer echoes a credential";
        assert_eq!(ended.stderr.matches(told).count(), 1, "{toml}: {}", ended.stderr);
        assert!(!ended.stderr.contains("n33dle"), "{}", ended.stderr);
        let rows = work.table().rows();
        assert_eq!(rows.len(), 5);
        assert!(
            rows.iter()
                .all(|row| row.name.contains("***") && !row.name.contains("n33dle")),
            "{toml}: {rows:?}"
        );
    }
}

#[test]
fn a_secret_that_is_too_short_to_be_found_is_named_at_the_start_and_not_shown() {
    let api = ScriptedApi::start(5);
    let credential = format!(
        "[[source.credentials]]\norigin = '{}'\nheader = 'cookie'\nvalue = 'session=${{env:S}}; csrf=${{env:C}}'",
        api.origin()
    );
    let work = Workspace::with(&Settings::of(&api).and(&credential));
    let mut command = work.command(&["run", "comments.toml", "--available-now"]);
    command.env("S", "q7q7q7q").env("C", "second-n33dle-8");
    let ended = Running::start(command).end().ok();
    let ended = ended.saying(&["${env:S} is shorter than 8 bytes"]);
    assert!(
        !ended.stderr.contains("env:C") && !ended.stderr.contains("q7q7"),
        "{}",
        ended.stderr
    );
}
