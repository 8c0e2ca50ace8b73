//! A write that nobody answered in time arrives after all: before, between or behind any two steps of the next run.

use std::sync::Arc;

use sandbar_harness::store::{Answer, Effect, Exhaustive, Fault, Process, StepKind, Turns};
use sandbar_pipeline::{PipelineError, SinkError};

use super::world::{Setup, World};
use crate::support::say;

#[tokio::test]
async fn a_late_write_neither_repeats_nor_loses_a_row() {
    let (mut cases, mut told) = (0, 0);
    for setup in Setup::all().filter(|setup| setup.rows < 5) {
        let process = Process::healthy();
        World::new(setup).await.run(&process, "0.1.0").await.unwrap();
        let writes = process.steps().into_iter().filter(|step| {
            step.kind == StepKind::Write && !step.name.contains("data file") && !step.name.contains(".crc")
        });
        for write in writes {
            let mut choices = Exhaustive::default();
            while choices.next_round() {
                let superseded = land_within_the_next_run(setup, write.number, &mut choices).await;
                cases += 1;
                told += usize::from(superseded);
            }
        }
    }
    say(&format!(
        "late writes: {cases} cases; in {told} of them the next run stopped for what it took for another runner"
    ));
    assert!(cases > 300 && told > 0, "{cases}, {told}");
}

/// Whether the run stopped, as it must when the late write is a commit in the place of its own.
async fn land_within_the_next_run(setup: Setup, write: usize, choices: &mut Exhaustive) -> bool {
    let world = World::new(setup).await;
    let late = Fault {
        effect: Effect::Late,
        answer: Answer::Crash,
    };
    let first = Process::failing_at(write, late);
    let _ = world.run(&first, "0.1.0").await;
    assert_eq!(first.faults(), 1, "{setup:?}");

    let turns = Arc::new(Turns::new(|_, _| true));
    let second = Process::taking_turns(|_| None, &turns, 0);
    let run = async {
        let outcome = world.run(&second, "0.1.0").await;
        turns.done(0);
        outcome
    };
    let land = async {
        turns.wait(1, StepKind::Write, "late").await;
        first.land_late_writes().await;
        turns.done(1);
    };
    let (outcome, (), _) = tokio::join!(run, land, turns.conduct(|| choices.below(2)));
    let superseded = match outcome {
        Ok(_) => false,
        Err(PipelineError::Sink(SinkError::Superseded { .. })) => true,
        Err(e) => panic!("{setup:?}, write {write}, {:?}: {e}", choices.taken()),
    };
    let summary = world.healthy_run().await;
    world.assert_complete(&summary).await;
    superseded
}
