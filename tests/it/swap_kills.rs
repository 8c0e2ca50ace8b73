//! Versions of a component take over from each other again and again while the API grows, and the program is killed at
//! random moments in between. In the end every row is in the table once, and the record of versions is whole.
//! `SANDBAR_SWAPS` sets how many swaps (40), `SANDBAR_SEED` repeats a run, `SANDBAR_SWAP_SECONDS` bounds it (600).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sandbar_harness::ScriptedApi;
use sandbar_test_versions::{Change, Flaw};
use serde_json::Value;

use crate::readers::others_see;
use crate::support::{Random, Running, WithVersions, Workspace, say, seed, until, variable};
use crate::swap::swapping;

/// The longest wait between the order of a swap and a kill: about as long as a swap and its probation take.
const SWAP: Duration = Duration::from_millis(150);

/// What came of the swaps.
#[derive(Debug, Default)]
struct Counts {
    swaps: u64,
    taken: u64,
    refused: u64,
    kills: u64,
    rows: u64,
}

#[test]
fn versions_take_over_and_the_program_is_killed_again_and_again() {
    let began = Instant::now();
    let wanted = variable("SANDBAR_SWAPS").unwrap_or(40);
    let bound = Duration::from_secs(variable("SANDBAR_SWAP_SECONDS").unwrap_or(600));
    let mut random = Random(seed());
    println!("SANDBAR_SEED={} SANDBAR_SWAPS={wanted}", random.0);
    let api = ScriptedApi::start(20);
    let settings = swapping(&api)
        .set("source.component", "'one.wasm'")
        .set("trigger.interval", "'5ms'");
    let work = Workspace::with(&settings);
    let one = work.version("one.wasm", &Change::salted("one"));
    let two = work.version("two.wasm", &Change::salted("two"));
    let bad = work.version("bad.wasm", &Change::flawed(Flaw::PanicFrom(0)));
    let known = BTreeSet::from([one, two, bad]);

    let mut counts = Counts {
        rows: 20,
        ..Counts::default()
    };
    let mut running = begin(&work);
    while counts.swaps < wanted && began.elapsed() < bound {
        let file = match random.below(10) {
            0 => "bad.wasm",
            n if n % 2 == 0 => "one.wasm",
            _ => "two.wasm",
        };
        grow(&api, &mut random, &mut counts);
        // What was on probation when the program was killed is refused otherwise.
        let mut order = work.command(&["swap", "comments", file, "--again"]);
        order.env("USER", "tester");
        let order = Running::start(order);
        counts.swaps += 1;
        if random.below(3) == 0 {
            std::thread::sleep(moment(&mut random));
            counts.kills += u64::from(running.kill());
            drop(order.end());
            running = begin(&work);
            continue;
        }
        match order.end().code {
            Some(0) => counts.taken += 1,
            // One on probation is followed by none.
            _ => counts.refused += 1,
        }
        if random.below(2) == 0 {
            grow(&api, &mut random, &mut counts);
            let rows = counts.rows;
            work.until_report("comments", "has read what there is", |report| {
                report["offset"]["current"] == rows
            });
        }
        assert!(running.is_running(), "{}", running.told());
    }
    assert!(running.kill());
    work.read_available();
    let ids = 1..=i32::try_from(counts.rows).unwrap();
    work.table().assert_once(ids.clone());
    let readers: BTreeSet<_> = work.readers("comments").into_iter().collect();
    assert!(readers.is_subset(&known), "{readers:?}");
    let given_up = assert_whole(&work, &known);
    let batches = work.table().batches("comments");
    let noted = |rolled_back: bool| {
        let notes = batches
            .iter()
            .map(|batch| &batch["swap"])
            .filter(|note| !note.is_null());
        notes
            .filter(|note| (note["rolled_back"] == true) == rolled_back)
            .count()
    };
    others_see(&work, ids);
    say(&format!(
        "{} swaps ordered, {} taken, {} refused, {} kills; the table tells of {} swaps and {} that were rolled back, and \
         of the last 100 in the record {given_up} were rolled back or given up; {} rows, once each, by {} versions; {} s",
        counts.swaps,
        counts.taken,
        counts.refused,
        counts.kills,
        noted(false),
        noted(true),
        counts.rows,
        readers.len(),
        began.elapsed().as_secs()
    ));
    assert!(counts.taken * 4 >= counts.swaps, "{counts:?}");
    assert!(counts.kills * 10 >= counts.swaps, "{counts:?}");
    assert!(
        counts.swaps == wanted || counts.swaps >= 40,
        "{bound:?} allow too few"
    );
}

/// The record says nothing that can't be: nobody is on probation, each swap was decided, what runs is kept.
fn assert_whole(work: &Workspace, known: &BTreeSet<String>) -> usize {
    let text = work.read("lake/_checkpoints/comments/component.json");
    let record: Value = serde_json::from_str(&text).unwrap();
    let digest = |of: &Value| of["component"]["digest"].as_str().unwrap().to_owned();
    assert!(record["probation"].is_null(), "{record}");
    let current = digest(&record["current"]);
    assert!(known.contains(&current), "{current}");
    let refused = record["refused"].as_array().into_iter().flatten();
    let refused: Vec<_> = refused.map(digest).collect();
    assert!(!refused.contains(&current), "{refused:?}");
    assert_eq!(
        refused.len(),
        refused.iter().collect::<BTreeSet<_>>().len(),
        "{refused:?}"
    );
    let mut undone = 0;
    for swap in record["swaps"].as_array().unwrap() {
        let state = swap["outcome"]["state"].as_str().unwrap();
        assert!(
            ["promoted", "rolled-back", "interrupted"].contains(&state),
            "{swap}"
        );
        undone += usize::from(state != "promoted");
    }
    let mut swaps = record["swaps"].as_array().unwrap().iter();
    let last_promoted = swaps.rfind(|swap| swap["outcome"]["state"] == "promoted");
    if let Some(swap) = last_promoted {
        assert_eq!(swap["to"]["digest"], current.as_str(), "{swap}");
    }
    let copies = work.files_in("lake/_checkpoints/comments/components");
    assert!(copies.len() <= 4, "{copies:?}");
    let hex = current.trim_start_matches("sha256:");
    assert!(
        copies.iter().any(|path| path.to_str().unwrap().contains(hex)),
        "{current} is not in {copies:?}"
    );
    undone
}

fn begin(work: &Workspace) -> Running {
    let mut running = work.start("comments.toml");
    until("it reads", || {
        assert!(running.is_running(), "{}", running.told());
        work.report("comments")
            .is_some_and(|report| report["state"] == "running")
    });
    running
}

fn grow(api: &ScriptedApi, random: &mut Random, counts: &mut Counts) {
    let more = 5 + random.below(15);
    api.add_rows(more);
    counts.rows += more;
}

fn moment(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(u64::try_from(SWAP.as_micros()).unwrap()))
}
