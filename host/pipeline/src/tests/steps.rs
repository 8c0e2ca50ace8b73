//! Driven step by step, with the source replaced in between.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::fakes::{At, Call, Effect, Fault, Files, SinkCall, Step, World, component, store_error, unknown};
use crate::{ComponentId, Pipeline, PipelineError, Sink, SinkError, Source, StepOutcome};

fn newer() -> ComponentId {
    ComponentId {
        version: "0.2.0".into(),
        digest: "sha256:01".into(),
        ..component()
    }
}

/// The component of each micro-batch in the table.
fn versions(world: &World) -> Vec<String> {
    let table = world.table();
    let versions = table.batches.iter().map(|landed| &landed.batch.component.version);
    versions.cloned().collect()
}

/// Steps until there is nothing new, over failures too.
async fn step_to_the_end<S: Source, K: Sink>(pipeline: &mut Pipeline<S, K>) -> usize {
    let mut committed = 0;
    for _ in 0..100 {
        match pipeline.step().await {
            Ok(StepOutcome::Committed(_)) => committed += 1,
            Ok(StepOutcome::NothingNew(_)) => return committed,
            Ok(StepOutcome::Stopped) => panic!("nobody stopped it"),
            Err(_) => {}
        }
    }
    panic!("it comes to no end");
}

#[tokio::test]
async fn each_step_commits_one_micro_batch_or_finds_nothing_new() {
    for world in World::every(13) {
        let mut pipeline = world.pipeline();
        for (batch, end) in [(1, 10), (2, 13)] {
            let StepOutcome::Committed(report) = pipeline.step().await.unwrap() else {
                panic!("batch {batch}");
            };
            assert_eq!((report.batch, &report.end), (batch, &world.offset(end)));
            assert_eq!(world.batches().len() as u64, batch);
        }
        let nothing = StepOutcome::NothingNew(world.offset(13));
        assert_eq!(pipeline.step().await.unwrap(), nothing);
        assert_eq!(pipeline.step().await.unwrap(), nothing);
        world.remote().rows = 20;
        assert!(matches!(
            pipeline.step().await.unwrap(),
            StepOutcome::Committed(_)
        ));
        world.assert_exactly_once(20);
        assert_eq!(world.count("LastCommitted"), 1, "the position is known");
    }
}

#[tokio::test]
async fn a_step_after_one_that_failed_asks_the_table_where_it_stands() {
    for world in World::every(25) {
        let failures = [
            Step::Pass,
            Step::Fail(store_error()),
            Step::Pass,
            Step::FailAfter(unknown(3)),
        ];
        world.at_sink(SinkCall::Commit, failures);
        let mut pipeline = world.pipeline();
        assert!(matches!(
            pipeline.step().await.unwrap(),
            StepOutcome::Committed(_)
        ));
        assert!(pipeline.step().await.is_err());
        step_to_the_end(&mut pipeline).await;
        world.assert_exactly_once(25);
        assert_eq!(world.count("LastCommitted"), 3);
    }
}

#[tokio::test]
async fn a_step_that_is_asked_to_stop_commits_nothing() {
    let world = World::new(25);
    world.at_call(Call::LatestOffset, [world.stop()]);
    let mut pipeline = world.pipeline();
    assert_eq!(pipeline.step().await.unwrap(), StepOutcome::Stopped);
    assert_eq!(world.batches(), []);
}

#[tokio::test]
async fn a_source_that_is_replaced_goes_on_where_the_one_before_ended() {
    for mut world in World::every(33) {
        let mut pipeline = world.pipeline();
        let _ = pipeline.step().await.unwrap();
        world.component = newer();
        world.remote().page = 3;
        let checkpoint = world.checkpoint.clone();
        let before = pipeline.replace_source(Arc::new(world.source(&checkpoint))).await;
        assert_eq!(before.unwrap().component, component());
        step_to_the_end(&mut pipeline).await;
        world.assert_exactly_once(33);
        let versions = versions(&world);
        assert_eq!(versions[0], "0.1.0");
        assert!(
            versions[1..].iter().all(|version| version == "0.2.0"),
            "{versions:?}"
        );
        // The new one is told what the old one was, as at a start.
        let acknowledged = world.remote().acknowledged.clone();
        assert_eq!(acknowledged[..2], [world.offset(10), world.offset(10)]);
        assert_eq!(world.count("LastCommitted"), 1);
        assert_eq!(world.count("InitialOffset"), 1);
    }
}

#[tokio::test]
async fn before_the_first_micro_batch_the_new_source_says_where_to_start() {
    let mut world = World::new(7);
    let mut pipeline = world.pipeline();
    world.remote().rows = 0;
    assert!(matches!(
        pipeline.step().await.unwrap(),
        StepOutcome::NothingNew(_)
    ));
    world.component = ComponentId {
        name: "other".into(),
        ..component()
    };
    let checkpoint = world.checkpoint.clone();
    pipeline
        .replace_source(Arc::new(world.source(&checkpoint)))
        .await
        .unwrap();
    world.remote().rows = 7;
    assert_eq!(step_to_the_end(&mut pipeline).await, 1);
    assert_eq!(world.count("InitialOffset"), 2);
    world.assert_exactly_once(7);
}

