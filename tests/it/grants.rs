//! A component reaches what is granted, and nothing else.

use sandbar_harness::ScriptedApi;

use crate::support::{Settings, Workspace};

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
