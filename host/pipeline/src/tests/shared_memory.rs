//! Pipelines that share one bound on memory take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::fakes::{Call, Step, World, times, unavailable};
use crate::{Trigger, Turns};

const UNIT: u64 = 1 << 20;

#[tokio::test]
async fn micro_batches_of_pipelines_take_turns_and_none_starves() {
    let turns = Turns::new(10 * UNIT);
    let (large, small) = (World::new(200), World::new(10));
    let mut much = large.pipeline().with_turns(turns.clone(), 8 * UNIT);
    let mut little = small.pipeline().with_turns(turns.clone(), 8 * UNIT);
    let done = Arc::new(AtomicUsize::new(0));
    let count = done.clone();
    let (first, second) = tokio::join!(
        async {
            let ended = much.run().await;
            count.fetch_add(1, SeqCst);
            ended
        },
        async {
            let ended = little.run().await;
            // The large one is still at it.
            assert_eq!(done.load(SeqCst), 0);
            ended
        }
    );
    first.unwrap();
    second.unwrap();
    large.assert_exactly_once(200);
    small.assert_exactly_once(10);
    assert!(
        futures::FutureExt::now_or_never(turns.take(10 * UNIT)).is_some(),
        "all is given back"
    );
}

#[tokio::test]
async fn who_waits_for_a_remote_or_for_the_next_poll_holds_no_turn() {
    let turns = Turns::new(10 * UNIT);
    let mut world = World::new(10);
    world.options.trigger = Trigger::Interval(std::time::Duration::from_secs(1));
    world.at_call(Call::Partitions, times(1, || Step::Fail(unavailable())));
    let (stopper, other) = (world.stopper.clone(), turns.clone());
    let free = Arc::new(AtomicUsize::new(0));
    let (seen, seen_later) = (free.clone(), free.clone());
    let look = move |turns: &Turns, seen: &AtomicUsize| {
        let all = futures::FutureExt::now_or_never(turns.take(10 * UNIT));
        seen.fetch_add(usize::from(all.is_some()), SeqCst);
    };
    let first = other.clone();
    world.clock.during_sleep(1, move || look(&first, &seen));
    world.clock.during_sleep(2, move || {
        look(&other, &seen_later);
        stopper.stop();
    });
    world.pipeline().with_turns(turns, 8 * UNIT).run().await.unwrap();
    assert_eq!(free.load(SeqCst), 2);
    world.assert_exactly_once(10);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_turn() {
    let turns = Turns::new(10 * UNIT);
    let _all = turns.take(10 * UNIT).await;
    let world = World::new(10);
    world.stopper.stop();
    let summary = world
        .pipeline()
        .with_turns(turns.clone(), UNIT)
        .run()
        .await
        .unwrap();
    assert!(summary.stopped);
}
