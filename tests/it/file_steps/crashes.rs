//! Every file step, and every way in which it can go wrong. Whatever that was, the next run goes on: each row is in
//! the table once, in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scenario, committed, copy, everything, run_all};
use crate::readers::others_see;
use crate::support::{EIO, ENOSPC, Ended, Fault, Watched, Workspace, say};

const KINDS: [Fault; 6] = [
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::ErrorBefore(EIO),
    Fault::ErrorBefore(ENOSPC),
    Fault::ErrorAfter(EIO),
    Fault::CrashHalf,
];
/// Without `SANDBAR_ALL_STEPS=1`, how many steps of a kind share the ways to go wrong among them.
const SHARE: usize = 4;

struct Case<'a> {
    scenario: &'a Scenario,
    fault: Fault,
    /// Counted from 1.
    at: usize,
    step: String,
    /// Whether the checkpoint location is lost before the next run.
    loses_location: bool,
}

/// Every step meets at least one way to go wrong, and every kind of step meets each of them in one of the runs.
fn cases(scenarios: &[Scenario]) -> Vec<Case<'_>> {
    let all = everything();
    let mut cases = vec![];
    let mut seen = BTreeMap::<String, usize>::new();
    let journals: Vec<_> = scenarios.iter().map(Scenario::steps).collect();
    let kinds = journals.iter().flat_map(|journal| &journal.steps);
    let mut number = BTreeMap::<String, usize>::new();
    for step in kinds {
        *number.entry(step.kind()).or_default() += 1;
    }
    for (scenario, journal) in scenarios.iter().zip(&journals) {
        for (index, step) in journal.steps.iter().enumerate() {
            let kind = step.kind();
            let occurrence = seen.entry(kind.clone()).or_default();
            let share = if all { 1 } else { SHARE.min(number[&kind]) };
            for (way, fault) in KINDS.into_iter().enumerate() {
                if fault == Fault::CrashHalf && step.call != "write" {
                    continue;
                }
                if (*occurrence + way).is_multiple_of(share) {
                    let case = |loses_location| Case {
                        scenario,
                        fault,
                        at: index + 1,
                        step: kind.clone(),
                        loses_location,
                    };
                    let loses_location = cases.len() % 4 == 3;
                    cases.push(case(loses_location));
                    if all {
                        cases.push(case(!loses_location));
                    }
                }
            }
            *occurrence += 1;
        }
    }
    cases
}

