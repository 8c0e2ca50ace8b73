//! A crash at each call that the protocol makes to the outside, of each kind, and a restart that finds each
//! thing that a restart may find. Nothing is sampled: a clean run says how many calls there are.

use std::collections::BTreeMap;

use super::fakes::{At, Effect, Fault, Files, Landed, Point, Status, World, component, position};
use crate::{ComponentId, MicroBatch, OffsetEntry, PipelineError, Remedy, RunSummary};

/// What a restart finds besides the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    SameComponent,
    /// Its version, its digest, its pages and its limit are others.
    NewerComponent,
    CheckpointLost,
    /// Somebody else claimed the next two numbers and never came to a commit.
    LogAhead,
    /// The entry of the last committed batch is gone, and all after it.
    NewestEntryGone,
    /// What lay there before the crashed process wrote anything.
    OlderCopy,
}

/// How a pipeline is made up, and what lies behind it when the process starts that will crash.
#[derive(Clone, Copy, Debug)]
struct Setup {
    sequential: bool,
    carries_offset: bool,
    several_batches: bool,
    /// Ten rows are committed already; where there is an offset log it is full.
    earlier: bool,
}

const FOUND: [Found; 6] = [
    Found::SameComponent,
    Found::NewerComponent,
    Found::CheckpointLost,
    Found::LogAhead,
    Found::NewestEntryGone,
    Found::OlderCopy,
];
const CRASHES: [(Fault, Effect); 6] = [
    (Fault::Crash, Effect::Before),
    (Fault::Crash, Effect::After),
    (Fault::Error, Effect::Before),
    (Fault::Error, Effect::After),
    (Fault::Unavailable, Effect::Before),
    (Fault::Unavailable, Effect::After),
];

fn setups() -> impl Iterator<Item = Setup> {
    (0..16).map(|bits| Setup {
        sequential: bits & 1 > 0,
        carries_offset: bits & 2 > 0,
        several_batches: bits & 4 > 0,
        earlier: bits & 8 > 0,
    })
}

impl Setup {
    fn rows(self) -> u64 {
        10 * u64::from(self.earlier) + if self.several_batches { 23 } else { 7 }
    }

    fn world(self, full_log: &Files) -> World {
        let mut world = World::of(self.sequential, self.carries_offset, self.rows());
        if self.earlier {
            let number = if self.carries_offset { 1 } else { 100 };
            world.table().batches.push(Landed {
                batch: MicroBatch {
                    pipeline: world.options.name.clone(),
                    batch: number,
                    start: world.offset(0),
                    end: world.offset(10),
                    rows: 10,
                    component: component(),
                    source: None,
                    swap: None,
                },
                ids: (1..=10).collect(),
            });
        }
        let full = self.earlier && !self.carries_offset;
        world = world.with_files(if full { full_log.fork() } else { Files::default() });
        world
    }
}

/// A hundred entries, so that each commit prunes one. Those before the last never came to a commit.
async fn full_log(sequential: bool) -> Files {
    let world = World::of(sequential, false, 0).with_files(Files::default());
    for batch in 1..=100 {
        claim(&world, batch, if batch == 100 { 10 } else { 3 }).await;
    }
    world.files.unwrap()
}

async fn claim(world: &World, batch: u64, end: u64) -> bool {
    let entry = OffsetEntry {
        batch,
        start: world.offset(0),
        end: world.offset(end),
        component: component(),
        rows: end,
        source: None,
    };
    world.checkpoint.claim_entry(&entry).await.unwrap()
}

/// Runs a process to its end, `None` if that is a crash. Its future and tasks are dropped then.
async fn run(world: &World) -> Option<Result<RunSummary, PipelineError>> {
    let mut pipeline = world.pipeline();
    tokio::select! {
        biased;
        status = world.process.halted() => {
            assert_eq!(status, Status::Gone);
            None
        }
        result = pipeline.run() => Some(result),
    }
}

/// Changes what the restart finds. `false` where there is no such thing to find.
async fn find(found: Found, crashed: &World, next: &mut World) -> bool {
    let files = crashed.files.as_ref().unwrap();
    let last = crashed.table().last_batch();
    match found {
        Found::SameComponent => {}
        Found::NewerComponent => {
            next.component = ComponentId {
                version: "0.2.0".into(),
                digest: "sha256:01".into(),
                ..component()
            };
            next.options.limit.max_rows = Some(7);
            next.remote().page = 3;
        }
        Found::CheckpointLost => files.lose().await,
        Found::LogAhead => {
            let mut strangers = 0;
            for batch in last + 1.. {
                strangers += u64::from(claim(crashed, batch, 1 + 500 * strangers).await);
                if strangers == 2 {
                    break;
                }
            }
        }
        Found::NewestEntryGone => files.lose_entries_from(last).await,
        Found::OlderCopy => return files.restore_older().await,
    }
    true
}

/// Refuses as long as nothing knows the offset, and goes on once it is told.
async fn refuse_and_reset(next: &World, last: u64) {
    let seen = |world: &World| (world.batches(), world.remote().acknowledged.len());
    let (before, stages) = (seen(next), next.table().stages);
    let error = next.run().await.unwrap_err();
    assert!(
        matches!(error, PipelineError::OffsetUnknown { batch, .. } if batch == last),
        "{error}"
    );
    let remedies = error.remedies();
    assert!(
        matches!(
            remedies[..],
            [
                Remedy::RestoreCheckpointLocation,
                Remedy::ResetOffset { to: None, .. }
            ]
        ),
        "{remedies:?}"
    );
    assert_eq!((seen(next), next.table().stages), (before, stages));
    let reached = next.batches().last().unwrap().2;
    let end = next.offset(reached);
    next.beside().pipeline().reset(end).await.unwrap();
}

