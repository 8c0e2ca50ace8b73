//! Two runners of one pipeline, met on purpose: one is stopped before a file step, the other one comes and does its
//! work, the first one goes on. And the same with the second one stopped in turn.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::{Scenario, everything, run_all};
use crate::support::{Ended, Fault, Running, Watched, say};

/// Without `SANDBAR_ALL_STEPS=1`, one of so many pairs of steps is tried.
const STRIDE: usize = 41;

/// A scenario, and the step before which a runner is stopped, counted from 1.
struct Case<'a> {
    scenario: &'a Scenario,
    first: usize,
    second: Option<usize>,
}

#[derive(Default)]
struct Counts {
    /// The first runner was stopped where it was to be, and the second one too.
    met: AtomicUsize,
    /// One of the two found that the other one owns the pipeline.
    refused: AtomicUsize,
}

impl Counts {
    fn say(self, cases: &[Case], what: &str) {
        let (met, refused) = (self.met.into_inner(), self.refused.into_inner());
        say(&format!(
            "{} {what}: {met} met, in {refused} of them one runner gave way to the other",
            cases.len()
        ));
        assert!(met * 2 > cases.len(), "most runners were not stopped at all");
        assert!(refused > 0, "no runner met the other");
    }
}

fn name(case: &Case) -> String {
    let Case { first, second, .. } = case;
    format!("{}: stopped before step {first}, {second:?}", case.scenario.name)
}

#[test]
fn a_runner_that_is_stopped_anywhere_lets_another_one_through_and_no_row_comes_twice() {
    let scenarios = Scenario::all();
    let steps = |scenario: &Scenario| 1..=scenario.steps().steps.len();
    let cases: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| {
            steps(scenario).map(move |first| Case {
                scenario,
                first,
                second: None,
            })
        })
        .collect();
    let counts = Counts::default();
    run_all(&cases, name, |case| {
        let work = case.scenario.begin();
        let watched = Watched::new(&work, "first");
        let mut first = watched.spawn(Some((Fault::PauseBefore, case.first)));
        let stopped = first.until_stopped();
        case.scenario.finish(&work);
        let first = went_on(first, stopped);
        count(&counts, stopped, &[&first]);
        case.scenario.assert_complete(&work);
    });
    counts.say(&cases, "steps with another runner in between");
}

#[test]
fn two_runners_that_are_stopped_in_turn_leave_every_row_once() {
    let scenarios = Scenario::all();
    let mut cases = vec![];
    let mut pairs = 0;
    for scenario in &scenarios {
        let steps = scenario.steps().steps.len();
        for first in 1..=steps {
            for second in 1..=steps {
                pairs += 1;
                if everything() || pairs % STRIDE == 0 {
                    cases.push(Case {
                        scenario,
                        first,
                        second: Some(second),
                    });
                }
            }
        }
    }
    let counts = Counts::default();
    run_all(&cases, name, |case| {
        let work = case.scenario.begin();
        let watched = Watched::new(&work, "first");
        let mut first = watched.spawn(Some((Fault::PauseBefore, case.first)));
        let first_stopped = first.until_stopped();
        let watched = Watched::new(&work, "second");
        let at = case.second.unwrap_or_default();
        let mut second = watched.spawn(Some((Fault::PauseBefore, at)));
        let second_stopped = second.until_stopped();
        let first = went_on(first, first_stopped);
        let second = went_on(second, second_stopped);
        count(&counts, first_stopped && second_stopped, &[&first, &second]);
        case.scenario.assert_complete(&work);
    });
    counts.say(&cases, &format!("of {pairs} pairs of steps"));
}

fn went_on(runner: Running, stopped: bool) -> Ended {
    if stopped {
        runner.signal(Signal::CONT);
    }
    runner.end()
}

/// One goes on. The other one may have nothing to do, or stops with the message that says why.
#[track_caller]
fn count(counts: &Counts, met: bool, ended: &[&Ended]) {
    let mut refused = 0;
    for ended in ended {
        assert!(!ended.stderr.contains("panicked at"), "{}", ended.stderr);
        if ended.code != Some(0) {
            let owns = "another runner owns the pipeline \"comments\"";
            assert!(
                ended.code == Some(1) && ended.stderr.contains(owns),
                "{:?}: {}",
                ended.code,
                ended.stderr
            );
            refused += 1;
        }
    }
    assert!(refused <= 1, "one of the two goes on");
    counts.met.fetch_add(usize::from(met), Ordering::Relaxed);
    counts.refused.fetch_add(refused, Ordering::Relaxed);
}