#[test]
fn a_crash_or_an_error_at_any_file_step_loses_and_repeats_nothing() {
    let scenarios = Scenario::all();
    let cases = cases(&scenarios);
    let met = std::sync::atomic::AtomicUsize::new(0);
    let name = |case: &Case| {
        let Case { fault, at, step, .. } = case;
        format!("{}: {fault:?} at step {at}, {step}", case.scenario.name)
    };
    run_all(&cases, name, |case| {
        if run(case) {
            met.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let kinds: BTreeSet<_> = cases.iter().map(|case| &case.step).collect();
    let steps: BTreeSet<_> = cases.iter().map(|case| (&case.scenario.name, case.at)).collect();
    let met = met.into_inner();
    say(&format!(
        "{} cases at {} steps of {} kinds in {} scenarios; {met} met their step",
        cases.len(),
        steps.len(),
        kinds.len(),
        scenarios.len()
    ));
    // A log checkpoint is written beside the next micro-batch, and may come late.
    assert!(
        met * 50 >= cases.len() * 49,
        "{met} of {} met their step",
        cases.len()
    );
}

/// Whether the step was met.
fn run(case: &Case) -> bool {
    let Case {
        scenario, fault, at, ..
    } = case;
    let work = scenario.begin();
    let watched = Watched::new(&work, "disturbed");
    let ended = watched.spawn(Some((*fault, *at))).end();
    let met = watched.journal().met;
    assert_ended(case, &ended, met);
    let table = work.table();
    assert!(
        ended.lines().len() <= table.batches("comments").len(),
        "what is reported is in the table"
    );
    if ended.code == Some(0) {
        scenario.assert_complete(&work);
    }
    if case.loses_location {
        lose_location(case, &work);
    } else {
        scenario.finish(&work);
    }
    met
}

fn assert_ended(case: &Case, ended: &Ended, met: bool) {
    let told = &ended.stderr;
    assert!(!told.contains("panicked at"), "{told}");
    let error = match case.fault {
        Fault::ErrorBefore(error) | Fault::ErrorAfter(error) if met => error,
        _ => {
            let expected = if met { None } else { Some(0) };
            assert_eq!(ended.code, expected, "{told}");
            return;
        }
    };
    match ended.code {
        // What is advice or comfort may fail: the note, checksums, log checkpoints, what is left to be removed.
        Some(0) => {}
        Some(1) => {
            let (text, places) = (format!("(os error {error})"), ["lake", "checkpoint file "]);
            assert!(told.contains(&text), "{text} is not in: {told}");
            assert!(
                places.iter().any(|place| told.contains(place)),
                "no place in: {told}"
            );
        }
        other => panic!("exit status {other:?}: {told}"),
    }
}

/// With the checkpoint location gone, a table that has the offsets goes on. One that has them not refuses to guess, as
/// soon as a micro-batch is in it.
fn lose_location(case: &Case, work: &Workspace) {
    let Case { scenario, at, .. } = case;
    let (location, away) = (work.path("lake/_checkpoints"), work.path("away"));
    if location.exists() {
        std::fs::rename(&location, &away).unwrap();
    }
    let table = work.table();
    let Some(end) = committed(&table).filter(|_| scenario.logged) else {
        scenario.finish(work);
        return;
    };
    let batch = table.last_batch("comments").unwrap();
    work.run_available("comments").with_code(1).saying(&[
        &format!("batch {batch} is in the table"),
        "restore the location",
        "sandbar reset --to-offset JSON",
    ]);
    if at.is_multiple_of(2) {
        std::fs::remove_dir_all(&location).unwrap();
        std::fs::rename(&away, &location).unwrap();
    } else {
        let reset = ["reset", "comments.toml", "--to-offset", &end.to_string(), "--yes"];
        work.run(&reset).ok();
    }
    scenario.finish(work);
}

/// What a crash leaves behind in the folders of a table is nothing to other programs.
#[test]
fn other_programs_read_a_table_with_unfinished_files_in_its_log() {
    let scenario = Scenario::new(false, true);
    let work = scenario.begin();
    for (fault, kind) in [
        (Fault::CrashHalf, "data file: write"),
        (Fault::CrashHalf, "checksum file: write"),
        (Fault::CrashHalf, "log entry: write"),
        (Fault::CrashBefore, "log entry: remove"),
    ] {
        let at = step_of(&work, kind);
        let watched = Watched::new(&work, "killed");
        assert_eq!(watched.spawn(Some((fault, at))).end().code, None, "{kind}");
        assert!(watched.journal().met, "{kind}");
    }
    scenario.finish(&work);
    let unfinished = work.files_in("lake/comments").into_iter();
    let unfinished: BTreeSet<_> = unfinished
        .filter(|file| file.to_str().unwrap().contains('#'))
        .map(|file| file.extension().unwrap().to_str().unwrap().to_owned())
        .collect();
    let expected = ["crc#1", "json#1", "json#2", "parquet#1"].map(str::to_owned);
    assert_eq!(unfinished, expected.into());
    others_see(&work, 1..=scenario.rows);
}

/// The first step of a kind in a run that goes on from here, counted from 1: files that are left shift the steps.
fn step_of(work: &Workspace, kind: &str) -> usize {
    let probe = Workspace::in_memory();
    copy(&work.path(""), &probe.path(""));
    // A table that was moved would have one step more.
    let owner = "lake/_checkpoints/comments/owner.json";
    if probe.path(owner).exists() {
        let folder = |of: &Workspace| of.path("").canonicalize().unwrap().display().to_string();
        probe.write(owner, &probe.read(owner).replace(&folder(work), &folder(&probe)));
    }
    let watched = Watched::new(&probe, "probe");
    watched.spawn(None).end().ok();
    let steps = watched.journal().steps;
    1 + steps
        .iter()
        .position(|step| step.kind() == kind && !step.failed)
        .unwrap()
}
