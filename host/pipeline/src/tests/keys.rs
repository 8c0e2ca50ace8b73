use super::fakes::{World, part, rows};
use crate::{Batch, PipelineError, SourceError, SourceUsage};

fn keyed(sequential: bool) -> World {
    let mut world = World::of(sequential, true, 25);
    world.key = vec!["id".into()];
    world
}

#[tokio::test]
async fn honest_rows_are_not_in_the_way() {
    for sequential in [false, true] {
        let world = keyed(sequential);
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn rows_that_come_twice_over_partitions_are_read_again_and_come_once() {
    let world = keyed(false);
    // Rows moved between two partitions, once.
    world.remote().partitions.push_back(vec![part(0, 5), part(3, 8)]);
    world.run().await.unwrap();
    world.assert_exactly_once(25);
    assert_eq!(world.clock.slept().len(), 1);
}

#[tokio::test]
async fn rows_that_come_twice_every_time_end_the_run_and_nothing_of_them_is_committed() {
    let world = keyed(false);
    for _ in 0..3 {
        world.remote().partitions.push_back(vec![part(0, 5), part(3, 8)]);
    }
    let error = world.run().await.unwrap_err();
    let said = error.to_string();
    assert!(
        matches!(error, PipelineError::Source(SourceError::Unavailable { .. })),
        "{said}"
    );
    assert!(
        said.contains("has the key id = ") && said.contains("(gave up after 3 attempts)"),
        "{said}"
    );
    assert_eq!(world.batches(), []);
    assert_eq!((world.count("Commit"), world.count("Acknowledge")), (0, 0));
    world.run().await.unwrap();
    world.assert_exactly_once(25);
}

#[tokio::test]
async fn rows_that_come_again_behind_a_cursor_that_moves_on_are_noticed() {
    let world = keyed(true);
    for _ in 0..3 {
        for (start, end, reached) in [(0, 3, 3), (3, 6, 6), (0, 3, 9)] {
            world.remote().batches.push_back(Some(Batch {
                rows: vec![rows(start, end)],
                end: Some(world.offset(reached)),
                usage: SourceUsage::default(),
            }));
        }
    }
    let said = world.run().await.unwrap_err().to_string();
    assert!(
        said.starts_with("row 7 of the micro-batch has the key id = 1, which a row before it has"),
        "{said}"
    );
    assert_eq!(world.batches(), []);
}

#[tokio::test]
async fn without_a_key_rows_may_be_the_same() {
    let world = World::new(25);
    world.remote().partitions.push_back(vec![part(0, 5), part(3, 8)]);
    world.run().await.unwrap();
    assert_eq!(world.clock.slept().len(), 0);
}
