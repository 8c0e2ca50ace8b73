use super::fakes::{Call, SinkCall, Step, World, store_error, unavailable};
use crate::{PipelineError, SourceError};

#[tokio::test]
async fn after_a_reset_the_next_run_starts_there() {
    for world in World::every(25) {
        world.run().await.unwrap();
        let report = world.pipeline().reset(world.offset(20)).await.unwrap();
        assert_eq!((report.batch, report.rows, report.files), (4, 0, 0));
        assert_eq!((report.end, report.revision), (world.offset(20), 3));
        assert_eq!(world.batches().last().unwrap().2, 20);
        assert_eq!(world.count("Stage"), 3);

        let next = world.beside();
        let summary = next.run().await.unwrap();
        assert_eq!((summary.batches, summary.rows, summary.last_batch), (1, 5, 5));
        assert_eq!(world.ids()[25..], [21, 22, 23, 24, 25]);
        assert_eq!(next.journal()[1], "Acknowledge 20");
    }
}

#[tokio::test]
async fn a_reset_to_an_offset_that_the_source_refuses_changes_nothing() {
    for world in World::every(25) {
        let refused = SourceError::InvalidOptions("no offset of this source".into());
        world.at_call(Call::LatestOffset, [Step::Fail(refused)]);
        let error = world.pipeline().reset(world.offset(5)).await.unwrap_err();
        assert!(matches!(error, PipelineError::Source(_)), "{error}");
        assert!(world.batches().is_empty());
    }
}

#[tokio::test]
async fn a_reset_does_not_wait_for_a_remote_that_is_away() {
    for world in World::every(25) {
        world.at_call(Call::LatestOffset, [Step::Fail(unavailable())]);
        world.pipeline().reset(world.offset(5)).await.unwrap();
        assert_eq!(world.batches().last().unwrap().2, 5);
    }
}

#[tokio::test]
async fn a_reset_that_fails_changes_nothing() {
    for world in World::every(25) {
        world.run().await.unwrap();
        world.at_sink(SinkCall::Commit, [Step::Fail(store_error())]);
        world.pipeline().reset(world.offset(0)).await.unwrap_err();
        world.remote().rows = 30;
        world.run().await.unwrap();
        world.assert_exactly_once(30);
    }
}
