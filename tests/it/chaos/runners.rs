//! Two runners of one pipeline, and a runner beside another writer, in every order of their steps.

use std::sync::Arc;

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
            append_beside(setup, || choices.below(2)).await;
            orders += 1;
        }
    }
    say(&format!(
        "another writer's append in each of {orders} places of a run"
    ));
    assert!(orders > 200, "{orders}");
}

async fn append_beside(setup: Setup, choose: impl FnMut() -> usize) {
    let world = World::new(setup).await;
    let turns = Arc::new(Turns::new(|_, _| true));
    let run = async {
        let outcome = world
            .run(&Process::taking_turns(|_| None, &turns, 0), "0.1.0")
            .await;
        turns.done(0);
        outcome
    };
    let write = async {
        turns.wait(1, StepKind::Write, "append").await;
        world.append_foreign(-1).await;
        turns.done(1);
    };
    let (outcome, (), _) = tokio::join!(run, write, turns.conduct(choose));
    world.assert_complete(&outcome.unwrap()).await;
}
