//! Many pipelines in one process: those of a folder that come, change and go, and one that fails beside others that go on.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use sandbar_harness::{Fault, ScriptedApi};
use sandbar_test_versions::{Change, Flaw};
use serde_json::Value;

use crate::support::{BOUND, Ended, Running, Settings, WithVersions, Workspace, until};
use crate::swap::swapping;

/// A pipeline of the folder `fleet`, with a table and a checkpoint location beside it.
fn pipeline(api: &ScriptedApi, name: &str) -> Settings {
    swapping(api)
        .named(name)
        .set("sink.table", &format!("'../lake/{name}'"))
        .set("checkpoint.location", &format!("'../lake/_checkpoints/{name}'"))
}

fn add(work: &Workspace, file: &str, settings: &Settings) {
    // As whoever means well writes it: whole, and at once.
    work.write(&format!("fleet/.{file}"), &settings.to_toml());
    let path = |file: String| work.path("fleet").join(file);
    std::fs::rename(path(format!(".{file}")), path(file.to_owned())).unwrap();
}

fn start(work: &Workspace) -> Running {
    work.spawn(&["run", "fleet/", "--progress", "none"])
}

fn until_read(work: &Workspace, name: &str, rows: u64) {
    work.until_report(name, &format!("has read {rows} rows"), |report| {
        report["offset"]["current"] == rows && report["state"] == "running"
    });
}

fn until_told(running: &Running, text: &str) {
    until(&format!("it says {text:?}"), || running.told().contains(text));
}

fn state(work: &Workspace, name: &str) -> Value {
    work.report(name)
        .map_or(Value::Null, |report| report["state"].clone())
}

