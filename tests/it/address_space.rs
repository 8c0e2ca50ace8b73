//! The program where it may have little address space, as batch systems set it with `ulimit -v`.

use std::process::Command;

use sandbar_harness::ScriptedApi;
use sandbar_hostile::{Call, Mode};

use crate::hostile::hostile;
use crate::support::{Ended, Running, Settings, Workspace};

const GIB: u64 = 1 << 30;

/// Runs the program with so many bytes of address space, and with a cache of its own, so that it has to compile.
fn within(bytes: u64, work: &Workspace, arguments: &[&str]) -> Ended {
    let mut inner = work.command(arguments);
    inner.env("XDG_CACHE_HOME", work.path("cache"));
    let mut command = Command::new("sh");
    let limit = format!("ulimit -v {} && exec \"$@\"", bytes / 1024);
    command
        .args(["-c", &limit, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.current_dir(inner.get_current_dir().unwrap());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Running::start(command).end()
}

#[test]
fn a_gibibyte_is_enough_to_compile_and_to_read_in_parallel() {
    let api = ScriptedApi::start(40_000);
    let settings = Settings::of(&api)
        .set("source.options.rows_per_batch", "40000")
        // Pages of some megabytes, which the host holds for its instances.
        .set("source.options.page_size", "10000")
        .set("source.limits.parallelism", "4");
    let work = Workspace::with(&settings);
    within(GIB, &work, &["inspect", "comments"]).ok();
    assert_eq!(work.files_in("cache").len(), 1, "it was compiled");
    within(GIB, &work, &["check", "comments.toml"]).ok();
    within(GIB, &work, &["preview", "comments.toml"]).ok();
    let ended = within(
        GIB,
        &work,
        &["run", "comments.toml", "--available-now", "--progress", "json"],
    )
    .ok();
    assert_eq!(ended.batches(), [40_000]);
    let peak = ended.lines()[0]["peak_memory"].as_u64().unwrap();
    assert!(peak > 3 << 20, "no page was held: {peak} bytes");
    work.table().assert_once(1..=40_000);
    within(GIB, &work, &["status", "comments.toml"]).ok();
}

#[test]
fn limits_hold_there_too_and_what_the_machine_refuses_is_said() {
    let api = ScriptedApi::start(5);
    let work = Workspace::new();
    std::fs::write(work.path("hostile.wasm"), sandbar_hostile::COMPONENT).unwrap();
    let allocates = hostile(&api, Mode::Allocate, Call::LatestOffset).set("source.limits.cpu", "'10s'");
    let cases = [
        ("limited", "'200MiB'", "raise `memory` under [source.limits]"),
        (
            "unlimited",
            "'4GiB'",
            "this process may have no more address space",
        ),
    ];
    for (name, memory, says) in cases {
        work.add(&allocates.clone().set("source.limits.memory", memory).named(name));
        let file = format!("{name}.toml");
        let ended = within(GIB, &work, &["run", &file, "--available-now"]).with_code(1);
        ended.saying(&[says, &format!("pipeline {name}: ")]);
    }
}

#[test]
fn a_compiler_that_needs_more_than_there_is_says_whose_limit_it_is() {
    let api = ScriptedApi::start(5);
    let work = Workspace::with(&Settings::of(&api));
    let ended = within(128 << 20, &work, &["run", "comments.toml", "--available-now"]).with_code(1);
    ended.saying(&["all that this process may have (`ulimit -v`)"]);
}
