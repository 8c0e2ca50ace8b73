//! The same through the program: one process with a hostile and a healthy pipeline.

use rustix::process::Signal;
use sandbar_hostile::{Call, Mode};

use super::ipc;
use super::world::{World, hex, hostile};
use crate::support::Settings;

#[test]
fn one_program_runs_a_hostile_pipeline_beside_a_healthy_one() {
    let world = World::new();
    let with = |mode| hostile(&world.api, mode, Call::LatestOffset);
    let other = "{ authority = '127.0.0.1:9', path = '/' }";
    let wrong = format!("[{}]", hex(&ipc::stream(&ipc::words())));
    let cases = [
        (with(Mode::Spin), "raise `cpu` under [source.limits]"),
        (with(Mode::Allocate), "raise `memory` under [source.limits]"),
        (with(Mode::Recurse), "raise `stack` under [source.limits]"),
        (with(Mode::HostHandles), "raise `handles` under [source.limits]"),
        (with(Mode::Panic), "its last words"),
        (with(Mode::Exit), "failed in latest-offset"),
        (with(Mode::Log), "raise `log` under [source.limits]"),
        (with(Mode::Print), "raise `log` under [source.limits]"),
        (
            with(Mode::OtherHost).set("source.options.request", other),
            "http = [\"http://127.0.0.1:",
        ),
        (
            with(Mode::Dictionary).set("source.options.rows", &wrong),
            "dictionaries are not taken",
        ),
        (
            with(Mode::WrongOffsets).set("source.options.rows", "['00']"),
            "breaks the contract in next",
        ),
    ];
    for (number, (settings, says)) in cases.into_iter().enumerate() {
        let (name, beside) = (format!("hostile-{number}"), format!("healthy-{number}"));
        world.work.add(&settings.named(&name));
        world.work.add(&Settings::of(&world.api).named(&beside));
        let files = [format!("{name}.toml"), format!("{beside}.toml")];
        let ended = world.work.run(&[
            "run",
            &files[0],
            &files[1],
            "--available-now",
            "--progress",
            "json",
        ]);
        // Not asked for panics, which a component may well tell of.
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let ended = ended.saying(&[says, &format!("pipeline {name}: ")]);
        assert!(
            ended.stderr.len() < 64 << 10,
            "{name}: {} bytes on stderr",
            ended.stderr.len()
        );
        assert_eq!(ended.batches().iter().sum::<u64>(), 25, "{name}");
        let ids = world.work.table_at(&format!("lake/{beside}")).ids();
        assert_eq!(ids, (1..=25).collect::<Vec<_>>(), "{name}");
        let files = world.work.files_in(&format!("lake/{name}"));
        let rows = files
            .iter()
            .filter(|file| file.extension() == Some("parquet".as_ref()));
        assert_eq!(rows.count(), 0, "{name}");
    }
}

#[test]
fn a_pipeline_that_can_not_be_opened_keeps_no_other_from_running() {
    let world = World::new();
    let fails = hostile(&world.api, Mode::Panic, Call::Open);
    let refuses = fails.clone().set("source.options.mode", "'no-such-mode'");
    // What is said, and the pipeline's name, or the file's: it is shown with its lines.
    let failed = (fails, "its last words", "pipeline fails-");
    let refused = (refuses, "the component refuses its options", "refuses-");
    let cases = [
        (vec![failed.clone()], 1),
        (vec![refused.clone()], 2),
        (vec![refused, failed], 1),
    ];
    for (number, (hostile, code)) in cases.into_iter().enumerate() {
        let mut arguments = vec!["run".to_owned()];
        let mut says = vec![];
        for (settings, said, named) in hostile {
            let kind = named.trim_start_matches("pipeline ");
            world.work.add(&settings.named(&format!("{kind}{number}")));
            arguments.push(format!("{kind}{number}.toml"));
            says.extend([said.to_owned(), format!("{named}{number}")]);
        }
        let beside = format!("beside-{number}");
        world.work.add(&Settings::of(&world.api).named(&beside));
        arguments.push(format!("{beside}.toml"));
        arguments.extend(["--available-now", "--progress", "json"].map(str::to_owned));
        says.push(format!("{beside}: 25 rows in 3 batches"));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let ended = world.work.run(&arguments);
        // Not asked for panics, which a component may well tell of.
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let says: Vec<_> = says.iter().map(String::as_str).collect();
        let ended = ended.saying(&says);
        assert_eq!(ended.batches(), [10, 10, 5]);
        let ids = world.work.table_at(&format!("lake/{beside}")).ids();
        assert_eq!(ids, (1..=25).collect::<Vec<_>>());
    }
}

