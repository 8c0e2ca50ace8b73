//! Two runners of one pipeline, and a runner beside another writer or someone who cleans up, in every order of their
//! steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_harness::store::{Exhaustive, Process, StepKind, Turns};
use sandbar_pipeline::{PipelineError, RunSummary, SinkError};

use super::world::{Setup, World};
use crate::support::say;

/// Steps that tell or change what both see: the rest of a run is its own affair.
fn is_shared(kind: StepKind, name: &str) -> bool {
    match kind {
        StepKind::Call => false,
        StepKind::Read => name.starts_with("list t/_delta_log") || name.starts_with("get offsets/"),
        StepKind::Write => {
            (name.ends_with(".json") && !name.contains("_last_checkpoint"))
                || name.starts_with("put offsets/")
        }
    }
}

#[derive(Default)]
struct Count {
    orders: usize,
    superseded: usize,
    both: usize,
}

#[tokio::test]
async fn two_runners_in_every_order_of_their_shared_steps() {
    for setup in Setup::all().filter(|setup| setup.sequential && setup.rows < 5) {
        let mut count = Count::default();
        let mut choices = Exhaustive::default();
        while choices.next_round() {
            meet(setup, is_shared, &mut count, || choices.below(2)).await;
        }
        tell("every order of shared steps", setup, &count);
    }
}

/// One is held up before each of its steps while the other makes any number of its own, and then goes on to its end.
#[tokio::test]
async fn two_runners_with_two_changes_between_them() {
    for setup in Setup::all().filter(|setup| !setup.sequential && setup.rows < 5) {
        let process = Process::healthy();
        World::new(setup).await.run(&process, "0.1.0").await.unwrap();
        let steps = process.steps().len();
        let mut count = Count::default();
        for first in 0..=steps {
            for second in 1..=steps {
                let mut turn = 0;
                meet(
                    setup,
                    |_, _| true,
                    &mut count,
                    || {
                        turn += 1;
                        usize::from(turn > first && turn <= first + second)
                    },
                )
                .await;
            }
        }
        tell("all steps with two changes", setup, &count);
    }
}

fn tell(what: &str, setup: Setup, count: &Count) {
    say(&format!(
        "two runners, {what}, {setup:?}: {} orders; in {} one was told of the other, in {} there was nothing to fight over",
        count.orders, count.superseded, count.both
    ));
    assert!(count.orders > 10 && count.superseded > 0 && count.both > 0);
}

async fn meet(
    setup: Setup,
    applies: impl Fn(StepKind, &str) -> bool + Send + Sync + 'static,
    count: &mut Count,
    choose: impl FnMut() -> usize,
) {
    let world = World::new(setup).await;
    let turns = Arc::new(Turns::new(applies));
    let runner = async |who: usize| {
        let process = Process::taking_turns(|_| None, &turns, who);
        let outcome = world.run(&process, "0.1.0").await;
        turns.done(who);
        outcome
    };
    let (first, second, _) = tokio::join!(runner(0), runner(1), turns.conduct(choose));
    let outcomes = [first, second];
    let won: Vec<&RunSummary> = outcomes.iter().flatten().collect();
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        let told = matches!(error, PipelineError::Sink(SinkError::Superseded { .. }));
        assert!(told, "{setup:?}: {error}");
        assert!(error.to_string().contains("another runner owns the pipeline"));
    }
    match won.as_slice() {
        [one] => assert!(one.batches > 0, "{setup:?}: {one:?}"),
        [one, other] => assert_eq!(one.rows + other.rows, setup.rows, "{setup:?}"),
        _ => panic!("{setup:?}: nobody went on: {outcomes:?}"),
    }
    count.orders += 1;
    count.both += usize::from(won.len() == 2);
    count.superseded += usize::from(won.len() == 1);
    let summary = world.healthy_run().await;
    assert_eq!(summary.batches, 0, "{setup:?}: rows were left");
    world.assert_complete(&summary).await;
}

#[tokio::test]
async fn another_writer_between_any_two_steps_disturbs_nothing() {
    let mut orders = 0;
    for setup in Setup::all().filter(|setup| setup.existing) {
        let mut choices = Exhaustive::default();
        while choices.next_round() {
            let world = World::new(setup).await;
            let run = beside(&world, world.append_foreign(-1), || choices.below(2)).await;
            world.assert_complete(&run.unwrap()).await;
            orders += 1;
        }
    }
    say(&format!(
        "another writer's append in each of {orders} places of a run"
    ));
    assert!(orders > 200, "{orders}");
}

#[tokio::test]
async fn the_checkpoint_location_may_be_deleted_between_any_two_steps() {
    let (mut orders, mut refusals) = (0, 0);
    for setup in Setup::all() {
        let mut choices = Exhaustive::default();
        while choices.next_round() {
            let world = World::new(setup).await;
            let run = beside(&world, world.delete_location(), || choices.below(2)).await;
            world.assert_complete(&run.unwrap()).await;
            orders += 1;

            world.rows.fetch_add(7, Ordering::SeqCst);
            let again = match world.run(&Process::healthy(), "0.1.0").await {
                Err(PipelineError::OffsetUnknown { .. }) if setup.logged() => {
                    refusals += 1;
                    let _ = world.reset(setup.rows).await;
                    world.healthy_run().await
                }
                outcome => outcome.unwrap(),
            };
            world.assert_complete(&again).await;
        }
    }
    say(&format!(
        "the checkpoint location deleted in each of {orders} places of a run; in {refusals} of them the offset was lost with it"
    ));
    assert!(orders > 300 && refusals > 0, "{orders}, {refusals}");
}

/// A run, and something else that happens once beside it.
async fn beside(
    world: &World,
    act: impl Future<Output = ()>,
    choose: impl FnMut() -> usize,
) -> Result<RunSummary, PipelineError> {
    let turns = Arc::new(Turns::new(|_, _| true));
    let run = async {
        let outcome = world
            .run(&Process::taking_turns(|_| None, &turns, 0), "0.1.0")
            .await;
        turns.done(0);
        outcome
    };
    let other = async {
        turns.wait(1, StepKind::Write, "beside").await;
        act.await;
        turns.done(1);
    };
    let (outcome, (), _) = tokio::join!(run, other, turns.conduct(choose));
    outcome
}
