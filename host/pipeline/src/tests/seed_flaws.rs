//! What was wrong with the reader that this project began with.

use super::fakes::{Call, SinkCall, Step, World, lasting_errors, position, store_error, times, unavailable};
use crate::{PipelineError, SourceError};

#[tokio::test]
async fn flaw_1_the_offset_never_runs_ahead_of_the_remote() {
    for world in World::every(25) {
        for _ in 0..3 {
            let summary = world.run().await.unwrap();
            assert_eq!(summary.offset, Some(world.offset(25)));
        }
        world.remote().rows = 28;
        world.run().await.unwrap();
        assert_eq!(world.batches().last(), Some(&(4, 25, 28)));
        world.assert_exactly_once(28);
    }
}

#[tokio::test]
async fn flaw_2_a_batch_holds_the_rows_up_to_its_end_and_no_more() {
    let world = World::new(13);
    // By the time of reading there is more than when the end was decided.
    world.at_call(
        Call::Partitions,
        times(2, || world.change(|remote| remote.rows += 20)),
    );
    world.run().await.unwrap();
    assert_eq!(world.batches(), [(1, 0, 10), (2, 10, 13)]);
    world.assert_exactly_once(13);
    world.run().await.unwrap();
    world.assert_exactly_once(53);
}

#[tokio::test]
async fn flaw_2_a_sequential_batch_ends_where_its_last_rows_end() {
    let world = World::sequential(40);
    // Pages of 4 don't divide the limit of 10: the third one is left to the next batch.
    world.remote().page = 4;
    world.run().await.unwrap();
    assert_eq!(
        world.batches(),
        [(1, 0, 8), (2, 8, 16), (3, 16, 24), (4, 24, 32), (5, 32, 40)]
    );
    world.assert_exactly_once(40);
}

#[tokio::test]
async fn flaw_3_what_the_source_notes_is_the_committed_end() {
    for world in World::every(25) {
        // The second batch is read twice: a counter in the reader would run away.
        let passing = if world.sequential { 3 } else { 7 };
        world.at_call(Call::Next, times(passing, || Step::Pass));
        world.at_call(Call::Next, [Step::Fail(unavailable())]);
        world.run().await.unwrap();
        let ends: Vec<_> = world
            .table()
            .batches
            .iter()
            .map(|b| b.batch.end.clone())
            .collect();
        assert_eq!(world.remote().acknowledged, ends);
        let note = world.checkpoint.load_note().await.unwrap().unwrap();
        assert_eq!(position(&note.into()), 25);
        let told = |entry: &&String| entry.starts_with("Commit") || entry.starts_with("Acknowledge");
        let told: Vec<_> = world.journal().iter().filter(told).cloned().collect();
        let expected = [
            "Commit 1",
            "Acknowledge 10",
            "Commit 2",
            "Acknowledge 20",
            "Commit 3",
            "Acknowledge 25",
        ];
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn flaw_3_nothing_is_noted_of_a_batch_that_was_not_committed() {
    for world in World::every(25) {
        world.at_sink(SinkCall::Commit, [Step::Pass, Step::Fail(store_error())]);
        let error = world.run().await.unwrap_err();
        assert!(matches!(error, PipelineError::Sink(_)), "{error}");
        assert_eq!(world.remote().acknowledged, [world.offset(10)]);
        world.run().await.unwrap();
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn flaw_4_a_crash_between_the_commit_and_the_note_brings_no_row_twice() {
    for world in World::every(25) {
        let crash = || Step::Fail(SourceError::Sandbox("killed".into()));
        world.at_call(Call::Acknowledge, [Step::Pass, crash(), crash()]);
        for batches in [2, 2] {
            world.run().await.unwrap_err();
            assert_eq!(world.batches().len(), batches);
            let note = world.checkpoint.load_note().await.unwrap().unwrap();
            assert_eq!(position(&note.into()), 10, "the note is behind");
        }
        world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 0, 10), (2, 10, 20), (3, 20, 25)]);
        world.assert_exactly_once(25);
    }
}

#[tokio::test]
async fn flaw_5_a_restarted_process_does_not_count_from_zero() {
    for mut world in World::every(15) {
        world.run().await.unwrap();
        let asked = world.remote().asked.len();
        world.remote().rows = 18;
        let next = world.beside();
        world = next;
        world.run().await.unwrap();
        assert_eq!(world.count("InitialOffset"), 0);
        assert_eq!(world.remote().asked[asked].0, world.offset(15));
        assert_eq!(world.batches().last(), Some(&(3, 15, 18)));
        world.assert_exactly_once(18);
    }
}

#[tokio::test]
async fn flaw_6_an_error_page_is_no_rows_and_an_outage_is_waited_for() {
    for world in World::every(15) {
        world.at_call(Call::Next, [Step::Fail(unavailable())]);
        world.run().await.unwrap();
        world.assert_exactly_once(15);
        world.remote().rows = 20;
        for error in lasting_errors() {
            world.at_call(Call::Next, [Step::Fail(error)]);
            world.run().await.unwrap_err();
            world.assert_exactly_once(15);
        }
    }
}
