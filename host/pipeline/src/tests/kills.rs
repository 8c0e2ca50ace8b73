//! Killed again and again, at every point at which a run waits for something. One crash alone: `crashes.rs`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::fakes::World;

/// Runs until it would wait for the n-th time, then it is gone. `true` if it came to its end before.
async fn killed_at(world: &World, n: usize) -> bool {
    let mut pipeline = world.pipeline();
    let mut run = pin!(pipeline.run());
    let mut waits = 0;
    poll_fn(|context| {
        if let Poll::Ready(result) = run.as_mut().poll(context) {
            result.unwrap();
            return Poll::Ready(true);
        }
        waits += 1;
        if waits == n {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn wherever_two_runs_in_a_row_are_killed_the_third_one_goes_on() {
    for kind in 0..4 {
        for first in 1..40 {
            for second in 1..40 {
                let world = World::every(13).nth(kind).unwrap();
                killed_at(&world, first).await;
                killed_at(&world.beside(), second).await;
                world.beside().run().await.unwrap();
                world.assert_exactly_once(13);
            }
        }
    }
}

#[tokio::test]
async fn a_run_that_is_always_killed_gets_on_whenever_it_reaches_a_commit() {
    for mut world in World::every(100) {
        let mut runs = 0;
        while !killed_at(&world, 40).await {
            world = world.beside();
            runs += 1;
            assert!(runs < 100, "no progress");
        }
        world.assert_exactly_once(100);
    }
}
