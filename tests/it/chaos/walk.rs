//! A long walk through everything that can happen, by a seed that is printed. `SANDBAR_SEED` repeats it,
//! `SANDBAR_ACTIONS` says how long it is (2,000).

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_harness::store::{Fault, Process, Step, StepKind, Turns};
use sandbar_pipeline::{PipelineError, RunSummary, SinkError};

use super::world::{Setup, World};
use crate::support::{Random, hash, say, seed, variable};

/// Actions in one world, before its table gets too long to be checked after each of them.
const ACTIONS_PER_WORLD: u64 = 50;

/// What a walk met.
#[derive(Default)]
struct Walk {
    actions: u64,
    steps: usize,
    faults: usize,
    refusals: usize,
    superseded: usize,
    late: usize,
    /// Whether entries of the offset log were taken away, so that the offset may be unknown.
    taken: bool,
    /// What happened, in words.
    trace: String,
}

#[tokio::test]
async fn a_random_walk_keeps_every_row_once() {
    let (seed, actions) = (seed(), variable("SANDBAR_ACTIONS").unwrap_or(2000));
    say(&format!("SANDBAR_SEED={seed} SANDBAR_ACTIONS={actions}"));
    let walk = walk(seed, actions).await;
    say(&format!(
        "random walk: {} actions, {} steps, {} faults, {} late writes, {} refusals to guess, {} runners stopped by another",
        walk.actions, walk.steps, walk.faults, walk.late, walk.refusals, walk.superseded
    ));
    assert!(walk.faults as u64 > actions / 10 && walk.late > 0 && walk.superseded > 0);
}

#[tokio::test]
async fn a_random_walk_can_be_repeated() {
    let seed = 20_261_122;
    let (first, second) = (walk(seed, 100).await, walk(seed, 100).await);
    assert_eq!(first.trace, second.trace);
    assert_ne!(first.trace, walk(seed + 1, 100).await.trace);
}

async fn walk(seed: u64, actions: u64) -> Walk {
    let mut walk = Walk::default();
    let mut random = Random(seed);
    let setups: Vec<_> = Setup::all().collect();
    while walk.actions < actions {
        let setup = setups[random.below(setups.len() as u64) as usize];
        let _ = writeln!(walk.trace, "{setup:?}");
        let world = World::new(setup).await;
        let mut gone: Vec<Arc<Process>> = Vec::new();
        walk.taken = false;
        for _ in 0..ACTIONS_PER_WORLD {
            act(&world, &mut random, &mut gone, &mut walk).await;
            let batches = world.batches().await;
            let _ = writeln!(walk.trace, "  {:?}", batches.last());
        }
        walk.late += land(&mut gone).await;
        run_to_the_end(&world, &mut walk).await;
    }
    walk
}

async fn act(world: &World, random: &mut Random, gone: &mut Vec<Arc<Process>>, walk: &mut Walk) {
    walk.actions += 1;
    let last = world.batches().await.last().map_or(0, |last| last.batch);
    match random.below(22) {
        0..4 => {
            world.rows.fetch_add(1 + random.below(12), Ordering::SeqCst);
        }
        4..11 => {
            let process = Process::deciding(unlucky(random.next()));
            let outcome = world.run(&process, version(random)).await;
            if judge(world, &process, outcome, walk) {
                set_by_hand(world, walk).await;
            }
            gone.push(process);
        }
        11..14 => two_runners(world, random, gone, walk).await,
        // Nobody can append to a table that is not there.
        14 if world.setup.existing || last > 0 => {
            let id = -(walk.actions as i64);
            world.append_foreign(id).await;
        }
        14 | 15 => drop(world.lake.clean_log().await),
        16 => walk.late += land(gone).await,
        17 => world.claim_ahead().await,
        18 => {
            world.lose_entries_from(last).await;
            walk.taken = true;
        }
        19 => {
            world.lose_location();
            walk.taken = true;
        }
        20 => world.copy_location(),
        _ => walk.taken |= world.restore_location(),
    }
}