/// Runs to the end and finds every row once, the source told, and the offset where it belongs.
async fn finish(next: &World, rows: u64) {
    let before = next.batches().len();
    let summary = next.run().await.unwrap();
    next.assert_exactly_once(rows);
    assert_eq!(summary.offset, Some(next.offset(rows)));
    assert_eq!(next.remote().acknowledged.last(), Some(&next.offset(rows)));
    let note = next.checkpoint.load_note().await.unwrap().unwrap();
    assert_eq!(position(&note.into()), rows);
    for landed in &next.table().batches[before..] {
        assert_eq!(landed.batch.component, next.component);
    }
}

/// All that a process leaves outside of itself.
async fn traces(world: &World) -> impl PartialEq + std::fmt::Debug + use<> {
    let files = world.files.as_ref().unwrap();
    let (note, entries) = (world.checkpoint.load_note().await.unwrap(), files.entries().await);
    let (remote, batches) = (world.remote(), world.batches());
    let told = (remote.asked.len(), remote.produced, remote.acknowledged.clone());
    (note, entries, batches, world.table().stages, told)
}

/// One case. `None` if it can't be; else whether the offset was unknown.
async fn case(world: World, n: usize, (fault, effect): (Fault, Effect), found: Found) -> Option<bool> {
    world.process.meets(At::Call(n), effect, fault);
    let ended = run(&world).await;
    let traces = traces(&world).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(self::traces(&world).await, traces, "from beyond the grave");
    assert_eq!(world.remote().open, 0, "readings left");
    assert_eq!(ended.is_none(), fault == Fault::Crash);
    assert_eq!(world.process.unmet(), []);
    let reached = world.batches().last().map_or(0, |(_, _, end)| *end);
    world.assert_exactly_once(reached);

    let mut next = world.beside();
    if !find(found, &world, &mut next).await {
        return None;
    }
    let last = world.table().last_batch();
    let entries = world.files.as_ref().unwrap().entries().await;
    let unknown = !world.carries_offset && last > 0 && !entries.contains(&last);
    if unknown {
        refuse_and_reset(&next, last).await;
    }
    let rows = next.remote().rows;
    finish(&next, rows).await;
    next.remote().rows += 4;
    finish(&next, rows + 4).await;
    Some(unknown)
}

fn is_source(point: Point) -> bool {
    use Point::{Acknowledge, InitialOffset, Look, Next, Partitions, Plan, Read};
    [InitialOffset, Look, Plan, Partitions, Read, Next, Acknowledge].contains(&point)
}

#[tokio::test]
async fn after_a_crash_at_any_call_whatever_a_restart_finds_rows_come_once() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut total, mut refused) = (0, 0);
    for setup in setups() {
        let full_log = full_log(setup.sequential).await;
        let clean = setup.world(&full_log);
        clean.run().await.unwrap();
        clean.assert_exactly_once(setup.rows());
        let points = clean.process.points();
        for (n, point) in (1..).zip(&points) {
            for (fault, effect) in CRASHES {
                if fault == Fault::Unavailable && !is_source(*point) {
                    continue;
                }
                for found in FOUND {
                    let world = setup.world(&full_log);
                    let told = format!("{setup:?} {fault:?} {effect:?} {n} {point:?} {found:?}");
                    let _shown = Shown(told);
                    let Some(unknown) = case(world, n, (fault, effect), found).await else {
                        continue;
                    };
                    total += 1;
                    refused += usize::from(unknown);
                    for of in [
                        format!("point {point:?}"),
                        format!("crash {fault:?} {effect:?}"),
                        format!("found {found:?}"),
                        format!("sequential {}", setup.sequential),
                        format!("offset in the table {}", setup.carries_offset),
                        format!("several batches {}", setup.several_batches),
                        format!("earlier batches {}", setup.earlier),
                    ] {
                        *counts.entry(of).or_default() += 1;
                    }
                }
            }
        }
    }
    println!("{total} crashes, {refused} with an unknown offset");
    for (of, count) in &counts {
        println!("{count:6} {of}");
    }
    // 19 points, 6 kinds of crash, 6 findings, 4 setups of two each.
    assert_eq!(counts.len(), 19 + 6 + 6 + 4 * 2, "a dimension is missing");
    assert!(total > 15_000 && refused > 2_000, "{total}, {refused}");
}

#[tokio::test]
async fn after_a_crash_at_any_call_of_a_reset_it_happened_or_it_did_not() {
    let (mut total, mut happened) = (0, 0);
    for setup in setups().filter(|setup| setup.earlier) {
        let full_log = full_log(setup.sequential).await;
        let fresh = || setup.world(&full_log);
        let clean = fresh();
        clean.pipeline().reset(clean.offset(10)).await.unwrap();
        let calls = clean.process.points().len();
        for n in 1..=calls {
            for (fault, effect) in CRASHES {
                let world = fresh();
                let _shown = Shown(format!("{setup:?} {fault:?} {effect:?} {n}"));
                world.process.meets(At::Call(n), effect, fault);
                let mut pipeline = world.pipeline();
                tokio::select! {
                    biased;
                    _ = world.process.halted() => {}
                    _ = pipeline.reset(world.offset(10)) => {}
                }
                assert_eq!(world.process.unmet(), []);
                let batches = world.batches();
                assert!(matches!(batches[..], [_] | [_, (_, 10, 10)]), "{batches:?}");
                (total, happened) = (total + 1, happened + batches.len() - 1);
                finish(&world.beside(), setup.rows()).await;
            }
        }
    }
    println!("{total} crashes of a reset, which happened in {happened}");
    assert!(total > 150 && happened > 30, "{total}, {happened}");
}

/// Says which case it was when one fails.
pub(super) struct Shown(pub(super) String);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the case {}", self.0);
        }
    }
}
