use std::time::Duration;

use super::fakes::{Call, Gate, SinkCall, Step, World, settle, times, unavailable};
use crate::Trigger;

#[tokio::test]
async fn a_stop_before_the_start_touches_nothing() {
    let world = World::new(25);
    world.stopper.stop();
    let summary = world.run().await.unwrap();
    assert!(summary.stopped);
    assert_eq!(summary.offset, None, "nobody knows it");
    assert!(world.journal().is_empty(), "{:?}", world.journal());
}

#[tokio::test]
async fn a_stop_cuts_the_pause_between_looks_short() {
    let mut world = World::new(25);
    world.options.trigger = Trigger::Interval(Duration::from_secs(3600));
    world.clock.never_wake_from(1);
    let stopper = world.stopper.clone();
    world.clock.during_sleep(1, move || stopper.stop());
    let summary = world.run().await.unwrap();
    assert!(summary.stopped);
    assert_eq!((summary.batches, summary.rows), (3, 25));
}

#[tokio::test]
async fn a_stop_cuts_the_pause_before_a_retry_short() {
    for (call, batches) in [
        (Call::InitialOffset, 0),
        (Call::LatestOffset, 0),
        (Call::Partitions, 0),
    ] {
        let world = World::new(25);
        world.at_call(call, [Step::Fail(unavailable())]);
        world.clock.never_wake_from(1);
        let stopper = world.stopper.clone();
        world.clock.during_sleep(1, move || stopper.stop());
        let summary = world.run().await.unwrap();
        assert!(summary.stopped, "{call:?}");
        assert_eq!(summary.batches, batches, "{call:?}");
    }
}

#[tokio::test]
async fn a_stop_while_reading_abandons_the_batch() {
    for world in World::every(25) {
        let gate = Gate::closed();
        // The first micro-batch passes, then a reader hangs.
        let passing = if world.sequential { 2 } else { 6 };
        world.at_call(Call::Next, times(passing, || Step::Pass));
        world.at_call(Call::Next, times(9, || Step::Wait(gate.clone())));
        let run = world.run();
        let stop = async {
            gate.arrivals(1).await;
            world.stopper.stop();
        };
        let (summary, ()) = tokio::join!(run, stop);
        let summary = summary.unwrap();
        assert!(summary.stopped);
        assert_eq!((summary.batches, summary.last_batch), (1, 1));
        assert_eq!(summary.offset, Some(world.offset(10)));
        world.assert_exactly_once(10);
        settle().await;
        assert_eq!(world.remote().open, 0, "readings left");

        world.remote().script = Default::default();
        world.beside().run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn a_source_that_babbles_for_ever_without_waiting_can_be_stopped() {
    for world in World::every(25) {
        world.remote().babble = Some(0);
        let stop = async {
            while world.remote().babble == Some(0) {
                tokio::task::yield_now().await;
            }
            world.stopper.stop();
        };
        let (summary, ()) = tokio::join!(world.run(), stop);
        assert!(summary.unwrap().stopped);
        assert_eq!(world.batches(), []);
        settle().await;
        assert_eq!(world.remote().open, 0, "readings left");
    }
}

#[tokio::test]
async fn a_stop_while_asking_for_the_latest_offset_ends_the_run() {
    for world in World::every(25) {
        let gate = Gate::closed();
        world.at_call(Call::LatestOffset, [Step::Wait(gate.clone())]);
        let stop = async {
            gate.arrivals(1).await;
            world.stopper.stop();
        };
        let (summary, ()) = tokio::join!(world.run(), stop);
        assert!(summary.unwrap().stopped);
        assert_eq!(world.batches(), []);
    }
}

#[tokio::test]
async fn a_stop_finishes_the_commit_under_way_and_tells_the_source() {
    for world in World::every(25) {
        let gate = Gate::closed();
        world.at_sink(SinkCall::Commit, [Step::Pass, Step::Wait(gate.clone())]);
        let stop = async {
            gate.arrivals(1).await;
            world.stopper.stop();
            settle().await;
            assert_eq!(world.batches().len(), 1);
            gate.open();
        };
        let (summary, ()) = tokio::join!(world.run(), stop);
        let summary = summary.unwrap();
        assert!(summary.stopped);
        assert_eq!((summary.batches, summary.rows), (2, 20));
        assert_eq!(world.remote().acknowledged, [world.offset(10), world.offset(20)]);
        world.assert_exactly_once(20);
    }
}

#[tokio::test]
async fn a_stop_while_telling_the_source_is_taken_between_the_batches() {
    for world in World::every(25) {
        world.at_call(Call::Acknowledge, [world.stop()]);
        let summary = world.run().await.unwrap();
        assert!(summary.stopped);
        assert_eq!(world.batches(), [(1, 0, 10)]);
        assert_eq!(world.progress.reports().len(), 1);
    }
}

#[tokio::test]
async fn a_run_that_was_done_anyway_was_not_stopped() {
    let world = World::new(7);
    world.at_call(Call::Acknowledge, [world.stop()]);
    assert!(!world.run().await.unwrap().stopped);
    world.assert_exactly_once(7);
}
