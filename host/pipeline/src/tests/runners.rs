//! Two runners of one pipeline at the same time.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::fakes::{Call, Gate, SinkCall, Step, World, superseded, times};
use crate::{PipelineError, RunSummary, SinkError};

type Run<'a> = Pin<Box<dyn Future<Output = Result<RunSummary, PipelineError>> + 'a>>;

fn assert_superseded(result: &Result<RunSummary, PipelineError>) {
    let is = matches!(result, Err(PipelineError::Sink(SinkError::Superseded { .. })));
    assert!(is, "{result:?}");
}

#[tokio::test]
async fn the_runner_that_comes_second_stops_and_says_why() {
    for world in World::every(25) {
        let other = world.beside();
        let gate = Gate::closed();
        world.at_sink(SinkCall::Commit, [Step::Pass, Step::Wait(gate.clone())]);
        let overtake = async {
            gate.arrivals(1).await;
            other.run().await.unwrap();
            gate.open();
        };
        let (result, ()) = tokio::join!(world.run(), overtake);
        assert_superseded(&result);
        let message = result.unwrap_err().to_string();
        assert!(
            message.contains("another runner owns the pipeline \"comments\""),
            "{message}"
        );
        world.assert_exactly_once(25);
        assert_eq!(world.remote().acknowledged.last(), Some(&world.offset(25)));
    }
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

/// Both hold a number of their own in the offset log, so numbers alone don't keep them apart.
#[tokio::test]
async fn the_offset_log_gives_two_runners_two_numbers_and_still_only_one_gets_through() {
    for first_wins in [true, false] {
        for world in World::every(10).filter(|world| !world.carries_offset) {
            let other = world.beside();
            let (first, second) = (Gate::closed(), Gate::closed());
            world.at_sink(
                SinkCall::Commit,
                [Step::Wait(first.clone()), Step::Wait(second.clone())],
            );
            let order = async {
                first.arrivals(1).await;
                second.arrivals(1).await;
                let (winner, loser) = if first_wins {
                    (&first, &second)
                } else {
                    (&second, &first)
                };
                winner.open();
                super::fakes::settle().await;
                loser.open();
            };
            let later = async {
                first.arrivals(1).await;
                other.run().await
            };
            let (one, two, ()) = tokio::join!(world.run(), later, order);
            let (won, lost) = if first_wins { (one, two) } else { (two, one) };
            assert_eq!(won.unwrap().rows, 10);
            assert_superseded(&lost);
            assert_eq!(world.batches(), [(if first_wins { 1 } else { 2 }, 0, 10)]);
            let next = world.beside();
            assert_eq!(next.run().await.unwrap().batches, 0);
            world.assert_exactly_once(10);
        }
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

#[tokio::test]
async fn a_reset_while_a_runner_is_at_work_stops_that_runner() {
    for world in World::every(25) {
        let gate = Gate::closed();
        world.at_sink(SinkCall::Commit, times(1, || Step::Wait(gate.clone())));
        let operator = world.beside();
        let reset = async {
            gate.arrivals(1).await;
            operator.pipeline().reset(world.offset(20)).await.unwrap();
            gate.open();
        };
        let (result, ()) = tokio::join!(world.run(), reset);
        assert_superseded(&result);
        world.run().await.unwrap();
        assert_eq!(world.ids(), [21, 22, 23, 24, 25]);
    }
}
