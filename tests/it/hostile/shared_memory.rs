//! One bound on the memory of all components of a process.

use sandbar_hostile::{Call, Mode};

use super::world::{World, hostile};
use crate::support::{Running, Settings};

/// The peak of the process's resident memory in MiB, looked at until it ends.
fn peak(mut running: Running) -> (u64, crate::support::Ended) {
    let status = format!("/proc/{}/status", running.id());
    let mut peak = 0;
    while running.is_running() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) / 1024);
        std::thread::yield_now();
    }
    (peak, running.end())
}

#[test]
fn components_that_take_all_they_may_stay_within_one_bound_together() {
    let world = World::new();
    let names: Vec<_> = (0..8).map(|number| format!("greedy-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        // Some as soon as they are opened.
        let call = [Call::LatestOffset, Call::Open][number % 2];
        let greedy = hostile(&world.api, Mode::Allocate, call)
            .set("source.limits.memory", "'128MiB'")
            .set("source.limits.parallelism", "1");
        world.work.add(&greedy.named(name));
    }
    world
        .work
        .add(&Settings::of(&world.api).set("source.limits.memory", "'64MiB'"));
    let mut arguments = vec!["run".to_owned(), "comments.toml".to_owned()];
    arguments.extend(names.iter().map(|name| format!("{name}.toml")));
    arguments.extend(["--available-now", "--memory", "330MiB"].map(String::from));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (peak, ended) = peak(world.work.spawn(&arguments));
    // The greedy ones come to their own bound, one after the other, and the other pipeline has its turn.
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let refused = ended
        .stderr
        .matches("raise `memory` under [source.limits]")
        .count();
    assert_eq!(refused, names.len(), "{}", ended.stderr);
    assert_eq!(world.work.table().ids(), (1..=25).collect::<Vec<_>>());
    assert!(
        (128..480).contains(&peak),
        "{peak} MiB; eight of them could take 1,024"
    );
}

#[test]
fn a_pipeline_that_could_never_have_its_turn_is_refused_with_the_sum() {
    let world = World::new();
    world.work.add(&Settings::of(&world.api));
    let ended = world
        .work
        .run(&["run", "comments.toml", "--available-now", "--memory", "1GiB"]);
    ended.with_code(2).saying(&[
        "4 partitions at once and one more instance of 256.0 MiB each may take 1.2 GiB",
        "all pipelines together have 1.0 GiB",
        "raise `--memory`",
    ]);
    for wrong in ["much", "10", "1KiB"] {
        let ended = world.work.run(&["run", "comments.toml", "--memory", wrong]);
        ended.with_code(2).saying(&["--memory"]);
    }
}
