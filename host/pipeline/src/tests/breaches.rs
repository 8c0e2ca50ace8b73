use std::mem::take;

use super::fakes::{Call, Step, World, part, rows, times};
use crate::{Batch, PipelineError, SourceUsage};

fn batch(start: u64, end: u64, offset: Option<crate::Offset>) -> Option<Batch> {
    Some(Batch {
        rows: vec![rows(start, end)],
        end: offset,
        usage: SourceUsage::default(),
    })
}

async fn contract_message(world: &World) -> String {
    match world.run().await.unwrap_err() {
        PipelineError::Contract(message) => message,
        e => panic!("{e}"),
    }
}

#[tokio::test]
async fn more_rows_than_the_limit_are_refused() {
    for reply in [vec![part(0, 11)], vec![part(0, 8), part(4, 10)]] {
        let world = World::new(25);
        world.remote().partitions.push_back(reply);
        let message = contract_message(&world).await;
        assert!(message.contains("more than the 10 rows"), "{message}");
        assert_eq!((world.count("Commit"), world.count("Acknowledge")), (0, 0));
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn exactly_as_many_rows_as_the_limit_are_fine() {
    let world = World::new(25);
    world.remote().partitions.push_back(vec![part(0, 9), part(9, 10)]);
    world.run().await.unwrap();
    world.assert_exactly_once(25);
}

#[tokio::test]
async fn without_a_limit_no_number_of_rows_is_too_many() {
    let mut world = World::new(300);
    world.options.limit.max_rows = None;
    world.run().await.unwrap();
    world.assert_exactly_once(300);
}

#[tokio::test]
async fn a_range_that_does_not_move_is_not_read() {
    let world = World::new(25);
    world.remote().latest.push_back(Some(world.offset(0)));
    let summary = world.run().await.unwrap();
    assert_eq!(summary.offset, Some(world.offset(0)));
    assert_eq!((world.count("Partitions"), world.count("Commit")), (0, 0));
}

#[tokio::test]
async fn a_latest_offset_that_stays_below_what_it_gave_before_is_refused() {
    let world = World::new(25);
    world
        .remote()
        .latest
        .extend([Some(world.offset(25)), Some(world.offset(0))]);
    let message = contract_message(&world).await;
    assert!(
        message.starts_with("latest-offset({\"current\":0}, up to {\"current\":25})"),
        "{message}"
    );
    assert_eq!(world.batches(), []);
}

#[tokio::test]
async fn a_latest_offset_that_leaps_over_what_it_gave_before_is_refused_in_the_end() {
    let world = World::new(25);
    let offsets = [25, 10, 20, 30, 30].map(|n| Some(world.offset(n)));
    world.remote().latest.extend(offsets);
    world.remote().rows = 30;
    let message = contract_message(&world).await;
    assert!(message.contains("stays at {\"current\":30}"), "{message}");
    world.assert_exactly_once(30);
}

#[tokio::test]
async fn too_many_partitions_are_refused() {
    let world = World::new(25);
    world.remote().partitions.push_back(vec![part(0, 0); 100_001]);
    let message = contract_message(&world).await;
    assert!(message.contains("100001 parts; 100000 are allowed"), "{message}");
    assert_eq!((world.count("Read"), world.count("Commit")), (0, 0));
}

#[tokio::test]
async fn a_sequential_batch_without_an_end_is_refused() {
    let world = World::sequential(25);
    world.remote().batches.push_back(batch(0, 5, None));
    let message = contract_message(&world).await;
    assert_eq!(message, "a batch of read-from has no end offset");
    assert_eq!((world.count("Stage"), world.count("Commit")), (0, 0));
}

#[tokio::test]
async fn sequential_rows_whose_end_is_the_start_are_refused() {
    let world = World::sequential(25);
    world
        .remote()
        .batches
        .push_back(batch(0, 5, Some(world.offset(0))));
    let error = world.run().await.unwrap_err();
    assert!(matches!(error, PipelineError::Stuck { rows: 5, .. }), "{error}");
    assert_eq!(world.count("Commit"), 0);
}

#[tokio::test]
async fn sequential_rows_whose_end_is_that_of_the_batch_before_are_refused() {
    let world = World::sequential(25);
    let same = [(0, 5), (5, 8)].map(|(start, end)| batch(start, end, Some(world.offset(5))));
    world.remote().batches.extend(same);
    let error = world.run().await.unwrap_err();
    assert!(matches!(error, PipelineError::Stuck { rows: 3, .. }), "{error}");
    assert_eq!(world.count("Commit"), 0);
}

#[tokio::test]
async fn sequential_rows_that_lead_back_to_the_start_are_refused() {
    let world = World::sequential(25);
    let circle = [(0, 5, 5), (5, 8, 0)].map(|(start, end, to)| batch(start, end, Some(world.offset(to))));
    world.remote().batches.extend(circle);
    world.remote().batches.push_back(None);
    let error = world.run().await.unwrap_err();
    assert!(matches!(error, PipelineError::Stuck { rows: 8, .. }), "{error}");
    assert_eq!(world.count("Commit"), 0);
}

#[tokio::test]
async fn a_source_that_goes_back_in_a_later_look_is_refused() {
    let mut world = World::new(25);
    world.options.trigger = crate::Trigger::Interval(std::time::Duration::from_secs(60));
    {
        let mut remote = world.remote();
        // Each look asks twice: for what exists, and for the batch's end.
        let offsets = [10, 10, 0, 0].map(|n| Some(world.offset(n)));
        remote.latest.extend(offsets);
        remote.partitions.extend([vec![part(0, 10)], vec![]]);
    }
    let message = contract_message(&world).await;
    assert_eq!(
        message,
        "it goes back: after {\"current\":10} comes {\"current\":0}, which was passed before"
    );
    assert_eq!(world.batches(), [(1, 0, 10)]);
}

#[tokio::test]
async fn sequential_rows_whose_end_was_passed_in_the_same_micro_batch_are_refused() {
    let world = World::sequential(25);
    let circle =
        [(0, 4, 4), (4, 6, 6), (6, 8, 4)].map(|(start, end, to)| batch(start, end, Some(world.offset(to))));
    world.remote().batches.extend(circle);
    let message = contract_message(&world).await;
    assert!(
        message.starts_with("it goes back: after {\"cursor\":\"after-6\"}"),
        "{message}"
    );
    assert_eq!(world.count("Commit"), 0);
}

#[tokio::test]
async fn a_breach_is_not_tried_again_and_ends_the_readers() {
    let world = World::new(25);
    world.remote().partitions.push_back(vec![part(0, 11)]);
    world.at_call(Call::Next, times(1, || Step::Pass));
    contract_message(&world).await;
    assert_eq!(world.clock.slept(), []);
    super::fakes::settle().await;
    assert_eq!(world.remote().open, 0);
    assert_eq!(take(&mut world.remote().acknowledged), []);
}