fn stop(running: Running) -> Ended {
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

fn assert_once(work: &Workspace, name: &str, rows: i32) {
    let ids = work.table_at(&format!("lake/{name}")).ids();
    assert_eq!(ids, (1..=rows).collect::<Vec<_>>(), "{name}");
}

#[test]
fn files_that_come_change_and_go_are_followed() {
    let api = ScriptedApi::start(20);
    let work = Workspace::new();
    add(&work, "a.toml", &pipeline(&api, "a"));
    add(&work, "b.toml", &pipeline(&api, "b"));
    work.write("fleet/notes.txt", "no pipeline");
    let mut running = start(&work);
    until_read(&work, "a", 20);
    until_read(&work, "b", 20);

    // One more.
    add(&work, "c.toml", &pipeline(&api, "c"));
    until_read(&work, "c", 20);

    // Another key: it goes on where it was, with 10 a batch.
    add(
        &work,
        "a.toml",
        &pipeline(&api, "a").set("source.options.rows_per_batch", "10"),
    );
    until_told(&running, "a: goes on with its changed file");
    api.add_rows(10);
    until_read(&work, "a", 30);
    let last = work.table_at("lake/a").batches("a").pop().unwrap();
    assert_eq!(last["rows"], 10, "{last}");

    // One that can't be used: it goes on with the file before, and that is said.
    work.write("fleet/b.toml", "name = 'b'\n[source]\ncomponent = ");
    until_told(&running, "b.toml");
    add(
        &work,
        "c.toml",
        &pipeline(&api, "c").set("source.component", "'./missing.wasm'"),
    );
    until_told(&running, "c: goes on with the file before: ");
    api.add_rows(5);
    until_read(&work, "b", 35);
    until_read(&work, "c", 35);

    // One that is gone.
    std::fs::remove_file(work.path("fleet/b.toml")).unwrap();
    until_told(&running, "b: stopped, because its file is gone");
    assert_eq!(state(&work, "b"), Value::Null);
    // And comes again.
    add(&work, "b.toml", &pipeline(&api, "b"));
    api.add_rows(5);
    for name in ["a", "b", "c"] {
        until_read(&work, name, 40);
    }
    assert!(running.is_running());
    stop(running);
    for name in ["a", "b", "c"] {
        assert_once(&work, name, 40);
    }
}

#[test]
fn a_file_that_names_another_component_is_a_swap_with_all_its_checks() {
    let api = ScriptedApi::start(20);
    let work = Workspace::new();
    let good = work.version("fleet/good.wasm", &Change::salted("good"));
    let bad = work.version("fleet/bad.wasm", &Change::flawed(Flaw::PanicFrom(0)));
    work.version("fleet/lost.wasm", &Change::flawed(Flaw::Lost));
    let naming = |component: &str| pipeline(&api, "a").set("source.component", &format!("'{component}'"));
    add(&work, "a.toml", &naming("comments"));
    let running = start(&work);
    until_read(&work, "a", 20);
    let first = work.report("a").unwrap()["component"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();

    add(&work, "a.toml", &naming("good.wasm"));
    work.until_report("a", "reads with the good one", |report| {
        report["component"]["digest"] == good.as_str()
    });
    assert_eq!(work.report("a").unwrap()["probation"], true);
    api.add_rows(10);
    work.until_report("a", "has promoted it", |report| report["probation"] == false);
    until_read(&work, "a", 30);

    add(&work, "a.toml", &naming("lost.wasm"));
    until_told(&running, "the new version can't go on at the current offset");
    add(&work, "a.toml", &naming("bad.wasm"));
    until_told(&running, "a: goes on with its changed file");
    work.until_report("a", "reads with the bad one", |report| {
        report["component"]["digest"] == bad.as_str()
    });
    api.add_rows(10);
    until_read(&work, "a", 40);
    let report = work.report("a").unwrap();
    assert_eq!(report["component"]["digest"], good.as_str(), "{report}");
    assert!(report["rolled_back"].as_str().unwrap().contains(&bad), "{report}");
    stop(running);

    // The file still names the one that failed.
    api.add_rows(10);
    let running = start(&work);
    until_read(&work, "a", 50);
    assert_eq!(work.report("a").unwrap()["component"]["digest"], good.as_str());
    // Whoever pins it wants it all the same. It fails once more.
    let pinned = naming("bad.wasm").set("source.digest", &format!("'{bad}'"));
    add(&work, "a.toml", &pinned);
    work.until_report("a", "reads with the bad one", |report| {
        report["component"]["digest"] == bad.as_str()
    });
    api.add_rows(10);
    until_read(&work, "a", 60);
    stop(running);
    assert_once(&work, "a", 60);
    let mut readers = work.readers("a");
    readers.dedup();
    assert_eq!(readers, [first, good]);
}

#[test]
fn a_signal_and_a_command_let_it_look_at_once() {
    let api = ScriptedApi::start(20);
    let work = Workspace::new();
    add(&work, "a.toml", &pipeline(&api, "a"));
    // A file that was named, and no folder: it is read again when it is told to, and only then.
    let mut running = work.spawn(&["run", "fleet/a.toml", "--listen", "127.0.0.1:0", "-v"]);
    until_read(&work, "a", 20);
    add(
        &work,
        "a.toml",
        &pipeline(&api, "a").set("trigger.interval", "'25ms'"),
    );
    running.signal(Signal::HUP);
    until_told(&running, "a: goes on with its changed file");
    let nothing = work.run(&["reload"]).ok();
    nothing.saying(&["nothing changed"]);
    add(
        &work,
        "a.toml",
        &pipeline(&api, "a").set("trigger.interval", "'30ms'"),
    );
    let changed = work.run(&["reload"]).ok();
    changed.saying(&["a: goes on with its changed file"]);
    work.write("fleet/a.toml", "name = 1");
    let bad = work.run(&["reload"]).ok();
    bad.saying(&["a.toml"]);
    api.add_rows(5);
    until_read(&work, "a", 25);
    assert!(running.is_running());
    stop(running);
    assert_once(&work, "a", 25);
}

#[test]
fn a_file_with_another_name_is_the_same_pipeline() {
    let api = ScriptedApi::start(20);
    let work = Workspace::new();
    add(&work, "a.toml", &pipeline(&api, "a"));
    let running = work.spawn(&["run", "fleet", "--listen", "127.0.0.1:0", "-v"]);
    until_read(&work, "a", 20);
    std::fs::rename(work.path("fleet/a.toml"), work.path("fleet/z.toml")).unwrap();
    work.run(&["reload"]).ok();
    api.add_rows(5);
    until_read(&work, "a", 25);
    let told = running.told();
    let (_, address) = told.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap();
    let ready = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    until("the probe says that it runs", || {
        ready().contains("\"state\":\"running\"")
    });
    stop(running);
    assert_once(&work, "a", 25);
}

#[test]
fn one_that_fails_is_tried_again_and_the_others_go_on() {
    let (api, failing) = (ScriptedApi::start(20), ScriptedApi::start(20));
    failing.fault_when(|_| true, Fault::status(401), usize::MAX);
    let work = Workspace::new();
    add(&work, "good.toml", &pipeline(&api, "good"));
    add(&work, "bad.toml", &pipeline(&failing, "bad"));
    work.write("fleet/broken.toml", "name = ");
    let mut running = start(&work);
    until_read(&work, "good", 20);
    until_told(&running, "failed, next try in ");
    until_told(&running, "broken.toml");
    work.until_report("bad", "is told as failed", |report| {
        report["state"] == "failed" && report["error"].as_str().is_some_and(|e| e.contains("401"))
    });
    // Its pauses double.
    until("it was tried three times", || {
        running.told().matches("failed, next try in ").count() >= 3
    });
    api.add_rows(10);
    until_read(&work, "good", 30);
    failing.clear_faults();
    // It need not wait any longer.
    work.run(&["resume", "bad"]).ok();
    until_read(&work, "bad", 20);
    assert!(work.report("bad").unwrap()["error"].is_null());
    assert!(running.is_running());
    stop(running);
    assert_once(&work, "good", 30);
    assert_once(&work, "bad", 20);
}

#[test]
fn each_is_paused_resumed_stopped_and_started_by_its_name() {
    let api = ScriptedApi::start(20);
    let work = Workspace::new();
    add(&work, "a.toml", &pipeline(&api, "a"));
    add(&work, "b.toml", &pipeline(&api, "b"));
    let mut running = start(&work);
    until_read(&work, "a", 20);
    until_read(&work, "b", 20);
    work.run(&["pause", "a"]).ok().saying(&["a: paused"]);
    work.run(&["pause", "a"]).ok();
    assert_eq!(state(&work, "a"), "paused");
    api.add_rows(10);
    until_read(&work, "b", 30);
    assert_eq!(work.report("a").unwrap()["offset"]["current"], 20);
    work.run(&["resume", "fleet/a.toml"]).ok().saying(&["a: goes on"]);
    until_read(&work, "a", 30);

    work.run(&["stop", "a"]).ok().saying(&["a: stopped"]);
    work.run(&["stop", "a"]).ok();
    assert_eq!(state(&work, "a"), "stopped");
    let ended = work.run(&["pause", "a"]).with_code(1);
    ended.saying(&["a", "ended; start it again"]);
    let swapped = work.swap(&["a", "comments"]).with_code(1);
    swapped.saying(&["ended; start it again"]);
    api.add_rows(10);
    until_read(&work, "b", 40);
    work.run(&["start", "a"]).ok().saying(&["a: started"]);
    until_read(&work, "a", 40);
    let twice = work.run(&["start", "a"]).with_code(1);
    twice.saying(&["a", "runs here already"]);
    for command in ["start", "stop", "pause", "resume"] {
        let unknown = work.run(&[command, "c"]).with_code(2);
        unknown.saying(&["\"c\""]);
    }
    // All of them stopped: a folder may bring others.
    for name in ["a", "b"] {
        work.run(&["stop", name]).ok();
    }
    assert!(running.is_running());
    work.run(&["start", "b"]).ok();
    until_read(&work, "b", 40);
    stop(running);
    assert_once(&work, "a", 40);
    assert_once(&work, "b", 40);
}

#[test]
fn two_files_with_one_checkpoint_location_do_not_run_side_by_side() {
    let api = ScriptedApi::start(20);
    let work = Workspace::new();
    let same = pipeline(&api, "b").set("checkpoint.location", "'../fleet/../lake/_checkpoints/a/'");
    add(&work, "a.toml", &pipeline(&api, "a"));
    add(&work, "b.toml", &same);
    let running = start(&work);
    until_read(&work, "a", 20);
    until_told(&running, "have one checkpoint location");
    assert_eq!(state(&work, "b"), Value::Null);
    // Nor may one that runs come to it.
    add(&work, "c.toml", &pipeline(&api, "c"));
    until_read(&work, "c", 20);
    let before = running.told().matches("have one checkpoint location").count();
    let moved = pipeline(&api, "c").set("checkpoint.location", "'../lake/_checkpoints/a'");
    add(&work, "c.toml", &moved);
    until("it is told", || {
        running.told().matches("have one checkpoint location").count() > before
    });
    // And the name counts as well.
    add(
        &work,
        "d.toml",
        &pipeline(&api, "a").set("checkpoint.location", "'../lake/_checkpoints/d'"),
    );
    until_told(&running, "two of the files name the pipeline \"a\"");
    api.add_rows(5);
    until_read(&work, "a", 25);
    until_read(&work, "c", 25);
    stop(running);
    assert_once(&work, "a", 25);
    assert_once(&work, "c", 25);
    assert!(work.files_in("lake/b").is_empty());
}
