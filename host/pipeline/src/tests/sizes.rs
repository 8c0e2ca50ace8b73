use super::fakes::World;
use crate::{PipelineError, Remedy, SinkError};

/// Of one row: a number of 64 bits.
const ROW: u64 = 8;

#[tokio::test]
async fn a_range_of_more_bytes_than_allowed_commits_nothing_and_names_the_keys() {
    let mut world = World::new(10);
    world.options.limit.max_bytes = Some(10 * ROW - 1);
    let error = world.run().await.unwrap_err();
    assert!(
        matches!(&error, PipelineError::TooManyBytes { end, max: 79 } if *end == world.offset(10)),
        "{error:?}"
    );
    assert_eq!(
        error.remedies(),
        [
            Remedy::Raise("trigger.max_bytes_per_batch"),
            Remedy::Lower("trigger.max_rows_per_batch")
        ]
    );
    assert_eq!(world.batches(), []);

    world.options.limit.max_bytes = Some(10 * ROW);
    world.run().await.unwrap();
    world.assert_exactly_once(10);
}

#[tokio::test]
async fn a_sequential_read_ends_its_micro_batch_before_it_has_too_many_bytes() {
    // Two pages of five rows would go over the first, and one alone over the second: it is taken, or nothing would be.
    for most in [10 * ROW - 1, 1] {
        let mut world = World::sequential(20);
        world.options.limit.max_bytes = Some(most);
        world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 0, 5), (2, 5, 10), (3, 10, 15), (4, 15, 20)]);
        world.assert_exactly_once(20);
    }
}

#[tokio::test]
async fn the_source_is_told_how_many_bytes_there_may_be() {
    let mut world = World::new(10);
    world.options.limit.max_bytes = Some(1 << 20);
    world.run().await.unwrap();
    let limits: Vec<_> = world
        .remote()
        .asked
        .iter()
        .map(|(.., limit)| limit.max_bytes)
        .collect();
    assert_eq!(
        limits,
        [None, Some(1 << 20)],
        "the poll for all that exists has no limit"
    );
}

#[tokio::test]
async fn a_stage_that_did_not_write_every_row_commits_nothing() {
    for world in World::every(25) {
        world.table().lost_rows = 1;
        let error = world.run().await.unwrap_err();
        assert!(
            matches!(
                error,
                PipelineError::Sink(SinkError::RowCount { read: 10, written: 9 })
            ),
            "{error}"
        );
        assert_eq!((world.count("Commit"), world.count("Acknowledge")), (0, 0));
        world.table().lost_rows = 0;
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}
