use std::time::Duration;

use super::fakes::{Call, SinkCall, Step, World, position};
use crate::Trigger;

const MINUTE: Duration = Duration::from_secs(60);

fn interval(rows: u64) -> World {
    let mut world = World::new(rows);
    world.options.trigger = Trigger::Interval(MINUTE);
    world
}

#[tokio::test]
async fn available_now_reads_what_was_there_at_its_start_while_the_remote_grows() {
    let world = World::new(25);
    let grow = || world.change(|remote| remote.rows += 10);
    world.at_call(Call::Next, (0..100).map(|_| grow()));
    let summary = world.run().await.unwrap();
    assert_eq!(world.batches(), [(1, 0, 10), (2, 10, 20), (3, 20, 25)]);
    assert_eq!(summary.offset, Some(world.offset(25)));
    let pins: Vec<_> = world
        .remote()
        .asked
        .iter()
        .map(|(_, up_to, _)| up_to.clone())
        .collect();
    assert_eq!(pins[0], None);
    assert!(
        pins[1..].iter().all(|pin| *pin == Some(world.offset(25))),
        "{pins:?}"
    );

    let rows = world.remote().rows;
    world.remote().script = Default::default();
    world.run().await.unwrap();
    world.assert_exactly_once(rows);
}

#[tokio::test]
async fn once_reads_one_micro_batch() {
    for mut world in World::every(25) {
        world.options.trigger = Trigger::Once;
        for end in [10, 20, 25, 25] {
            let summary = world.run().await.unwrap();
            assert_eq!(summary.offset, Some(world.offset(end)));
            world.assert_exactly_once(end);
        }
        assert_eq!(world.batches().len(), 3);
    }
}

#[tokio::test]
async fn once_asks_for_the_end_of_one_batch_only() {
    let mut world = World::new(25);
    world.options.trigger = Trigger::Once;
    world.run().await.unwrap();
    let asked = world.remote().asked.clone();
    assert_eq!(asked, [(world.offset(0), None, world.options.limit)]);
    assert_eq!(world.progress.reports()[0].latest, None);
}

#[tokio::test]
async fn an_interval_looks_again_and_drains_all_that_is_there() {
    let world = interval(25);
    let grow = |by: u64| {
        let Step::Do(act) = world.change::<()>(move |remote| remote.rows += by) else {
            unreachable!()
        };
        act
    };
    world.clock.during_sleep(1, grow(31));
    world.clock.during_sleep(3, grow(4));
    let stopper = world.stopper.clone();
    world.clock.during_sleep(4, move || stopper.stop());
    let summary = world.run().await.unwrap();
    assert!(summary.stopped);
    assert_eq!(world.clock.slept(), [MINUTE; 4]);
    let ends: Vec<_> = world.batches().iter().map(|(_, _, end)| *end).collect();
    assert_eq!(ends, [10, 20, 25, 35, 45, 55, 56, 60]);
    assert_eq!((summary.batches, summary.rows, summary.last_batch), (8, 60, 8));
    world.assert_exactly_once(60);
}

#[tokio::test]
async fn an_interval_drains_a_sequential_source_too() {
    let mut world = World::sequential(25);
    world.options.trigger = Trigger::Interval(MINUTE);
    let Step::Do(grow) = world.change::<()>(|remote| remote.rows = 48) else {
        unreachable!()
    };
    world.clock.during_sleep(1, grow);
    let stopper = world.stopper.clone();
    world.clock.during_sleep(2, move || stopper.stop());
    let summary = world.run().await.unwrap();
    assert_eq!((summary.batches, summary.rows), (6, 48));
    world.assert_exactly_once(48);
}

#[tokio::test]
async fn an_interval_counts_from_look_to_look() {
    let world = interval(30);
    let (clock, seconds) = (&world.clock, Duration::from_secs);
    let slow = |by: u64| {
        let clock = clock.clone();
        Step::Do(Box::new(move || clock.advance(Duration::from_secs(by))))
    };
    // The first look has three micro-batches and takes 50 seconds, the second one 70, the third one none.
    world.at_sink(SinkCall::Commit, [slow(20), slow(20), slow(10), slow(70)]);
    let Step::Do(grow) = world.change::<()>(|remote| remote.rows += 1) else {
        unreachable!()
    };
    clock.during_sleep(1, grow);
    let stopper = world.stopper.clone();
    clock.during_sleep(3, move || stopper.stop());
    world.run().await.unwrap();
    assert_eq!(clock.slept(), [seconds(10), Duration::ZERO, MINUTE]);
    world.assert_exactly_once(31);
}

#[tokio::test]
async fn each_look_of_an_interval_starts_at_the_committed_end() {
    let world = interval(12);
    let stopper = world.stopper.clone();
    world.clock.during_sleep(2, move || stopper.stop());
    world.run().await.unwrap();
    let starts: Vec<_> = world
        .remote()
        .asked
        .iter()
        .map(|(start, ..)| position(start))
        .collect();
    assert_eq!(starts, [0, 0, 10, 12]);
}
