//! Two runners of one pipeline at the same time. One order at a time: `scenarios/two_runners_*.txt`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::fakes::{Call, Gate, SinkCall, Step, World, superseded};
use crate::{PipelineError, RunSummary, SinkError};

type Run<'a> = Pin<Box<dyn Future<Output = Result<RunSummary, PipelineError>> + 'a>>;

fn assert_superseded(result: &Result<RunSummary, PipelineError>) {
    let is = matches!(result, Err(PipelineError::Sink(SinkError::Superseded { .. })));
    assert!(is, "{result:?}");
}

#[tokio::test]
async fn a_runner_that_slept_through_many_batches_brings_nothing() {
    for world in World::every(25) {
        let other = world.beside();
        let gate = Gate::closed();
        world.at_call(Call::Next, [Step::Wait(gate.clone())]);
        let overtake = async {
            gate.arrivals(1).await;
            for rows in [100, 200, 1300] {
                other.remote().rows = rows;
                other.run().await.unwrap();
            }
            gate.open();
        };
        let (result, ()) = tokio::join!(world.run(), overtake);
        assert_superseded(&result);
        world.run().await.unwrap();
        world.assert_exactly_once(1300);
    }
}

#[tokio::test]
async fn a_sink_that_reports_the_runners_own_commit_as_a_strangers_costs_a_restart_and_no_row() {
    for world in World::every(25) {
        world.at_sink(SinkCall::Commit, [Step::FailAfter(superseded(1))]);
        assert_superseded(&world.run().await);
        assert_eq!(world.remote().acknowledged, []);
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

/// Every way in which two runners can take turns with at most three changes between them.
#[test]
fn in_every_interleaving_rows_come_once() {
    for carries_offset in [true, false] {
        let fresh = || World::of(true, carries_offset, 12);
        // Bounded sources read in tasks of a runtime, which would take turns of its own.
        let alone = polls_of(&fresh());
        assert!((20..60).contains(&alone), "{alone}");
        for first in 0..=alone {
            for second in 0..=alone {
                for third in [0, 1, 2, 3, 5, 8, 13, 21] {
                    let world = fresh();
                    interleave(&world, [first, second, third]);
                    let last = world.beside();
                    finish(&mut (Box::pin(last.run()) as Run)).unwrap();
                    world.assert_exactly_once(12);
                }
            }
        }
    }
}

fn interleave(world: &World, turns: [usize; 3]) {
    let other = world.beside();
    let mut runs: [Option<Run>; 2] = [Some(Box::pin(world.run())), Some(Box::pin(other.run()))];
    let mut results = Vec::new();
    for (turn, polls) in turns.into_iter().chain([usize::MAX, usize::MAX]).enumerate() {
        let run = &mut runs[turn % 2];
        for _ in 0..polls {
            let Some(going) = run else { break };
            if let Poll::Ready(result) = poll(going) {
                results.push(result);
                *run = None;
            }
        }
    }
    for result in results.iter().filter(|result| result.is_err()) {
        assert_superseded(result);
    }
    assert!(results.iter().any(Result::is_ok), "{turns:?}: {results:?}");
}

fn polls_of(world: &World) -> usize {
    let mut run: Run = Box::pin(world.run());
    (1..).find(|_| poll(&mut run).is_ready()).unwrap()
}

fn finish(run: &mut Run) -> Result<RunSummary, PipelineError> {
    loop {
        if let Poll::Ready(result) = poll(run) {
            return result;
        }
    }
}

fn poll(run: &mut Run) -> Poll<Result<RunSummary, PipelineError>> {
    pin!(run).as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
