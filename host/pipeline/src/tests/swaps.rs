//! A newer version takes over while the pipeline runs, and goes again when it fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_schema::{DataType, Field, Schema};

use super::crashes::Shown;
use super::fakes::{
    At, Call, Effect, Event, FakeSink, FakeSource, Fault, Files, Point, Status, Step, World, component,
    position, settle, times, unavailable,
};
use crate::{
    CheckpointLocation, ComponentId, Pipeline, PipelineError, Probation, Remedy, RunSummary, SinkError,
    Source, StartVersion, Successor, SuccessorSender, SwapEvent, SwapOrder, SwapOutcome, Takeover, Trigger,
    Version, VersionRecord, successors,
};

const CONFIGURED: &str = "c@1";

fn newer() -> ComponentId {
    ComponentId {
        version: "0.2.0".into(),
        digest: "sha256:01".into(),
        ..component()
    }
}

fn version(component: &ComponentId) -> Version {
    Version {
        reference: format!("oci://host/c:{}", component.version),
        component: component.clone(),
        signature: None,
    }
}

/// The version that the configuration leads to.
fn configured() -> Version {
    Version {
        reference: CONFIGURED.into(),
        ..version(&component())
    }
}

fn order() -> SwapOrder {
    SwapOrder {
        by: "me".into(),
        reason: "it is faster".into(),
    }
}

/// A successor that traps after so many calls, if at all.
fn successor(world: &World, calls: Option<usize>) -> Successor<FakeSource> {
    let checkpoint = match &world.files {
        Some(files) => files.location_of(&world.process),
        None => world.checkpoint.clone(),
    };
    let mut source = world.source(&checkpoint);
    source.component = newer();
    source.calls_left = calls.map(|calls| Arc::new(Mutex::new(calls)));
    Successor {
        source: Arc::new(source),
        version: version(&newer()),
        current: configured(),
        configured: CONFIGURED.into(),
        again: false,
        order: order(),
    }
}

fn pipeline(world: &World) -> (Pipeline<FakeSource, FakeSink>, SuccessorSender<FakeSource>) {
    let (sender, receiver) = successors();
    (world.pipeline().with_successors(receiver, None), sender)
}

/// Runs with a successor that was offered before the start.
async fn run_with(
    world: &World,
    successor: Successor<FakeSource>,
) -> (Result<RunSummary, PipelineError>, Result<Takeover, PipelineError>) {
    let (mut pipeline, sender) = pipeline(world);
    let run = async {
        let ended = pipeline.run().await;
        pipeline.close().await;
        ended
    };
    let (taken, ended) = tokio::join!(biased; sender.offer(successor), run);
    (ended, taken)
}

fn stop_during_sleep(world: &World, n: usize) {
    let stopper = world.stopper.clone();
    world.clock.during_sleep(n, move || stopper.stop());
}

fn versions(world: &World) -> Vec<String> {
    let table = world.table();
    let versions = table.batches.iter().map(|landed| &landed.batch.component.version);
    versions.cloned().collect()
}

fn events(world: &World) -> Vec<SwapEvent> {
    let swaps = world.progress.events().into_iter();
    let swap = |event| match event {
        Event::Swapped(event) => Some(event),
        _ => None,
    };
    swaps.filter_map(swap).collect()
}

