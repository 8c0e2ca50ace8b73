//! SIGTERM at each file step: the run ends well, and leaves whole things only.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::{Scenario, committed, run_all};
use crate::support::{Fault, Table, Watched, Workspace, files_below, say};

#[test]
fn a_stop_at_any_file_step_ends_well_and_leaves_nothing_half_done() {
    let scenarios = Scenario::all();
    let cases: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| (1..=scenario.steps().steps.len()).map(move |at| (scenario, at)))
        .collect();
    let name = |(scenario, at): &(&Scenario, usize)| format!("{}: stopped at step {at}", scenario.name);
    let early = AtomicUsize::new(0);
    run_all(&cases, name, |(scenario, at)| {
        let work = scenario.begin();
        let watched = Watched::new(&work, "stopped");
        let mut running = watched.spawn(Some((Fault::PauseBefore, *at)));
        if running.until_stopped() {
            running.signal(Signal::TERM);
            running.signal(Signal::CONT);
        }
        let ended = running.end().ok();
        if ended.stderr.contains("comments: stopped: ") {
            early.fetch_add(1, Ordering::Relaxed);
        } else {
            scenario.assert_complete(&work);
        }
        assert_clean(&work);
        scenario.finish(&work);
    });
    let early = early.into_inner();
    say(&format!(
        "{} stops at file steps, {early} of them before the last micro-batch",
        cases.len()
    ));
    assert!(early * 3 > cases.len(), "most stops came too late");
}

/// Nothing lies in the lake but what the log names, and the note says what the table says.
#[track_caller]
pub(crate) fn assert_clean(work: &Workspace) {
    let folder = work.path("lake");
    let files = files_below(&folder);
    let names = files.iter().map(|file| file.to_str().unwrap());
    let half: Vec<_> = names.filter(|name| name.contains('#')).collect();
    assert_eq!(half, [""; 0], "unfinished files");
    let table = Table::read(&folder.join("comments"));
    let named: BTreeSet<_> = table.data_files().into_keys().collect();
    let there: BTreeSet<_> = files_below(&folder.join("comments"))
        .into_iter()
        .filter(|file| !file.parent().unwrap().ends_with("_delta_log"))
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, named, "data files that the log does not name");
    if let Some(end) = committed(&table) {
        let note = work.read(super::NOTE);
        assert_eq!(note, end.to_string(), "the note says what the table says");
    }
}
