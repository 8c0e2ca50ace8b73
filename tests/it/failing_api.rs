//! An API that answers badly. What may work later is tried again; whatever happens, the table holds whole
//! micro-batches of real rows.

use std::time::{Duration, Instant};

use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Settings, Workspace};

#[test]
fn what_may_work_later_is_tried_again() {
    let passing = [
        Fault::status(503),
        Fault::status(429),
        Fault::status(500),
        Fault::HtmlErrorPage,
        Fault::DropConnection,
        Fault::CutBody,
    ];
    for fault in passing {
        let api = ScriptedApi::start(25);
        // The first request asks what exists, the fourth one for rows.
        for number in [1, 4] {
            api.fault_at(number, fault.clone());
        }
        let work = Workspace::with(&Settings::of(&api));
        work.read_available();
        assert!(api.requests().len() > 6, "{fault:?} was met");
        work.table().assert_once(1..=25);
    }
}

#[test]
fn the_pause_that_the_api_asks_for_is_kept() {
    let api = ScriptedApi::start(25);
    let busy = |code| Fault::Status {
        code,
        headers: vec![("Retry-After".into(), "1".into())],
        body: String::new(),
    };
    api.fault_at(1, busy(503));
    let work = Workspace::with(&Settings::of(&api).set("retry.max", "'10s'"));
    let began = Instant::now();
    work.read_available();
    // Without the header the pause would be 5 milliseconds.
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    work.table().assert_once(1..=25);
}

#[test]
fn tries_come_to_an_end_and_what_was_committed_stays() {
    let api = ScriptedApi::start(25);
    api.fault_when(
        |r| r.parameter("_start") == Some("15"),
        Fault::status(503),
        usize::MAX,
    );
    let work = Workspace::with(&Settings::of(&api));
    let ended = work.run_available("comments").with_code(1);
    let ended = ended.saying(&["503", "_start=15", "(gave up after 3 attempts)"]);
    assert_eq!(ended.batches(), [10]);
    let asked = api
        .requests()
        .into_iter()
        .filter(|r| r.parameter("_start") == Some("15"));
    assert_eq!(asked.count(), 3);
    work.table().assert_once(1..=10);
}

#[test]
fn refused_credentials_are_not_tried_again() {
    for code in [401, 403] {
        let api = ScriptedApi::start(25);
        api.fault_when(|_| true, Fault::status(code), usize::MAX);
        let work = Workspace::with(&Settings::of(&api));
        let ended = work.run_available("comments").with_code(1);
        ended.saying(&["the remote refuses the credentials", &code.to_string()]);
        assert_eq!(api.requests().len(), 1, "{code}");
    }
}

/// The first run works, the second one meets this answer where it reads rows, and must leave the table as it is.
fn meets(fault: Fault, messages: &[&str]) {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    let before = work.files();
    api.add_rows(7);
    api.fault_when(|r| r.parameter("_limit") != Some("1"), fault.clone(), usize::MAX);
    work.run_available("comments").with_code(1).saying(messages);
    assert_eq!(
        work.files(),
        before,
        "{fault:?}: no commit, and no file left over"
    );
    work.table().assert_once(1..=25);
}

#[test]
fn a_page_for_people_is_no_row_whatever_its_status() {
    meets(Fault::HtmlErrorPage, &["502"]);
    let page = Fault::Status {
        code: 200,
        headers: vec![("content-type".into(), "text/html".into())],
        body: "<html><body>We'll be right back</body></html>".into(),
    };
    meets(page, &["gave no ", "<html>"]);
}

#[test]
fn json_that_is_cut_or_of_another_type_is_no_row() {
    meets(
        Fault::NotJson,
        &["the remote sent something unexpected", "gave row"],
    );
    meets(Fault::WrongType, &["field id"]);
    let object = Fault::Status {
        code: 200,
        headers: vec![],
        body: "{\"error\": \"quota\"}".into(),
    };
    meets(object, &["gave no ", "quota"]);
}