async fn record(world: &World) -> VersionRecord {
    world.checkpoint.load_versions().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_successor_takes_over_at_a_boundary_and_is_promoted_after_its_micro_batches() {
    for mut world in World::every(100) {
        world.options.probation.batches = 2;
        let (mut pipeline, sender) = pipeline(&world);
        let _ = pipeline.step().await.unwrap();
        let (taken, step) = tokio::join!(biased; sender.offer(successor(&world, None)), pipeline.step());
        let _ = step.unwrap();
        let taken = taken.unwrap();
        assert_eq!((taken.from, taken.to), (component(), newer()));
        assert_eq!((taken.after_batch, position(&taken.offset)), (1, 10));
        assert!(record(&world).await.probation.is_some());
        let _ = pipeline.step().await.unwrap();
        assert_eq!(record(&world).await.current, version(&newer()));
        pipeline.run().await.unwrap();
        world.assert_exactly_once(100);
        assert_eq!(versions(&world)[..3], ["0.1.0", "0.2.0", "0.2.0"]);
        assert!(matches!(
            events(&world)[..],
            [SwapEvent::TookOver(_), SwapEvent::Promoted(_)]
        ));
        let notes: Vec<_> = world
            .table()
            .batches
            .iter()
            .map(|landed| landed.batch.swap.clone())
            .collect();
        let note = notes[1].as_ref().unwrap();
        assert_eq!(
            (&note.from, note.by.as_str(), note.rolled_back),
            (&component(), "me", false)
        );
        assert_eq!(notes.iter().flatten().count(), 1, "only the first one says it");
    }
}

#[tokio::test]
async fn a_version_that_finds_nothing_new_is_promoted_when_its_time_is_over() {
    let mut world = World::new(10);
    world.options.trigger = Trigger::Interval(Duration::from_secs(10));
    world.options.probation.time = Duration::from_secs(25);
    stop_during_sleep(&world, 7);
    let (_, taken) = run_with(&world, successor(&world, None)).await;
    taken.unwrap();
    assert_eq!(record(&world).await.swaps[0].outcome, SwapOutcome::Promoted);
}

#[tokio::test]
async fn wherever_a_version_breaks_the_one_before_reads_on_and_the_digest_is_refused() {
    let mut broken = 0;
    for calls in 0..40 {
        for world in World::every(43) {
            let _shown = Shown(format!("{calls} calls, sequential {}", world.sequential));
            let (ended, taken) = run_with(&world, successor(&world, Some(calls))).await;
            taken.unwrap();
            let record = record(&world).await;
            match &record.swaps[0].outcome {
                // It may break later, like any version.
                SwapOutcome::Promoted => assert!(record.refused.is_empty()),
                SwapOutcome::RolledBack(reason) => {
                    broken += 1;
                    assert_eq!(ended.unwrap().offset, Some(world.offset(43)));
                    world.assert_exactly_once(43);
                    assert!(reason.contains("this version is broken"), "{reason}");
                    assert_eq!(record.current, configured());
                    assert!(record.refuses(&newer().digest).is_some());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(broken > 50, "{broken}");
}

#[tokio::test]
async fn a_refused_version_is_taken_again_only_when_someone_says_so() {
    let world = World::new(100);
    let (mut pipeline, sender) = pipeline(&world);
    let (_, ended) = tokio::join!(biased; sender.offer(successor(&world, Some(0))), pipeline.run());
    ended.unwrap();
    world.remote().rows += 100;
    let (refused, ended) = tokio::join!(biased; sender.offer(successor(&world, None)), pipeline.run());
    ended.unwrap();
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("failed before: trap"), "{refused}");
    assert_eq!(refused.remedies(), [Remedy::SwapAgain]);
    world.remote().rows += 100;
    let again = Successor {
        again: true,
        ..successor(&world, None)
    };
    let (taken, ended) = tokio::join!(biased; sender.offer(again), pipeline.run());
    ended.unwrap();
    taken.unwrap();
    assert!(record(&world).await.refused.is_empty());
    world.assert_exactly_once(300);
}

#[tokio::test]
async fn a_version_that_goes_back_in_offsets_or_stays_is_rolled_back() {
    for to in [0, 10] {
        let world = World::sequential(50);
        let (mut pipeline, sender) = pipeline(&world);
        for _ in 0..2 {
            let _ = pipeline.step().await.unwrap();
        }
        let back = super::fakes::rows(20, 25);
        let end = Some(world.offset(to));
        world.remote().batches.push_back(Some(crate::Batch {
            rows: vec![back],
            end,
            ..Default::default()
        }));
        let (taken, step) = tokio::join!(biased; sender.offer(successor(&world, None)), pipeline.step());
        let _ = step.unwrap();
        taken.unwrap();
        pipeline.run().await.unwrap();
        world.assert_exactly_once(50);
        assert!(matches!(
            record(&world).await.swaps[0].outcome,
            SwapOutcome::RolledBack(_)
        ));
    }
}

#[tokio::test]
async fn a_version_that_only_fails_is_rolled_back_after_the_retries_or_after_its_time() {
    for (attempts, failures) in [(3, 3), (1000, 4)] {
        let mut world = World::new(30);
        world.options.retry.attempts = attempts;
        world.options.retry.base = Duration::from_secs(10);
        world.options.probation.time = Duration::from_secs(25);
        let (mut pipeline, sender) = pipeline(&world);
        let _ = pipeline.step().await.unwrap();
        world.at_call(Call::Partitions, times(failures, || Step::Fail(unavailable())));
        let (taken, step) = tokio::join!(biased; sender.offer(successor(&world, None)), pipeline.step());
        let _ = step.unwrap();
        taken.unwrap();
        pipeline.run().await.unwrap();
        world.assert_exactly_once(30);
        let record = record(&world).await;
        assert!(
            matches!(&record.swaps[0].outcome, SwapOutcome::RolledBack(reason) if reason.contains("503")),
            "{record:?}"
        );
    }
}

#[tokio::test]
async fn a_successor_is_taken_in_the_pause_between_polls_and_between_tries() {
    let mut world = World::new(10);
    world.options.trigger = Trigger::Interval(Duration::from_secs(3600));
    world.clock.never_wake_from(1);
    let (mut pipeline, sender) = pipeline(&world);
    let stopper = world.stopper.clone();
    let swap = async {
        settle().await;
        let taken = sender.offer(successor(&world, None)).await;
        stopper.stop();
        taken
    };
    let (taken, ended) = tokio::join!(biased; swap, pipeline.run());
    assert!(ended.unwrap().stopped);
    assert_eq!(position(&taken.unwrap().offset), 10);

    let world = World::new(10);
    world.at_call(Call::Partitions, times(2, || Step::Fail(unavailable())));
    let (ended, taken) = run_with(&world, successor(&world, None)).await;
    ended.unwrap();
    taken.unwrap();
    world.assert_exactly_once(10);
}

#[tokio::test]
async fn only_one_version_at_a_time_is_on_probation() {
    let world = World::new(100);
    let (mut pipeline, sender) = pipeline(&world);
    let (taken, step) = tokio::join!(biased; sender.offer(successor(&world, None)), pipeline.step());
    let _ = step.unwrap();
    taken.unwrap();
    let (refused, step) = tokio::join!(biased; sender.offer(successor(&world, None)), pipeline.step());
    let _ = step.unwrap();
    assert!(matches!(refused, Err(PipelineError::OnProbation { version }) if version == newer()));
}

#[tokio::test]
async fn a_successor_that_reads_something_else_or_whose_rows_do_not_fit_changes_nothing() {
    let world = World::new(100);
    let (mut pipeline, sender) = pipeline(&world);
    let _ = pipeline.step().await.unwrap();
    let with = |change: fn(&mut FakeSource)| {
        let Successor {
            source,
            version,
            current,
            configured,
            again,
            order,
        } = successor(&world, None);
        let mut source = Arc::into_inner(source).unwrap();
        change(&mut source);
        Successor {
            source: Arc::new(source),
            version,
            current,
            configured,
            again,
            order,
        }
    };
    let other = with(|source| source.component.name = "other".into());
    let wider = with(|source| {
        let fields = ["id", "more"].map(|name| Field::new(name, DataType::Int64, false));
        source.schema = Arc::new(Schema::new(fields.to_vec()));
    });
    let (refused, step) = tokio::join!(biased; sender.offer(other), pipeline.step());
    let _ = step.unwrap();
    assert!(
        matches!(refused, Err(PipelineError::OtherSource { .. })),
        "{refused:?}"
    );
    let (refused, step) = tokio::join!(biased; sender.offer(wider), pipeline.step());
    let _ = step.unwrap();
    assert!(
        matches!(refused, Err(PipelineError::Sink(SinkError::Schema(_)))),
        "{refused:?}"
    );
    pipeline.run().await.unwrap();
    world.assert_exactly_once(100);
    assert!(events(&world).is_empty());
    assert_eq!(world.checkpoint.load_versions().await.unwrap(), None);
}

#[tokio::test]
async fn a_swap_that_can_not_be_made_durable_does_not_happen() {
    let world = World::new(100).with_files(Files::default());
    let saves = async {
        let clean = World::new(100).with_files(Files::default());
        run_with(&clean, successor(&clean, None)).await.0.unwrap();
        let mut points = clean.process.points().into_iter();
        points.position(|point| point == Point::SaveVersions).unwrap() + 1
    };
    world
        .process
        .meets(At::Call(saves.await), Effect::Before, Fault::Error);
    let (ended, taken) = run_with(&world, successor(&world, None)).await;
    ended.unwrap();
    assert!(matches!(taken, Err(PipelineError::Checkpoint(_))), "{taken:?}");
    world.assert_exactly_once(100);
    assert!(versions(&world).iter().all(|version| version == "0.1.0"));
}

#[tokio::test]
async fn where_the_version_before_can_not_go_on_the_pipeline_stops_and_says_both_reasons() {
    let world = World::sequential(50);
    let (mut pipeline, sender) = pipeline(&world);
    let _ = pipeline.step().await.unwrap();
    world.at_call(
        Call::LatestOffset,
        [Step::Fail(crate::SourceError::OffsetLost(
            "no such cursor".into(),
        ))],
    );
    let calls = Some(1);
    let (taken, ended) = tokio::join!(biased; sender.offer(successor(&world, calls)), pipeline.run());
    taken.unwrap();
    let error = ended.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, PipelineError::NoWayBack { .. }), "{text}");
    assert!(
        text.contains("this version is broken") && text.contains("no such cursor"),
        "{text}"
    );
    assert_eq!(error.remedies().len(), 2);
}

#[tokio::test]
async fn a_stop_during_probation_returns_to_the_version_before_without_refusing_the_new_one() {
    let mut world = World::new(10);
    world.options.trigger = Trigger::Interval(Duration::from_secs(10));
    stop_during_sleep(&world, 2);
    let (ended, taken) = run_with(&world, successor(&world, None)).await;
    assert!(ended.unwrap().stopped);
    taken.unwrap();
    let record = record(&world).await;
    assert!(matches!(record.swaps[0].outcome, SwapOutcome::Interrupted(_)));
    assert_eq!((record.current, record.refused.len()), (configured(), 0));
}

/// What whoever starts a process does: the record says which version runs.
async fn start(world: &World) -> (World, VersionRecord) {
    let location: &CheckpointLocation = &world.checkpoint;
    let mut record = match location.load_versions().await.unwrap() {
        Some(record) => record,
        None => VersionRecord::new(CONFIGURED, configured()),
    };
    if record.interrupt(0) {
        location.save_versions(&record).await.unwrap();
    }
    let mut next = world.beside();
    next.component = match record.at_start(CONFIGURED, None) {
        StartVersion::Configured => component(),
        StartVersion::Recorded(version) => version.component,
    };
    (next, record)
}

#[tokio::test]
async fn after_a_crash_at_any_call_of_a_swap_the_record_says_what_runs_and_rows_come_once() {
    let (mut total, mut promoted, mut rolled_back, mut interrupted) = (0, 0, 0, 0);
    // A good version, and versions that break before, in, and after their first micro-batch.
    for calls in [None, Some(0), Some(1), Some(4), Some(7), Some(9)] {
        for kind in 0..4 {
            let fresh = || {
                let mut world = World::every(43).nth(kind).unwrap().with_files(Files::default());
                world.options.probation = Probation {
                    batches: 2,
                    ..Probation::default()
                };
                world
            };
            let clean = fresh();
            let (ended, _) = run_with(&clean, successor(&clean, calls)).await;
            ended.unwrap();
            let points = clean.process.points();
            assert!(points.contains(&Point::SaveVersions));
            for n in 1..=points.len() {
                for effect in [Effect::Before, Effect::After] {
                    let _shown = Shown(format!("{calls:?} {kind} {n} {:?} {effect:?}", points[n - 1]));
                    let world = fresh();
                    world.process.meets(At::Call(n), effect, Fault::Crash);
                    tokio::select! {
                        biased;
                        status = world.process.halted() => assert_eq!(status, Status::Gone),
                        _ = run_with(&world, successor(&world, calls)) => panic!("no crash"),
                    }
                    let reached = world.batches().last().map_or(0, |(_, _, end)| *end);
                    world.assert_exactly_once(reached);

                    let durable = world.checkpoint.load_versions().await.unwrap();
                    let (next, record) = start(&world).await;
                    // The old version runs unless the new one was promoted, durably.
                    let expected = match durable.map(|durable| durable.current == version(&newer())) {
                        Some(true) => newer(),
                        _ => component(),
                    };
                    assert_eq!(next.component, expected);
                    match record.swaps.last().map(|swap| &swap.outcome) {
                        Some(SwapOutcome::Promoted) => promoted += 1,
                        Some(SwapOutcome::RolledBack(_)) => {
                            rolled_back += 1;
                            assert!(record.refuses(&newer().digest).is_some());
                        }
                        Some(SwapOutcome::Interrupted(_)) => {
                            interrupted += 1;
                            assert!(record.refuses(&newer().digest).is_some());
                        }
                        Some(SwapOutcome::OnProbation) => panic!("undecided after a start"),
                        None => {}
                    }
                    next.run().await.unwrap();
                    next.assert_exactly_once(43);
                    total += 1;
                }
            }
        }
    }
    println!(
        "{total} crashes: {promoted} after a promotion, {rolled_back} after a rollback, {interrupted} on probation"
    );
    assert!(total > 1500 && promoted > 50 && rolled_back > 200 && interrupted > 200);
}

#[tokio::test]
async fn a_thousand_swaps_in_a_row_lose_and_repeat_nothing() {
    let mut world = World::new(0);
    world.options.probation.batches = 1;
    let (mut pipeline, sender) = pipeline(&world);
    let mut current = component();
    for n in 0..1000u32 {
        world.remote().rows += 3;
        world.forget_journal();
        let mut next = successor(&world, (n % 3 == 0).then_some(n as usize % 7));
        let id = ComponentId {
            digest: format!("sha256:{n:03}"),
            ..newer()
        };
        let source = Arc::get_mut(&mut next.source).unwrap();
        source.component = id.clone();
        next.version = version(&id);
        next.version.component = source.component().clone();
        let (taken, ended) = tokio::join!(biased; sender.offer(next), pipeline.run());
        ended.unwrap();
        assert_eq!(taken.unwrap().from, current);
        let broken = matches!(
            record(&world).await.swaps.last().unwrap().outcome,
            SwapOutcome::RolledBack(_)
        );
        if !broken {
            current = id;
        }
    }
    world.assert_exactly_once(3000);
    assert_eq!(record(&world).await.swaps.len(), 100, "the oldest are forgotten");
}
