//! The program as a service: probes, a service manager that listens, and schedules.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use sandbar_harness::ScriptedApi;
use serde_json::Value;

use crate::support::{BOUND, Running, Settings, Workspace, until};

/// The status and the report.
fn probe(address: &str, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Where the program says that it listens.
fn address_of(running: &Running) -> String {
    let find = || {
        let told = running.told();
        let line = told.lines().find(|line| line.contains("serving /healthz"))?;
        let (_, address) = line.split_once("address=")?;
        Some(address.split_whitespace().next()?.to_owned())
    };
    until("it listens", || find().is_some());
    find().unwrap()
}

#[test]
fn probes_tell_when_each_pipeline_has_started() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("trigger.interval", "'50ms'"));
    let command = work.command(&["-v", "run", "comments.toml", "--listen", "127.0.0.1:0"]);
    let running = Running::start(command);
    let address = address_of(&running);
    assert_eq!(probe(&address, "/healthz").0, 200);
    until("it is ready", || probe(&address, "/readyz").0 == 200);
    until("it has read", || {
        probe(&address, "/readyz").1["pipelines"][0]["last_batch"] == 3
    });
    running.signal(Signal::TERM);
    running.end().ok();
}

#[test]
fn a_service_manager_hears_of_start_and_stop() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("trigger.interval", "'50ms'"));
    let manager = UnixDatagram::bind(work.path("notify")).unwrap();
    manager.set_read_timeout(Some(BOUND)).unwrap();
    let mut command = work.command(&["run", "comments.toml"]);
    command
        .env("NOTIFY_SOCKET", work.path("notify"))
        .env("WATCHDOG_USEC", "100000");
    let running = Running::start(command);
    let heard = || {
        let mut message = [0; 1024];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let until_heard = |wanted: &str| while heard() != wanted {};
    until_heard("READY=1");
    until_heard("WATCHDOG=1");
    until_heard("STATUS=1 pipeline: 1 running");
    until_heard("WATCHDOG=1");
    running.signal(Signal::TERM);
    until_heard("STOPPING=1");
    running.end().ok();
}

#[test]
fn a_schedule_is_shown_and_does_not_poll_at_the_start() {
    let api = ScriptedApi::start(25);
    let settings = Settings::of(&api)
        .set("trigger.cron", "'0 0 29 2 *'")
        .set("trigger.time_zone", "'Europe/Berlin'");
    let work = Workspace::with(&settings);
    let text = work.run(&["check", "comments.toml"]).ok().stdout;
    let line = text.lines().find(|line| line.starts_with("  ok  trigger "));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.contains("\"0 0 29 2 *\" in Europe/Berlin: next at ")
            && line.matches("-02-29T00:00:00+01:00").count() == 3,
        "{line}"
    );

    let command = work.command(&["-v", "run", "comments.toml", "--listen", "127.0.0.1:0"]);
    let running = Running::start(command);
    let address = address_of(&running);
    until("it is ready", || probe(&address, "/readyz").0 == 200);
    running.signal(Signal::TERM);
    running
        .end()
        .ok()
        .saying(&["comments: stopped: 0 rows in 0 batches"]);
    let rows: u64 = work.read_available().batches().iter().sum();
    assert_eq!(rows, 25, "a schedule does not count with --available-now");
}