async fn two_runners(world: &World, random: &mut Random, gone: &mut Vec<Arc<Process>>, walk: &mut Walk) {
    let turns = Arc::new(Turns::new(|kind, name| {
        kind == StepKind::Write && (name.ends_with(".json") || name.starts_with("put offsets/"))
    }));
    let mut processes = Vec::new();
    for who in 0..2 {
        // Every other pair is left in peace.
        let luck = random.next();
        let mut fault = unlucky(luck);
        let decide = move |step: &Step| fault(step).filter(|_| luck & 1 == 0);
        processes.push((Process::taking_turns(decide, &turns, who), version(random)));
    }
    let runner = async |who: usize| {
        let (process, version) = &processes[who];
        let outcome = world.run(process, version).await;
        turns.done(who);
        outcome
    };
    let (first, second, _) = tokio::join!(runner(0), runner(1), turns.conduct(|| random.below(2) as usize));
    for ((process, _), outcome) in processes.into_iter().zip([first, second]) {
        let superseded = matches!(&outcome, Err(PipelineError::Sink(SinkError::Superseded { .. })));
        if !superseded {
            judge(world, &process, outcome, walk);
        } else {
            walk.steps += process.steps().len();
            walk.faults += process.faults();
            walk.superseded += 1;
        }
        gone.push(process);
    }
}

/// One step in twenty goes wrong, as a hash of what it is says: threads that overtake one another change nothing.
fn unlucky(seed: u64) -> impl FnMut(&Step) -> Option<Fault> + Send + 'static {
    let mut met: HashMap<String, u32> = HashMap::new();
    move |step| {
        let times = met.entry(step.name.clone()).or_default();
        *times += 1;
        let luck = hash(seed, &[&step.name, &times.to_string()]);
        let faults = Fault::all(step.kind);
        luck.is_multiple_of(20)
            .then(|| faults[(luck / 20) as usize % faults.len()])
    }
}

fn version(random: &mut Random) -> &'static str {
    ["0.1.0", "0.2.0"][random.below(2) as usize]
}

/// Where nothing went wrong in a process, only an offset that nobody knows may stop it. Whether that happened.
fn judge(
    world: &World,
    process: &Process,
    outcome: Result<RunSummary, PipelineError>,
    walk: &mut Walk,
) -> bool {
    walk.steps += process.steps().len();
    walk.faults += process.faults();
    let Err(error) = outcome else {
        return false;
    };
    let unknown = matches!(error, PipelineError::OffsetUnknown { .. });
    walk.refusals += usize::from(unknown);
    assert!(
        !unknown || (walk.taken && world.setup.logged()),
        "{:?}: {error}\n{}",
        world.setup,
        walk.trace
    );
    assert!(
        process.faults() > 0 || unknown,
        "{:?}: {error}\n{}",
        world.setup,
        walk.trace
    );
    unknown
}

async fn set_by_hand(world: &World, walk: &mut Walk) {
    walk.taken = false;
    let end = world.batches().await.last().map_or(0, |last| last.end);
    let _ = world.reset(end).await;
}

async fn land(gone: &mut Vec<Arc<Process>>) -> usize {
    let mut landed = 0;
    for process in gone.drain(..) {
        landed += process.land_late_writes().await;
    }
    landed
}

/// With nothing in the way every row arrives; an offset that is lost has to be set by hand once.
async fn run_to_the_end(world: &World, walk: &mut Walk) {
    let process = Process::healthy();
    let summary = match world.run(&process, "0.2.0").await {
        Ok(summary) => summary,
        Err(PipelineError::OffsetUnknown { .. }) if world.setup.logged() && walk.taken => {
            walk.refusals += 1;
            set_by_hand(world, walk).await;
            world.healthy_run().await
        }
        Err(e) => panic!("{:?}: {e}\n{}", world.setup, walk.trace),
    };
    world.assert_complete(&summary).await;
}
