//! A component reaches what is granted, and a credential nothing but its own origin.

use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Ended, Settings, Workspace};

/// A needle that is in no other place.
const SECRET: &str = "n33dle-in-no-other-place";

#[test]
fn an_origin_that_is_not_granted_is_refused_with_the_line_to_add() {
    let (api, other) = (ScriptedApi::start(25), ScriptedApi::start(25));
    let settings = Settings::of(&api).set("source.grants.http", &format!("['{}']", other.origin()));
    let work = Workspace::with(&settings);
    let ended = work.run_available("comments").with_code(1);
    let line = format!("http = [\"{}\", \"{}\"]", other.origin(), api.origin());
    let ended = ended.saying(&["was refused GET ", &api.url(), "[source.grants]", &line]);
    assert!(api.requests().is_empty() && other.requests().is_empty());

    // The line is what helps.
    let added = ended
        .stderr
        .lines()
        .find_map(|text| text.split_once("http = "))
        .unwrap()
        .1;
    work.add(&settings.set("source.grants.http", added));
    work.read_available();
    work.table().assert_once(1..=25);
}

#[test]
fn without_grants_nothing_can_be_reached() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("source.grants.http", "[]"));
    let line = format!("http = [\"{}\"]", api.origin());
    work.run_available("comments")
        .with_code(1)
        .saying(&["was refused", &line]);
    assert!(api.requests().is_empty());
}

#[test]
fn a_path_below_which_is_granted_does_not_grant_its_neighbours() {
    let api = ScriptedApi::start(25);
    let grant = |path: &str| format!("['{}{path}']", api.origin());
    let work = Workspace::with(&Settings::of(&api).set("source.grants.http", &grant("/comm")));
    work.run_available("comments")
        .with_code(1)
        .saying(&["was refused"]);
    assert!(api.requests().is_empty());
    work.add(&Settings::of(&api).set("source.grants.http", &grant("/comments")));
    work.read_available();
    work.table().assert_once(1..=25);
}

#[test]
fn a_name_that_leads_to_this_machine_needs_the_private_network() {
    let api = ScriptedApi::start(25);
    let origin = api.origin().replace("127.0.0.1", "localhost");
    let work = Workspace::with(&Settings::at(&origin));
    let refused = work.run_available("comments").with_code(1);
    refused.saying(&[
        "localhost leads to a private address",
        "[source.grants]",
        "private_network = true",
    ]);
    assert!(api.requests().is_empty());

    work.add(&Settings::at(&origin).set("source.grants.private_network", "true"));
    work.read_available();
    work.table().assert_once(1..=25);
}

#[test]
fn an_address_that_is_written_out_needs_no_more() {
    let api = ScriptedApi::start(25);
    let settings = Settings::of(&api).set("source.grants.private_network", "false");
    assert!(settings.to_toml().contains("http://127.0.0.1:"));
    let work = Workspace::with(&settings);
    work.read_available();
    work.table().assert_once(1..=25);
}

/// A pipeline with a credential for the origin, from an environment variable.
fn with_credential(api: &ScriptedApi, origin: &str) -> Settings {
    Settings::of(api).and(&format!(
        "[[source.credentials]]\norigin = '{origin}'\nheader = 'authorization'\nvalue = 'Bearer ${{env:API_TOKEN}}'"
    ))
}

fn run(work: &Workspace, arguments: &[&str]) -> Ended {
    let mut command = work.command(arguments);
    command.env("API_TOKEN", SECRET);
    let ended = crate::support::Running::start(command).end();
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(SECRET), "the secret is shown:\n{text}");
    }
    for file in work.files() {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "the secret lies in {}", file.display());
    }
    ended
}

#[test]
fn a_credential_reaches_the_server_and_no_other_place() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&with_credential(&api, &api.origin()));
    let wanted = format!("Bearer {SECRET}");
    run(
        &work,
        &[
            "run",
            "comments.toml",
            "--available-now",
            "--progress",
            "json",
            "-vv",
        ],
    )
    .ok();
    for command in [
        &["check"][..],
        &["status"],
        &["preview"],
        &["status", "--json"],
        &["check", "--json"],
    ] {
        run(
            &work,
            &[&command[..1], &["comments.toml", "-vv"], &command[1..]].concat(),
        )
        .ok();
    }
    assert!(api.requests().len() > 6);
    for request in api.requests() {
        assert_eq!(
            request.header("authorization"),
            Some(wanted.as_str()),
            "{request:?}"
        );
    }
    work.table().assert_once(1..=25);
}

#[test]
fn a_credential_shows_in_no_error() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&with_credential(&api, &api.origin()));
    let faults = [
        Fault::status(401),
        Fault::HtmlErrorPage,
        Fault::DropConnection,
        Fault::NotJson,
    ];
    for fault in faults {
        let echoing = Fault::Status {
            code: 403,
            headers: vec![],
            body: format!("token {SECRET} is bad"),
        };
        api.fault_when(|_| true, fault, 3);
        run(&work, &["run", "comments.toml", "--available-now", "-vv"]).with_code(1);
        // Not even when the server says it.
        api.fault_next(echoing);
        run(&work, &["run", "comments.toml", "--available-now", "-vv"]);
    }
}

#[test]
fn a_credential_that_is_not_set_or_written_into_the_file_is_refused_before_any_request() {
    let api = ScriptedApi::start(25);
    let settings = with_credential(&api, &api.origin());
    let work = Workspace::with(&settings);
    let unset = work.run_available("comments").with_code(2);
    unset.saying(&["the environment variable API_TOKEN is not set"]);
    work.write(
        "comments.toml",
        &settings.to_toml().replace("${env:API_TOKEN}", SECRET),
    );
    let literal = work
        .run_available("comments")
        .with_code(2)
        .saying(&["holds no reference to a secret"]);
    assert!(!literal.stderr.contains(SECRET), "{}", literal.stderr);
    assert!(api.requests().is_empty());
}

#[test]
fn a_credential_for_another_origin_is_not_sent() {
    let (api, other) = (ScriptedApi::start(25), ScriptedApi::start(25));
    let both = format!("['{}', '{}']", api.origin(), other.origin());
    let settings = with_credential(&api, &other.origin()).set("source.grants.http", &both);
    let work = Workspace::with(&settings);
    run(&work, &["run", "comments.toml", "--available-now"]).ok();
    assert!(
        api.requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert!(other.requests().is_empty());
}
