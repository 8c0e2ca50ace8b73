//! Somebody removes the table, or turns it back, at each call that the protocol makes to the outside.

use super::fakes::{At, Effect, Fault, World};
use crate::{PipelineError, SinkError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// It is gone, or another one lies there.
    Removed,
    /// Another writer's RESTORE, before the last micro-batch or before all.
    TurnedBack { all: bool },
}

const ACTS: [Act; 3] = [
    Act::Removed,
    Act::TurnedBack { all: false },
    Act::TurnedBack { all: true },
];

#[tokio::test]
async fn whatever_is_done_to_the_table_at_any_call_nothing_is_committed_behind_it() {
    let (mut cases, mut refused, mut later) = (0, 0, 0);
    for act in ACTS {
        for kind in 0..4 {
            let fresh = || World::every(23).nth(kind).unwrap();
            let clean = fresh();
            clean.run().await.unwrap();
            for n in 1..=clean.process.points().len() {
                for effect in [Effect::Before, Effect::After] {
                    let world = fresh();
                    let told = format!("{act:?} {kind} {n} {effect:?}");
                    let outcome = meddle(&world, act, n, effect).await;
                    cases += 1;
                    let changed = match act {
                        Act::Removed => matches!(outcome, Err(SinkError::TableChanged { .. })),
                        Act::TurnedBack { .. } => matches!(outcome, Err(SinkError::RolledBack(_))),
                    };
                    assert!(changed || outcome.is_ok(), "{told}: {outcome:?}");
                    refused += usize::from(changed);
                    later += usize::from(go_on(&world, act, &told).await);
                }
            }
        }
    }
    println!("{cases} cases, {refused} noticed by the run itself, {later} turns noticed by the next one");
    assert!(
        cases > 500 && refused > 100 && later > 50,
        "{cases}, {refused}, {later}"
    );
}

/// One run with something done to the table at its n-th call, and what came of the run.
async fn meddle(world: &World, act: Act, n: usize, effect: Effect) -> Result<(), SinkError> {
    let mut pipeline = world.pipeline();
    let table = world.shared_table();
    let left = std::sync::Arc::new(std::sync::Mutex::new(None));
    let seen = left.clone();
    // The way to ask for a stop is a way to do anything else at a call.
    world.process.on_stop(move || {
        let mut table = table.lock().unwrap();
        match act {
            Act::Removed => table.remove(),
            Act::TurnedBack { all: true } => table.turn_back(0),
            Act::TurnedBack { all: false } => {
                let kept = table.batches.len().saturating_sub(1);
                table.turn_back(kept);
            }
        }
        *seen.lock().unwrap() = Some((table.id, table.turns, table.batches.len()));
    });
    world.process.meets(At::Call(n), effect, Fault::Stop);
    let outcome = match pipeline.run().await {
        Ok(_) => Ok(()),
        Err(PipelineError::Sink(error)) => Err(error),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(world.process.unmet(), []);
    let left = left.lock().unwrap().take().unwrap();
    let table = world.table();
    // Before the run asked for it, it is simply the table that is there.
    if outcome.is_err() {
        assert_eq!(
            (table.id, table.turns, table.batches.len()),
            left,
            "committed behind it"
        );
    }
    drop(table);
    outcome
}

/// The next start: goes on from what is there, or refuses until it is told where to. Whether it refused.
async fn go_on(world: &World, act: Act, told: &str) -> bool {
    let next = world.beside();
    let refused = match next.run().await {
        Ok(_) => false,
        Err(PipelineError::Sink(SinkError::RolledBack(back))) if act != Act::Removed => {
            next.beside().pipeline().reset(back.start).await.unwrap();
            next.run().await.unwrap();
            true
        }
        Err(error) => panic!("{told}: {error}"),
    };
    let mut ids = world.ids();
    ids.sort_unstable();
    let first = ids.first().copied().unwrap_or(24);
    // After a removal the source's note says where the next start begins.
    assert!(act == Act::Removed || first == 1, "{told}: {ids:?}");
    assert_eq!(ids, (first..=23).collect::<Vec<_>>(), "{told}");
    refused
}