#[test]
fn a_pipeline_that_is_slow_to_open_keeps_neither_others_nor_a_stop_waiting() {
    let world = World::new();
    // It would open for 50 seconds, and then fail.
    world
        .work
        .add(&hostile(&world.api, Mode::Sleep, Call::Open).named("sleeps"));
    let awake = Settings::of(&world.api).named("awake");
    world.work.add(&awake.set("trigger.interval", "'50ms'"));
    let files = ["run", "sleeps.toml", "awake.toml", "--progress", "json"];
    let mut running = world.work.spawn(&files);
    running.until_rows(25);
    running.signal(Signal::TERM);
    let ended = running.end().ok();
    ended.saying(&["sleeps: stopped: ", "awake: stopped: 25 rows in 3 batches"]);
    let ids = world.work.table_at("lake/awake").ids();
    assert_eq!(ids, (1..=25).collect::<Vec<_>>());
}

#[test]
fn a_source_that_goes_round_in_a_circle_over_several_looks_is_stopped() {
    let world = World::new();
    let circle = hostile(&world.api, Mode::OffsetCircle, Call::Open);
    world
        .work
        .add(&circle.set("trigger.interval", "'10ms'").named("circle"));
    let ended = world.work.run(&["run", "circle.toml", "--progress", "json"]);
    let ended = ended
        .with_code(1)
        .saying(&["it goes back: after 1 comes 0, which was passed before"]);
    assert_eq!(ended.batches(), [3]);
    // An operator may lead it back, for another run.
    world
        .work
        .run(&["reset", "circle.toml", "--to-offset", "0", "--yes"])
        .ok();
    let again = world.work.run_available("circle").ok();
    assert_eq!(again.batches(), [3]);
}

#[test]
fn a_long_offset_is_refused_with_its_key_and_taken_when_that_is_raised() {
    let world = World::new();
    let long = hostile(&world.api, Mode::HugeOffset, Call::Open)
        .set("source.options.size", "100_000")
        .named("long");
    world.work.add(&long);
    let ended = world.work.run_available("long").with_code(1);
    ended.saying(&[
        "it gave an offset of 100002 bytes and may give 65536",
        "raise `offset` under [source.limits]",
    ]);
    world
        .work
        .add(&long.clone().set("source.limits.offset", "'128KiB'"));
    world.work.run_available("long").ok();
    world.work.add(&long.set("source.limits.offset", "'2MiB'"));
    let ended = world.work.run_available("long").with_code(2);
    ended.saying(&["`offset` in [source.limits] can't be", "from \"1B\" to \"1MiB\""]);
}

#[test]
fn a_note_may_have_64_kib_and_no_byte_more() {
    let world = World::new();
    for (name, size, kept) in [("fits", "65_534", Some(65_536)), ("too-long", "65_535", None)] {
        let saves = hostile(&world.api, Mode::SaveHuge, Call::Open).set("source.options.size", size);
        world.work.add(&saves.named(name));
        world.work.run_available(name).ok();
        let note = world
            .work
            .path(&format!("lake/_checkpoints/{name}/source/progress.json"));
        assert_eq!(
            std::fs::metadata(note).ok().map(|found| found.len()),
            kept,
            "{name}"
        );
    }
}

#[test]
fn what_a_component_used_is_reported_with_each_batch() {
    let world = World::new();
    let beside = Settings::of(&world.api).named("used");
    world.work.add(&beside);
    let ended = world.work.run_available("used").ok();
    for line in ended.lines() {
        assert!(line["requests"].as_u64().unwrap() >= 1, "{line}");
        assert!(line["response_bytes"].as_u64().unwrap() > 100, "{line}");
        assert!(line["peak_memory"].as_u64().unwrap() > 64 << 10, "{line}");
        assert!(line["milliseconds"]["guest"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["milliseconds"]["decode"].as_f64().unwrap() > 0.0, "{line}");
    }
}

#[test]
fn escape_sequences_in_rows_do_not_reach_the_terminal() {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};

    let world = World::new();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["\u{1b}]0;owned\u{7}red"]));
    let rows = RecordBatch::try_from_iter([("text", text)]).unwrap();
    let settings = hostile(&world.api, Mode::Healthy, Call::Open)
        .set("source.options.schema", &hex(&ipc::schema(&rows.schema())))
        .set("source.options.rows", &format!("[{}]", hex(&ipc::stream(&rows))));
    world.work.add(&settings.named("escape"));
    let ended = world.work.run(&["preview", "escape.toml"]).ok();
    assert!(
        ended.stdout.contains("\u{fffd}]0;owned\u{fffd}red"),
        "{}",
        ended.stdout
    );
    // Another program gets every character of them.
    let csv = ["preview", "escape.toml", "--format", "csv"];
    let ended = world.work.run(&csv).ok();
    assert_eq!(ended.stdout, "text\n\u{1b}]0;owned\u{7}red\n");
}
