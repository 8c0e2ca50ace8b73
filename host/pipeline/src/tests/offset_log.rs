use super::fakes::{SinkCall, Step, World, store_error, unknown};
use crate::{CheckpointError, CheckpointLocation, PipelineError};

fn both(rows: u64) -> impl Iterator<Item = World> {
    World::every(rows).filter(|world| !world.carries_offset)
}

#[tokio::test]
async fn an_entry_is_written_before_its_commit() {
    for world in both(25) {
        world.at_sink(SinkCall::Commit, [Step::Pass, Step::Fail(store_error())]);
        world.run().await.unwrap_err();
        assert_eq!(world.batches(), [(1, 0, 10)]);
        let entry = world.checkpoint.load_entry(2).await.unwrap().unwrap();
        assert_eq!((entry.start, entry.end), (world.offset(10), world.offset(20)));
        assert_eq!((entry.batch, entry.rows), (2, 10));
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_written_stops_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("offsets"), "in the way").unwrap();
    for mut world in both(25) {
        world.checkpoint = CheckpointLocation::local(folder.path()).unwrap();
        let error = world.run().await.unwrap_err();
        assert!(matches!(error, PipelineError::Checkpoint(_)), "{error}");
        assert_eq!(world.count("Commit"), 0);
    }
}

#[tokio::test]
async fn a_table_that_carries_the_offset_needs_no_log() {
    for world in World::every(25).filter(|world| world.carries_offset) {
        world.run().await.unwrap();
        assert_eq!(world.checkpoint.load_entry(1).await.unwrap(), None);
    }
}

#[tokio::test]
async fn after_a_crash_between_entry_and_commit_the_next_free_number_is_taken() {
    for world in both(25) {
        world.at_sink(SinkCall::Commit, [Step::Pass, Step::Fail(store_error())]);
        world.run().await.unwrap_err();
        // What is committed in the second try ends elsewhere: entry 2 must not be mistaken for it.
        world.at_sink(SinkCall::Commit, [Step::FailAfter(unknown(3))]);
        let mut next = world.beside();
        next.options.limit.max_rows = Some(5);
        next.run().await.unwrap_err();
        assert_eq!(world.batches(), [(1, 0, 10), (3, 10, 15)]);
        let abandoned = world.checkpoint.load_entry(2).await.unwrap().unwrap();
        assert_eq!(abandoned.end, world.offset(20));

        let summary = world.run().await.unwrap();
        assert_eq!(world.batches()[2..], [(4, 15, 25)]);
        assert_eq!((summary.batches, summary.last_batch), (1, 4));
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn after_a_commit_of_unknown_outcome_the_table_says_which_entry_counts() {
    for world in both(25) {
        world.at_sink(
            SinkCall::Commit,
            [
                Step::FailAfter(unknown(1)),
                Step::Fail(unknown(2)),
                Step::FailAfter(unknown(3)),
            ],
        );
        for _ in 0..3 {
            world.run().await.unwrap_err();
        }
        assert_eq!(world.batches(), [(1, 0, 10), (3, 10, 20)]);
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn a_damaged_entry_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::of(false, false, 25);
    world.checkpoint = CheckpointLocation::local(folder.path()).unwrap();
    world.run().await.unwrap();
    std::fs::write(folder.path().join("offsets/3"), "").unwrap();
    let error = world.run().await.unwrap_err();
    assert!(
        matches!(error, PipelineError::Checkpoint(CheckpointError::Damaged { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn the_newest_hundred_entries_are_kept() {
    let mut world = World::of(false, false, 250);
    world.options.limit.max_rows = Some(2);
    world.run().await.unwrap();
    assert_eq!(world.batches().len(), 125);
    for (batch, kept) in [(1, false), (25, false), (26, true), (125, true)] {
        let entry = world.checkpoint.load_entry(batch).await.unwrap();
        assert_eq!(entry.is_some(), kept, "{batch}");
    }
    world.remote().rows = 260;
    world.run().await.unwrap();
    world.assert_exactly_once(260);
}

#[tokio::test]
async fn a_pipeline_may_move_its_offset_from_the_log_into_the_table_and_back() {
    for mut world in both(10) {
        for (rows, carries_offset) in [(15, false), (30, true), (45, true), (60, false), (70, false)] {
            world.remote().rows = rows;
            // A change of place happens while the other place is still known.
            world.carries_offset = carries_offset;
            if let Err(error) = world.run().await {
                assert!(matches!(error, PipelineError::OffsetUnknown { .. }), "{error}");
                assert_eq!(rows, 60, "{error}");
                let end = world.offset(45);
                world.pipeline().reset(end).await.unwrap();
                world.run().await.unwrap();
            }
        }
        world.assert_exactly_once(70);
    }
}
