//! Every step of a run x everything that can happen to it x everything that the next start may find.

use std::collections::BTreeMap;

use sandbar_harness::store::{Fault, Process, Step, StepKind};
use sandbar_pipeline::{PipelineError, Remedy, SinkError};

use super::source::offset;
use super::world::{Setup, World};
use crate::support::say;

/// What the next start finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    Same,
    NewerComponent,
    LocationLost,
    LogAhead,
    LogBehind,
    /// Log entries of the table below its newest log checkpoint are deleted, and the location is lost.
    TableAlone,
}

const RESTARTS: [Restart; 6] = [
    Restart::Same,
    Restart::NewerComponent,
    Restart::LocationLost,
    Restart::LogAhead,
    Restart::LogBehind,
    Restart::TableAlone,
];

#[derive(Default)]
struct Count {
    cases: usize,
    missed: usize,
    refusals: usize,
    kinds: BTreeMap<StepKind, usize>,
}

#[tokio::test]
async fn a_bounded_source_with_progress_in_the_table() {
    walk("a bounded source, progress in the table", |setup| {
        !setup.sequential && !setup.logged()
    })
    .await;
}

#[tokio::test]
async fn a_sequential_source_with_progress_in_the_table() {
    walk("a sequential source, progress in the table", |setup| {
        setup.sequential && !setup.logged()
    })
    .await;
}

#[tokio::test]
async fn a_bounded_source_with_progress_in_the_offset_log() {
    walk("a bounded source, progress in the offset log", |setup| {
        !setup.sequential && setup.logged()
    })
    .await;
}

#[tokio::test]
async fn a_sequential_source_with_progress_in_the_offset_log() {
    walk("a sequential source, progress in the offset log", |setup| {
        setup.sequential && setup.logged()
    })
    .await;
}

async fn walk(what: &str, wanted: impl Fn(&Setup) -> bool) {
    let mut count = Count::default();
    for setup in Setup::all().filter(wanted) {
        for step in steps_of(setup).await {
            *count.kinds.entry(step.kind).or_default() += 1;
            for fault in Fault::all(step.kind) {
                for restart in RESTARTS {
                    crash_and_restart(setup, &step, fault, restart, &mut count).await;
                }
            }
        }
    }
    say(&format!(
        "{what}: {} cases at {:?} steps; {} restarts refused to guess the offset and were reset",
        count.cases, count.kinds, count.refusals
    ));
    assert!(count.cases > 1000, "{}", count.cases);
    assert!(
        count.missed * 20 < count.cases,
        "{} steps were not met again",
        count.missed
    );
}

/// The steps of a run in which nothing goes wrong.
async fn steps_of(setup: Setup) -> Vec<Step> {
    let world = World::new(setup).await;
    let process = Process::healthy();
    let summary = world.run(&process, "0.1.0").await.unwrap();
    world.assert_complete(&summary).await;
    process.steps()
}

async fn crash_and_restart(setup: Setup, step: &Step, fault: Fault, restart: Restart, count: &mut Count) {
    let case = format!("{setup:?}, {step:?}, {fault:?}, {restart:?}");
    let world = World::new(setup).await;
    let process = Process::failing_at(step.number, fault);
    let outcome = world.run(&process, "0.1.0").await;
    // A log checkpoint is written beside; in another run its steps may come a little earlier or later.
    if process.faults() == 0 {
        assert!(setup.existing, "{case}: not met");
        count.missed += 1;
        return;
    }
    if let Err(error) = &outcome {
        let strange = matches!(error, PipelineError::Sink(SinkError::Superseded { .. }));
        assert!(!strange, "{case}: {error}");
    }
    process.land_late_writes().await;
    let landed = world.batches().await;
    let (last, end) = landed.last().map_or((0, 0), |last| (last.batch, last.end));
    let version = match restart {
        Restart::NewerComponent => "0.2.0",
        _ => "0.1.0",
    };
    match restart {
        Restart::Same | Restart::NewerComponent => {}
        Restart::LocationLost => world.lose_location(),
        Restart::LogAhead => world.claim_ahead().await,
        Restart::LogBehind => world.lose_entries_from(last).await,
        Restart::TableAlone => {
            world.lake.clean_log().await;
            world.lose_location();
        }
    }
    count.cases += 1;
    // Only what was taken away may be missing.
    let taken = matches!(
        restart,
        Restart::LocationLost | Restart::LogBehind | Restart::TableAlone
    );
    let unknown = setup.logged() && last > 0 && taken;
    if unknown {
        count.refusals += 1;
        let refused = world.run(&Process::healthy(), version).await;
        let error = refused.expect_err(&case);
        assert!(
            matches!(error, PipelineError::OffsetUnknown { batch, .. } if batch == last),
            "{case}: {error}"
        );
        let remedies = error.remedies();
        assert!(
            matches!(
                remedies[..],
                [
                    Remedy::RestoreCheckpointLocation,
                    Remedy::ResetOffset { to: None, .. }
                ]
            ),
            "{case}: {remedies:?}"
        );
        assert_eq!(world.batches().await, landed, "{case}");
        world.reset(end).await;
    }
    let again = world.run(&Process::healthy(), version).await;
    let summary = again.unwrap_or_else(|e| panic!("{case}: {e}"));
    let newest = world.assert_complete(&summary).await;
    assert_eq!(summary.offset, Some(offset(setup.rows)), "{case}");
    let after_crash = newest.iter().skip(landed.len() + usize::from(unknown));
    for batch in after_crash {
        assert_eq!(batch.component, version, "{case}");
    }
}
