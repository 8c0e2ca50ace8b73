use std::mem::discriminant;
use std::time::Duration;

use super::fakes::{
    Call, Event, SinkCall, Step, World, lasting_errors, rows, store_error, times, unavailable,
};
use crate::{Batch, PipelineError, SourceError, SourceUsage};

const BOUNDED: [Call; 5] = [
    Call::InitialOffset,
    Call::LatestOffset,
    Call::Partitions,
    Call::Read,
    Call::Next,
];
const SEQUENTIAL: [Call; 4] = [
    Call::InitialOffset,
    Call::LatestOffset,
    Call::ReadFrom,
    Call::Next,
];

/// Every call of both sources that may fail, each with a world of its own.
fn each_call() -> impl Iterator<Item = (Call, World)> {
    World::every(25).flat_map(|world| {
        let calls: &[Call] = if world.sequential { &SEQUENTIAL } else { &BOUNDED };
        calls
            .iter()
            .map(move |call| (*call, World::of(world.sequential, world.carries_offset, 25)))
    })
}

#[tokio::test]
async fn whatever_is_unavailable_is_tried_again_and_nothing_comes_twice() {
    for (call, mut world) in each_call() {
        // One reader, or the failures of two count as one.
        world.options.parallelism = 1;
        world.at_call(call, times(2, || Step::Fail(unavailable())));
        let summary = world.run().await.unwrap();
        assert_eq!((summary.batches, summary.rows), (3, 25), "{call:?}");
        assert_eq!(
            world.clock.slept(),
            [100, 200].map(Duration::from_millis),
            "{call:?}"
        );
        world.assert_exactly_once(25);
        let retried = world
            .progress
            .events()
            .into_iter()
            .filter(|e| matches!(e, Event::Retrying(..)));
        let expected = [(1, 100), (2, 200)]
            .map(|(n, ms)| Event::Retrying(n, Duration::from_millis(ms), "GET /comments: 503".into()));
        assert_eq!(retried.collect::<Vec<_>>(), expected, "{call:?}");
    }
}

#[tokio::test]
async fn rows_that_a_failed_attempt_staged_never_appear() {
    for mut world in World::every(25) {
        world.options.retry.attempts = 4;
        for passing in 1..=3 {
            world.at_call(Call::Next, times(passing, || Step::Pass));
            world.at_call(Call::Next, [Step::Fail(unavailable())]);
        }
        world.run().await.unwrap();
        let stages = world.table().stages;
        assert!(stages > world.batches().len(), "no attempt was wasted");
        assert_eq!(world.batches(), [(1, 0, 10), (2, 10, 20), (3, 20, 25)]);
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn rows_that_change_from_one_attempt_to_the_next_are_those_of_the_last_one() {
    for mut world in World::every(25) {
        world.options.parallelism = 1;
        let other = Batch {
            rows: vec![rows(100, 104)],
            end: world.sequential.then(|| world.offset(4)),
            usage: SourceUsage::default(),
        };
        world.remote().batches.push_back(Some(other));
        world.at_call(Call::Next, [Step::Pass, Step::Fail(unavailable())]);
        world.run().await.unwrap();
        let stages = world.table().stages;
        assert!(stages > world.batches().len(), "no attempt was wasted");
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn the_remotes_own_pause_wins_over_a_shorter_one_up_to_the_longest() {
    for (call, mut world) in each_call() {
        world.options.parallelism = 1;
        let asking = |seconds| {
            Step::Fail(SourceError::Unavailable {
                message: "429".into(),
                retry_after: Some(Duration::from_secs(seconds)),
            })
        };
        world.at_call(call, [asking(7), asking(3600)]);
        world.run().await.unwrap();
        assert_eq!(world.clock.slept(), [7, 10].map(Duration::from_secs), "{call:?}");
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    for (call, mut world) in each_call() {
        world.options.parallelism = 1;
        world.at_call(call, times(3, || Step::Fail(unavailable())));
        let error = world.run().await.unwrap_err();
        assert!(
            error.to_string().ends_with("(gave up after 3 attempts)"),
            "{call:?}: {error}"
        );
        assert!(
            matches!(error, PipelineError::Source(SourceError::Unavailable { .. })),
            "{call:?}"
        );
        assert_eq!(world.clock.slept().len(), 2, "{call:?}");
        assert_eq!(world.batches(), [], "{call:?}");
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn a_success_gives_the_next_batch_all_its_attempts() {
    for mut world in World::every(25) {
        world.options.parallelism = 1;
        let call = if world.sequential {
            Call::ReadFrom
        } else {
            Call::Partitions
        };
        for _ in 0..3 {
            world.at_call(call, times(2, || Step::Fail(unavailable())));
            world.at_call(call, [Step::Pass]);
        }
        world.run().await.unwrap();
        assert_eq!(
            world.clock.slept(),
            [100, 200, 100, 200, 100, 200].map(Duration::from_millis)
        );
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn other_errors_end_the_run_at_once() {
    for kind in 0..lasting_errors().len() {
        for (call, mut world) in each_call() {
            world.options.parallelism = 1;
            let error = lasting_errors().swap_remove(kind);
            let expected = discriminant(&error);
            world.at_call(call, [Step::Fail(error)]);
            match world.run().await.unwrap_err() {
                PipelineError::Source(e) => assert_eq!(discriminant(&e), expected, "{call:?}: {e}"),
                e => panic!("{call:?}: {e}"),
            }
            assert_eq!(world.clock.slept(), [], "{call:?}");
            assert_eq!(
                (world.count("Commit"), world.count("Acknowledge")),
                (0, 0),
                "{call:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_batch_leaves_the_batches_before_it() {
    for error in lasting_errors() {
        let world = World::sequential(25);
        world.at_call(Call::Next, times(3, || Step::Pass));
        world.at_call(Call::Next, [Step::Fail(error)]);
        world.run().await.unwrap_err();
        assert_eq!(world.count("Stage"), 2);
        world.assert_exactly_once(10);
    }
}

#[tokio::test]
async fn the_table_is_not_tried_again_by_itself() {
    for call in [
        SinkCall::Stage,
        SinkCall::Write,
        SinkCall::Finish,
        SinkCall::Commit,
    ] {
        for world in World::every(25) {
            world.at_sink(call, [Step::Fail(store_error())]);
            let error = world.run().await.unwrap_err();
            assert!(matches!(error, PipelineError::Sink(_)), "{call:?}: {error}");
            assert_eq!(world.clock.slept(), [], "{call:?}");
            assert_eq!(
                (world.batches().len(), world.count("Acknowledge")),
                (0, 0),
                "{call:?}"
            );
            world.run().await.unwrap();
            world.assert_exactly_once(25);
        }
    }
}