#[tokio::test]
async fn another_source_is_refused_and_the_pipeline_goes_on_with_its_own() {
    for mut world in World::every(25) {
        let mut pipeline = world.pipeline();
        let _ = pipeline.step().await.unwrap();
        world.component.name = "other".into();
        let checkpoint = world.checkpoint.clone();
        let other = Arc::new(world.source(&checkpoint));
        let error = pipeline.replace_source(other).await.err().unwrap();
        assert!(
            matches!(&error, PipelineError::OtherSource { batch: 1, offset, .. } if **offset == world.offset(10)),
            "{error}"
        );
        step_to_the_end(&mut pipeline).await;
        world.assert_exactly_once(25);
        assert_eq!(versions(&world), ["0.1.0"; 3]);
        assert_eq!(world.count("LastCommitted"), 1);
    }
}

#[tokio::test]
async fn a_schema_that_the_sink_refuses_leaves_the_source_as_it_was() {
    let mut world = World::new(25);
    let mut pipeline = world.pipeline();
    let _ = pipeline.step().await.unwrap();
    world.component = newer();
    let checkpoint = world.checkpoint.clone();
    let mut wider = world.source(&checkpoint);
    wider.schema = Arc::new(Schema::new(vec![Field::new("other", DataType::Utf8, true)]));
    let error = pipeline.replace_source(Arc::new(wider)).await.err().unwrap();
    assert!(
        matches!(error, PipelineError::Sink(SinkError::Schema(_))),
        "{error}"
    );
    step_to_the_end(&mut pipeline).await;
    world.assert_exactly_once(25);
    assert_eq!(versions(&world), ["0.1.0"; 3]);
}

/// One step, another source, and steps to the end.
async fn replace_and_read(world: &World, newer: &World) -> Result<(), PipelineError> {
    let mut pipeline = world.pipeline();
    let _ = pipeline.step().await?;
    let checkpoint = world.files.as_ref().unwrap().location_of(&world.process);
    let source = newer.source(&checkpoint);
    pipeline.replace_source(Arc::new(source)).await?;
    loop {
        match pipeline.step().await? {
            StepOutcome::Committed(_) => {}
            _ => return Ok(()),
        }
    }
}

fn pair(kind: usize) -> (World, World) {
    let world = World::every(23).nth(kind).unwrap().with_files(Files::default());
    let mut newer = world.beside();
    newer.process = world.process.clone();
    newer.component = self::newer();
    (world, newer)
}

#[tokio::test]
async fn after_a_crash_at_any_call_around_a_replacement_rows_come_once() {
    let mut cases = 0;
    for kind in 0..4 {
        let (clean, clean_newer) = pair(kind);
        replace_and_read(&clean, &clean_newer).await.unwrap();
        clean.assert_exactly_once(23);
        for call in 1..=clean.process.points().len() {
            for fault in [Fault::Crash, Fault::Error] {
                for effect in [Effect::Before, Effect::After] {
                    let (world, newer) = pair(kind);
                    world.process.meets(At::Call(call), effect, fault);
                    tokio::select! {
                        biased;
                        _ = world.process.halted() => {}
                        _ = replace_and_read(&world, &newer) => {}
                    }
                    assert_eq!(world.process.unmet(), []);
                    let reached = world.batches().last().map_or(0, |(_, _, end)| *end);
                    world.assert_exactly_once(reached);
                    // Whichever version comes next.
                    let mut next = if call % 2 == 0 {
                        world.beside()
                    } else {
                        newer.beside()
                    };
                    next.process = Default::default();
                    next.run().await.unwrap();
                    next.assert_exactly_once(23);
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 300, "{cases}");
}

#[tokio::test]
async fn a_failure_at_any_call_around_a_replacement_is_got_over_by_the_next_steps() {
    for kind in 0..4 {
        let (clean, clean_newer) = pair(kind);
        replace_and_read(&clean, &clean_newer).await.unwrap();
        for call in 1..=clean.process.points().len() {
            for effect in [Effect::Before, Effect::After] {
                let (world, newer) = pair(kind);
                world.process.meets(At::Call(call), effect, Fault::Error);
                let mut pipeline = world.pipeline();
                let first = pipeline.step().await;
                let checkpoint = world.files.as_ref().unwrap().location_of(&world.process);
                for _ in 0..2 {
                    let source = Arc::new(newer.source(&checkpoint));
                    if pipeline.replace_source(source).await.is_ok() {
                        break;
                    }
                }
                step_to_the_end(&mut pipeline).await;
                world.assert_exactly_once(23);
                let versions = versions(&world);
                assert_eq!(versions.last().unwrap(), "0.2.0", "{first:?}: {versions:?}");
            }
        }
    }
}
