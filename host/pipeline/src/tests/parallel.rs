use super::fakes::{Call, Gate, SinkCall, Step, World, part, settle, times, unavailable};
use crate::{PipelineError, SourceError};

/// Sixteen parts in one micro-batch without a limit, two pages in each.
fn wide(parallelism: usize) -> World {
    let mut world = World::new(128);
    world.options.limit.max_rows = None;
    world.options.parallelism = parallelism;
    world.remote().parts = 16;
    world
}

#[tokio::test]
async fn as_many_parts_as_allowed_are_read_at_once_and_no_more() {
    for parallelism in [1, 3, 16] {
        let world = wide(parallelism);
        let gate = Gate::closed();
        world.at_call(Call::Next, times(16, || Step::Wait(gate.clone())));
        let watch = async {
            gate.arrivals(parallelism).await;
            settle().await;
            assert_eq!(world.remote().open, parallelism);
            assert_eq!(world.count("Read"), parallelism);
            gate.open();
        };
        let (summary, ()) = tokio::join!(world.run(), watch);
        assert_eq!(summary.unwrap().rows, 128);
        assert_eq!(world.remote().most_open, parallelism);
        assert_eq!(world.count("Read"), 16);
        world.assert_exactly_once(128);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_change_nothing() {
    for parallelism in [1, 3, 16] {
        let world = wide(parallelism);
        world.at_call(Call::Next, [Step::Pass, Step::Fail(unavailable())]);
        world.run().await.unwrap();
        world.assert_exactly_once(128);
    }
}

#[tokio::test]
async fn no_parallelism_at_all_means_one() {
    let world = wide(0);
    world.run().await.unwrap();
    assert_eq!(world.remote().most_open, 1);
    world.assert_exactly_once(128);
}

#[tokio::test]
async fn a_slow_table_holds_the_readers_back() {
    for parallelism in [1, 2, 5] {
        let world = wide(parallelism);
        world.remote().page = 1;
        let gate = Gate::closed();
        world.at_sink(SinkCall::Write, [Step::Wait(gate.clone())]);
        let watch = async {
            gate.arrivals(1).await;
            settle().await;
            // One in each reader's hand, two in the queue, one at the table.
            assert_eq!(world.remote().produced, parallelism + 2 + 1);
            gate.open();
        };
        let (summary, ()) = tokio::join!(world.run(), watch);
        summary.unwrap();
        world.assert_exactly_once(128);
    }
}

#[tokio::test]
async fn a_slow_table_holds_a_sequential_source_back() {
    let world = World::sequential(100);
    let gate = Gate::closed();
    world.at_sink(SinkCall::Write, [Step::Wait(gate.clone())]);
    let watch = async {
        gate.arrivals(1).await;
        settle().await;
        assert_eq!(world.remote().produced, 1);
        gate.open();
    };
    let (summary, ()) = tokio::join!(world.run(), watch);
    summary.unwrap();
    world.assert_exactly_once(100);
}

#[tokio::test]
async fn one_readers_failure_ends_the_others() {
    let world = wide(4);
    let gate = Gate::closed();
    // Three readers hang for ever, the fourth one fails.
    world.at_call(Call::Next, times(3, || Step::Wait(gate.clone())));
    world.at_call(Call::Next, [Step::Fail(SourceError::Malformed("<html>".into()))]);
    let error = world.run().await.unwrap_err();
    assert!(
        matches!(error, PipelineError::Source(SourceError::Malformed(_))),
        "{error}"
    );
    settle().await;
    assert_eq!(world.remote().open, 0, "readings left");
    assert_eq!((world.count("Read"), world.count("Commit")), (4, 0));
}

#[tokio::test]
async fn a_failing_table_ends_the_readers() {
    let world = wide(4);
    let gate = Gate::closed();
    world.at_call(Call::Next, [Step::Pass]);
    world.at_call(Call::Next, times(3, || Step::Wait(gate.clone())));
    world.at_sink(SinkCall::Write, [Step::Fail(super::fakes::store_error())]);
    world.run().await.unwrap_err();
    settle().await;
    assert_eq!(world.remote().open, 0, "readings left");
    assert_eq!(world.count("Commit"), 0);
}

#[tokio::test]
async fn a_reader_that_panics_is_an_error_and_nothing_is_committed() {
    let world = wide(4);
    world.at_call(
        Call::Next,
        [Step::Pass, Step::Do(Box::new(|| panic!("in a reader")))],
    );
    let error = world.run().await.unwrap_err();
    assert!(
        matches!(error, PipelineError::Source(SourceError::Sandbox(_))),
        "{error}"
    );
    assert_eq!(world.batches(), []);
    world.run().await.unwrap();
    world.assert_exactly_once(128);
}

#[tokio::test]
async fn more_readers_than_parts_are_not_started() {
    let world = wide(1000);
    world
        .remote()
        .partitions
        .push_back(vec![part(0, 64), part(64, 128)]);
    world.run().await.unwrap();
    assert_eq!(world.remote().most_open, 2);
    world.assert_exactly_once(128);
}
