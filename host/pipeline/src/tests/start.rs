use serde_json::json;

use super::fakes::{Call, Event, SinkCall, Step, World, position, store_error, unavailable, unknown};
use crate::{CheckpointLocation, PipelineError, SinkError, SourceError};

#[tokio::test]
async fn a_first_start_takes_the_sources_initial_offset_even_from_a_note_of_something_else() {
    for world in World::every(25) {
        let note = world.offset(20).to_string();
        world.checkpoint.save_note(&note).await.unwrap();
        let summary = world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 20, 25)]);
        assert_eq!(world.ids(), [21, 22, 23, 24, 25]);
        assert_eq!(summary.rows, 5);
        assert_eq!(world.progress.events()[0], Event::Started(0, world.offset(20)));
    }
}

#[tokio::test]
async fn a_first_start_acknowledges_nothing() {
    let world = World::new(0);
    world.run().await.unwrap();
    assert_eq!(world.remote().acknowledged, []);
}

#[tokio::test]
async fn a_lost_checkpoint_location_loses_no_row() {
    for mut world in World::every(25).filter(|world| world.carries_offset) {
        world.run().await.unwrap();
        world.remote().rows = 40;
        world.checkpoint = CheckpointLocation::memory();
        world.run().await.unwrap();
        assert_eq!(world.batches()[3..], [(4, 25, 35), (5, 35, 40)]);
        world.assert_exactly_once(40);
        let note = world.checkpoint.load_note().await.unwrap().unwrap();
        assert_eq!(position(&note.into()), 40);
    }
}

#[tokio::test]
async fn a_note_ahead_of_the_table_is_ignored() {
    for world in World::every(15) {
        world.run().await.unwrap();
        world.remote().rows = 40;
        let note = world.offset(33).to_string();
        world.checkpoint.save_note(&note).await.unwrap();
        world.run().await.unwrap();
        world.assert_exactly_once(40);
    }
}

#[tokio::test]
async fn a_note_behind_the_table_and_a_damaged_one_are_ignored() {
    for world in World::every(15) {
        world.run().await.unwrap();
        world.remote().rows = 40;
        for note in [world.offset(3).to_string(), json!({"current": "x"}).to_string()] {
            world.checkpoint.save_note(&note).await.unwrap();
            world.run().await.unwrap();
        }
        world.assert_exactly_once(40);
    }
}

#[tokio::test]
async fn the_committed_end_is_acknowledged_again_before_anything_is_planned() {
    for world in World::every(15) {
        world.run().await.unwrap();
        let next = world.beside();
        next.run().await.unwrap();
        assert_eq!(
            next.journal()[..3],
            ["LastCommitted", "Acknowledge 15", "LatestOffset"]
        );
        assert_eq!(world.remote().acknowledged.last(), Some(&world.offset(15)));
    }
}

#[tokio::test]
async fn every_run_of_one_pipeline_asks_the_table_again() {
    for world in World::every(15) {
        let mut first = world.pipeline();
        first.run().await.unwrap();
        world.remote().rows = 30;
        world.beside().run().await.unwrap();
        world.remote().rows = 40;
        let summary = first.run().await.unwrap();
        assert_eq!((summary.batches, summary.rows), (1, 10));
        world.assert_exactly_once(40);
    }
}

#[tokio::test]
async fn a_source_that_cannot_note_its_progress_now_stops_nothing() {
    let failures = || {
        [
            unavailable(),
            SourceError::Unauthorized("PUT progress.json: 403".into()),
            SourceError::Internal("index out of bounds".into()),
        ]
    };
    for world in World::every(15) {
        world.at_call(Call::Acknowledge, failures().map(Step::Fail));
        world.run().await.unwrap();
        world.run().await.unwrap();
        world.assert_exactly_once(15);
        assert_eq!(world.count("Acknowledge"), 3);
        assert_eq!(world.clock.slept(), []);
    }
}

#[tokio::test]
async fn a_source_that_the_host_stopped_while_it_noted_its_progress_ends_the_run() {
    for world in World::every(25) {
        let trap = || Step::Fail(SourceError::Sandbox("trap: unreachable".into()));
        world.at_call(Call::Acknowledge, [trap(), trap()]);
        // The first time after a commit, which is told all the same; the second time at the start.
        for _ in 0..2 {
            let error = world.run().await.unwrap_err();
            assert!(
                matches!(error, PipelineError::Source(SourceError::Sandbox(_))),
                "{error}"
            );
            assert_eq!(world.batches(), [(1, 0, 10)]);
            assert_eq!(world.progress.reports().len(), 1);
        }
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_stops_the_start() {
    for world in World::every(25) {
        world.at_sink(SinkCall::LastCommitted, [Step::Fail(store_error())]);
        let error = world.run().await.unwrap_err();
        assert!(
            matches!(error, PipelineError::Sink(SinkError::Store { .. })),
            "{error}"
        );
        assert_eq!(world.journal(), ["LastCommitted"]);
    }
}

#[tokio::test]
async fn after_a_commit_of_unknown_outcome_the_next_start_knows() {
    for happened in [true, false] {
        for world in World::every(25) {
            let lost = match happened {
                true => Step::FailAfter(unknown(2)),
                false => Step::Fail(unknown(2)),
            };
            world.at_sink(SinkCall::Commit, [Step::Pass, lost]);
            let error = world.run().await.unwrap_err();
            assert!(
                matches!(error, PipelineError::Sink(SinkError::Unknown { batch: 2, .. })),
                "{error}"
            );
            assert_eq!(world.remote().acknowledged, [world.offset(10)]);
            world.run().await.unwrap();
            world.assert_exactly_once(25);
        }
    }
}
