//! Random lives of a pipeline against one sentence: every row once, in the order of the batches.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::fakes::{
    Call, SinkCall, Step, World, lasting_errors, store_error, superseded, times, unavailable, unknown,
};
use crate::{CheckpointLocation, PipelineError, Trigger};

/// One process: how the remote changed before it, what it was told, and what happens to it.
#[derive(Clone, Debug)]
struct Life {
    growth: u64,
    shrunk_meanwhile: bool,
    max_rows: Option<u64>,
    page: u64,
    parts: u64,
    parallelism: usize,
    once: bool,
    faults: Vec<Fault>,
    killed_at: Option<usize>,
    checkpoint_lost: bool,
}

#[derive(Clone, Debug)]
enum Fault {
    /// The n-th call from now on is unavailable, so many times.
    Unavailable(Call, usize, usize),
    Lasting(Call, usize, usize),
    Sink(SinkCall, usize),
    CommitLost {
        after: usize,
        happened: bool,
        superseded: bool,
    },
    GrowthDuring(Call, usize, u64),
}

fn call() -> impl Strategy<Value = Call> {
    prop::sample::select(vec![
        Call::InitialOffset,
        Call::LatestOffset,
        Call::Partitions,
        Call::Read,
        Call::ReadFrom,
        Call::Next,
        Call::Acknowledge,
    ])
}

fn sink_call() -> impl Strategy<Value = SinkCall> {
    prop::sample::select(vec![
        SinkCall::LastCommitted,
        SinkCall::Stage,
        SinkCall::Write,
        SinkCall::Finish,
        SinkCall::Commit,
    ])
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => (call(), 0..6usize, 1..4usize).prop_map(|(c, n, times)| Fault::Unavailable(c, n, times)),
        1 => (call(), 0..6usize, 0..lasting_errors().len()).prop_map(|(c, n, kind)| Fault::Lasting(c, n, kind)),
        1 => (sink_call(), 0..6usize).prop_map(|(c, n)| Fault::Sink(c, n)),
        1 => (0..4usize, any::<bool>(), any::<bool>())
            .prop_map(|(after, happened, superseded)| Fault::CommitLost { after, happened, superseded }),
        2 => (call(), 0..6usize, 1..20u64).prop_map(|(c, n, by)| Fault::GrowthDuring(c, n, by)),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let told = (
        option::weighted(0.9, 1..15u64),
        1..8u64,
        1..5u64,
        0..5usize,
        any::<bool>(),
    );
    let fate = (
        vec(fault(), 0..4),
        option::of(1..80usize),
        prop::bool::weighted(0.2),
    );
    (0..40u64, any::<bool>(), told, fate).prop_map(|(growth, shrunk_meanwhile, told, fate)| {
        let (max_rows, page, parts, parallelism, once) = told;
        let (faults, killed_at, checkpoint_lost) = fate;
        Life {
            growth,
            shrunk_meanwhile,
            max_rows,
            page,
            parts,
            parallelism,
            once,
            faults,
            killed_at,
            checkpoint_lost,
        }
    })
}

impl Fault {
    fn arrange(self, world: &World) {
        match self {
            Self::Unavailable(call, after, count) => {
                world.at_call(call, times(after, || Step::Pass));
                world.at_call(call, times(count, || Step::Fail(unavailable())));
            }
            Self::Lasting(call, after, kind) => {
                world.at_call(call, times(after, || Step::Pass));
                world.at_call(call, [Step::Fail(lasting_errors().swap_remove(kind))]);
            }
            Self::Sink(call, after) => {
                world.at_sink(call, times(after, || Step::Pass));
                world.at_sink(call, [Step::Fail(store_error())]);
            }
            Self::CommitLost {
                after,
                happened,
                superseded: other,
            } => {
                let error = if other { superseded(1) } else { unknown(1) };
                world.at_sink(SinkCall::Commit, times(after, || Step::Pass));
                let step = if happened {
                    Step::FailAfter(error)
                } else {
                    Step::Fail(error)
                };
                world.at_sink(SinkCall::Commit, [step]);
            }
            Self::GrowthDuring(call, after, by) => {
                world.at_call(call, times(after, || Step::Pass));
                world.at_call(call, [world.change(move |remote| remote.rows += by)]);
            }
        }
    }
}

async fn live(before: &World, life: Life) -> World {
    let mut world = before.beside();
    world.options.limit.max_rows = life.max_rows;
    world.options.parallelism = life.parallelism;
    world.options.trigger = if life.once {
        Trigger::Once
    } else {
        Trigger::AvailableNow
    };
    if life.checkpoint_lost && world.carries_offset && world.table().last_batch() > 0 {
        world.checkpoint = CheckpointLocation::memory();
    }
    {
        let mut remote = world.remote();
        remote.script = Default::default();
        remote.page = life.page;
        remote.parts = life.parts;
        remote.rows += life.growth;
    }
    world.table().script = Default::default();
    for fault in life.faults {
        fault.arrange(&world);
    }
    let rows = world.remote().rows;
    if life.shrunk_meanwhile {
        // Behind the committed end nothing can vanish that still matters.
        world.remote().rows = world.batches().last().map_or(0, |(_, _, end)| *end);
    }
    let error = {
        let mut pipeline = world.pipeline();
        let mut run = pin!(pipeline.run());
        let mut waits = 0;
        poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result.err()),
            Poll::Pending => {
                waits += 1;
                if life.killed_at == Some(waits) {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            }
        })
        .await
    };
    let expected = matches!(
        error,
        None | Some(PipelineError::Source(_) | PipelineError::Sink(_))
    );
    assert!(expected, "{error:?}");
    let reached = world.batches().last().map_or(0, |(_, _, end)| *end);
    world.assert_exactly_once(reached);
    let mut remote = world.remote();
    remote.rows = remote.rows.max(rows);
    drop(remote);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_row_comes_once_whatever_happens(
        sequential: bool,
        carries_offset: bool,
        lives in vec(life(), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::of(sequential, carries_offset, 0);
            for life in lives {
                world = live(&world, life).await;
            }
            world.remote().script = Default::default();
            world.table().script = Default::default();
            let mut end = world.beside();
            end.options.trigger = Trigger::AvailableNow;
            let summary = end.run().await.unwrap();
            let rows = end.remote().rows;
            end.assert_exactly_once(rows);
            assert_eq!(summary.offset, Some(end.offset(rows)));
        });
    }
}
