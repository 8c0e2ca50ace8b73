//! `demo` and `demo-api`, which need nothing that is not in the program.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Running, Settings, Workspace, until};

#[test]
fn the_demo_shows_growth_and_can_be_repeated() {
    let work = Workspace::new();
    let shown = work.run(&["demo", "--rows", "30", "--dir", "demo"]).ok().stdout;
    for text in [
        "serves 30 comments",
        "First run:  30 rows",
        "Second run: 7 rows",
        "sandbar status demo/comments.toml",
    ] {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }
    let table = work.table_at("demo/comments");
    assert_eq!(table.ids(), (1..=37).collect::<Vec<_>>());
    assert_eq!(table.end("comments"), Some(json!({"current": 37})));
    work.run(&["demo", "--rows", "30", "--dir", "demo"]).ok();
    let again = work.table_at("demo/comments").ids();
    assert_eq!(
        again,
        (1..=i32::try_from(again.len()).unwrap()).collect::<Vec<_>>(),
        "each row once"
    );
}

#[test]
fn demo_api_serves_comments_until_it_is_stopped() {
    let work = Workspace::new();
    let api = work.spawn(&["demo-api", "--rows", "12", "--port", "0"]);
    until("the URL is printed", || !api.lines().is_empty());
    let url = api.lines()[0].clone();
    let origin = url.strip_suffix("/comments").unwrap_or_else(|| panic!("{url}"));
    let answer = get(origin, "/comments?_start=10&_limit=5");
    assert!(
        answer.to_ascii_lowercase().contains("\r\nx-total-count: 12\r\n"),
        "{answer}"
    );
    let page = get(origin, "/comments?_page=1&_limit=5").to_ascii_lowercase();
    assert!(
        page.contains("\r\nlink: ") && page.contains("rel=\"next\""),
        "{page}"
    );
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let ids: Vec<_> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [11, 12]);

    work.add(&Settings::at(origin));
    assert_eq!(work.read_available().batches(), [10, 2]);
    stop(api);
}

#[test]
fn the_demos_pipeline_file_runs_again_when_its_api_is_back() {
    let work = Workspace::new();
    let shown = work.run(&["demo", "--rows", "30", "--dir", "demo"]).ok().stdout;
    let command = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("sandbar demo-api "));
    let command = command
        .unwrap_or_else(|| panic!("{shown}"))
        .trim_end_matches(" &");
    let mut arguments = vec!["demo-api"];
    arguments.extend(command.split(' '));
    arguments.splice(arguments.len() - 1.., ["40"]);
    let api = work.spawn(&arguments);
    until("the URL is printed", || !api.lines().is_empty());
    work.run(&["run", "demo/comments.toml", "--available-now"]).ok();
    assert_eq!(work.table_at("demo/comments").ids(), (1..=40).collect::<Vec<_>>());
    stop(api);
}

fn stop(running: Running) {
    running.signal(Signal::TERM);
    running.end().ok();
}

fn get(origin: &str, path: &str) -> String {
    let host = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
