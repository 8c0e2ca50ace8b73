use std::collections::HashSet;

use super::common::{Api, median, number};
use super::program::Program;
use super::{other_comments, times, write_pipeline};

/// How long a pipeline that reads flat out stands still for a swap.
pub(crate) fn swaps() {
    const ROWS_PER_BATCH: u64 = 20_000;
    let swaps = times(300);
    // So many comments that it never gets to their end, and they grow.
    let api = Api::growing(100_000_000, 100_000.0);
    let folder = tempfile::tempdir().unwrap();
    write_pipeline(
        folder.path(),
        "bench",
        &api,
        &format!("rows_per_batch = {ROWS_PER_BATCH}\npage_size = 1000"),
        "[trigger]\ninterval = \"100ms\"\n[swap]\nprobation_batches = 1",
    );
    let program = Program::start(folder.path(), &[]);
    program.wait_for(|reports| reports.iter().any(|report| report["batches"].as_u64() > Some(0)));
    let other = other_comments();
    let references = [other.to_str().unwrap(), "comments"];
    let mut pauses = vec![];
    let mut first_batches = HashSet::new();
    for number_of_swap in 0..swaps {
        let takeover = program.swap("bench", references[number_of_swap % 2]);
        pauses.push(number(&takeover["pause_ms"]));
        first_batches.insert(takeover["after_batch"].as_u64().unwrap() + 1);
        program.wait_for(|reports| reports[0]["probation"] == false);
    }
    let batches = program.batches();
    let (mut across, mut without) = (vec![], vec![]);
    for pair in batches.windows(2) {
        let ((before, _), (after, batch)) = (&pair[0], &pair[1]);
        let took = number(&batch["milliseconds"]["total"]);
        let gap = after.duration_since(*before).as_secs_f64() * 1e3 - took;
        match first_batches.contains(&batch["batch"].as_u64().unwrap()) {
            true => across.push(gap),
            false => without.push(gap),
        }
    }
    let lengths = batches
        .iter()
        .map(|(_, batch)| number(&batch["milliseconds"]["total"]));
    println!(
        "swaps: {swaps} swaps of a pipeline that reads {ROWS_PER_BATCH} rows a batch, {:.0} ms each, {} batches",
        median(lengths.collect()),
        batches.len()
    );
    show("the program's pause", pauses);
    show("between batches, with a swap", across);
    show("between batches, without", without);
}

fn show(what: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    println!(
        "  {what:29} median {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
