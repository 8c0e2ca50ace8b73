use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::fakes::{Call, SinkCall, Step, World};
use crate::{Schedule, Trigger};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Every full hour, up to a last one.
#[derive(Debug)]
struct Hours {
    last: u32,
}

impl Schedule for Hours {
    fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        let mut hours = (1..=self.last).map(|hour| at(hour, 0));
        hours.find(|time| *time > after)
    }
}

fn at(hour: u32, minute: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + HOUR * hour + MINUTE * minute
}

/// A world at ten minutes past twelve, and the times at which the source was polled.
fn hourly(rows: u64) -> (World, Arc<Mutex<Vec<SystemTime>>>) {
    let mut world = World::new(rows);
    world.options.trigger = Trigger::Schedule(Arc::new(Hours { last: 100 }));
    world.clock.set(at(12, 10));
    let polls: Arc<Mutex<Vec<_>>> = Arc::default();
    let note = || {
        let (clock, polls) = (world.clock.clone(), polls.clone());
        Step::Do(Box::new(move || {
            polls.lock().unwrap().push(crate::Clock::now(&*clock))
        }))
    };
    world.at_call(Call::LatestOffset, (0..50).map(|_| note()));
    (world, polls)
}

/// Stops the run during its n-th sleep.
fn stop_during(world: &World, n: usize) {
    let stopper = world.stopper.clone();
    world.clock.during_sleep(n, move || stopper.stop());
}

/// Sets the clock during the run's n-th sleep.
fn set_during(world: &World, n: usize, now: SystemTime) {
    let clock = world.clock.clone();
    world.clock.during_sleep(n, move || clock.set(now));
}

fn polled(polls: &Mutex<Vec<SystemTime>>) -> Vec<SystemTime> {
    polls.lock().unwrap().clone()
}

#[tokio::test]
async fn a_schedule_waits_for_its_first_time_and_drains_all_that_is_there() {
    let (world, polls) = hourly(25);
    stop_during(&world, 111);
    let summary = world.run().await.unwrap();
    assert!(summary.stopped);
    assert_eq!(polled(&polls)[0], at(13, 0), "not at the start");
    // Asked once more at two, after three micro-batches at one.
    assert_eq!(world.batches(), [(1, 0, 10), (2, 10, 20), (3, 20, 25)]);
    assert_eq!(polled(&polls).last(), Some(&at(14, 0)));
    assert!(world.clock.slept().iter().all(|piece| *piece == MINUTE));
    world.assert_exactly_once(25);
}

#[tokio::test]
async fn a_stop_cuts_the_wait_for_a_time_short() {
    let (world, polls) = hourly(25);
    world.clock.never_wake_from(1);
    stop_during(&world, 1);
    let summary = world.run().await.unwrap();
    assert!(summary.stopped);
    assert!(polled(&polls).is_empty());
    assert_eq!(
        summary.offset,
        Some(world.offset(0)),
        "it knows where it would start"
    );
}

#[tokio::test]
async fn times_that_pass_during_a_poll_are_left_out() {
    let (world, polls) = hourly(5);
    let clock = world.clock.clone();
    let slow = Step::Do(Box::new(move || clock.advance(HOUR * 3 + MINUTE * 20)));
    world.at_sink(SinkCall::Commit, [slow]);
    // 50 minutes to one, then 40 from twenty past four to five.
    stop_during(&world, 50 + 40 + 1);
    world.run().await.unwrap();
    let polls = polled(&polls);
    assert_eq!((polls[0], polls.last().copied()), (at(13, 0), Some(at(17, 0))));
    assert!(polls.iter().all(|poll| *poll == at(13, 0) || *poll == at(17, 0)));
}

#[tokio::test]
async fn a_clock_that_is_set_beyond_a_time_is_noticed_within_a_minute_and_polls_once() {
    let (world, polls) = hourly(0);
    set_during(&world, 5, at(16, 30));
    stop_during(&world, 5 + 30 + 1);
    world.run().await.unwrap();
    assert_eq!(polled(&polls), [at(16, 30), at(17, 0)]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_waits_for_the_time_that_comes_first_then() {
    let (world, polls) = hourly(0);
    set_during(&world, 5, at(9, 45));
    stop_during(&world, 5 + 15 + 60 + 1);
    world.run().await.unwrap();
    assert_eq!(polled(&polls), [at(10, 0), at(11, 0)]);
}

#[tokio::test]
async fn a_clock_that_is_corrected_during_a_poll_does_not_poll_twice() {
    let (world, polls) = hourly(5);
    let clock = world.clock.clone();
    let correct = move || clock.set(at(13, 0) - Duration::from_millis(300));
    world.at_sink(SinkCall::Commit, [Step::Do(Box::new(correct))]);
    stop_during(&world, 50 + 61 + 1);
    world.run().await.unwrap();
    assert_eq!(polled(&polls).last(), Some(&at(14, 0)));
    // The wait after the poll is for two o'clock, not for the third of a second to one.
    assert_eq!(world.clock.slept()[50], MINUTE);
}

#[tokio::test]
async fn a_schedule_without_a_further_time_ends_the_run() {
    let (mut world, polls) = hourly(25);
    world.options.trigger = Trigger::Schedule(Arc::new(Hours { last: 13 }));
    let summary = world.run().await.unwrap();
    assert!(!summary.stopped);
    assert_eq!(polled(&polls)[0], at(13, 0));
    assert_eq!(summary.rows, 25);

    world.options.trigger = Trigger::Schedule(Arc::new(Hours { last: 0 }));
    let summary = world.run().await.unwrap();
    assert_eq!((summary.batches, summary.offset), (0, Some(world.offset(25))));
}