#[test]
fn rows_that_nobody_asked_for_are_not_taken() {
    let api = ScriptedApi::start(25);
    api.fault_when(
        |r| r.parameter("_limit") != Some("1"),
        Fault::IgnoreLimit,
        usize::MAX,
    );
    let work = Workspace::with(&Settings::of(&api));
    work.run_available("comments").with_code(1);
    assert!(work.table().data_files().is_empty());
}

#[test]
fn short_pages_and_a_missing_total_cost_requests_but_no_rows() {
    let api = ScriptedApi::start(25);
    api.fault_when(
        |r| r.parameter("_limit") == Some("5"),
        Fault::ShortPage(2),
        usize::MAX,
    );
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    work.table().assert_once(1..=25);

    let api = ScriptedApi::start(25);
    api.fault_when(|_| true, Fault::NoTotalHeader, usize::MAX);
    let work = Workspace::with(&Settings::of(&api));
    work.read_available();
    api.add_rows(8);
    work.read_available();
    work.table().assert_once(1..=33);
}

#[test]
fn a_redirect_is_followed_where_it_is_granted_and_nowhere_else() {
    let (api, elsewhere) = (ScriptedApi::start(25), ScriptedApi::start(25));
    let moved = elsewhere.url();
    api.fault_when(|_| true, Fault::Redirect(moved.clone()), usize::MAX);
    let work = Workspace::with(&Settings::of(&api));
    let line = format!("http = [\"{}\", \"{}\"]", api.origin(), elsewhere.origin());
    work.run_available("comments").with_code(1).saying(&[
        &format!("was refused GET {moved}, where {} leads to", api.url()),
        &line,
    ]);
    assert!(elsewhere.requests().is_empty());
    assert!(!work.path("lake/comments/_delta_log").exists() || work.table().data_files().is_empty());

    // The same API at another address: each request is led to its like there.
    let (api, model) = (ScriptedApi::start(25), ScriptedApi::start(25));
    Workspace::with(&Settings::of(&model)).read_available();
    for query in model.requests().into_iter().map(|request| request.query) {
        let there = Fault::Redirect(format!("{moved}?{query}"));
        api.fault_when(move |request| request.query == query, there, usize::MAX);
    }
    let both = format!("['{}', '{}']", api.origin(), elsewhere.origin());
    let work = Workspace::with(&Settings::of(&api).set("source.grants.http", &both));
    work.read_available();
    work.table().assert_once(1..=25);
    assert_eq!(elsewhere.requests().len(), api.requests().len());
}

#[test]
fn a_circle_of_redirects_ends_with_a_word_about_it() {
    let api = ScriptedApi::start(25);
    api.fault_when(|_| true, Fault::Redirect(api.url()), usize::MAX);
    let work = Workspace::with(&Settings::of(&api));
    let ended = work.run_available("comments").with_code(1);
    ended.saying(&["was refused GET", "these redirects go in a circle"]);
    assert_eq!(api.requests().len(), 2, "and is not tried again");
}

#[test]
fn requests_and_headers_come_to_an_end_with_the_key_that_allows_more() {
    for (key, value, message) in [
        (
            "requests_per_batch",
            "1",
            "more than 1 HTTP requests for one batch",
        ),
        ("response_headers", "'50B'", "longer than 50 bytes"),
    ] {
        let api = ScriptedApi::start(25);
        // A page is a record batch, and this is the second request for it.
        api.fault_at(1, Fault::Redirect(format!("{}?_limit=1&again", api.url())));
        let work = Workspace::with(&Settings::of(&api).set(&format!("source.limits.{key}"), value));
        let ended = work.run_available("comments").with_code(1);
        ended.saying(&[message, &format!("raise `{key}` under [source.limits]")]);
    }
}

#[test]
fn an_answer_that_is_too_long_is_cut_off_with_the_key_that_allows_it() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("source.limits.response_body", "'300B'"));
    work.run_available("comments")
        .with_code(1)
        .saying(&["300 bytes", "response_body"]);
}
