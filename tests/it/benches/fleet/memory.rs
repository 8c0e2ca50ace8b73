use super::common::Api;
use super::program::Program;
use super::{other_comments, times, write_pipeline};

/// Whether a process that swaps to ever new versions grows.
pub(crate) fn memory() {
    let swaps = times(1_000);
    let api = Api::growing(1_000, 5.0);
    let folder = tempfile::tempdir().unwrap();
    write_pipeline(
        folder.path(),
        "bench",
        &api,
        "rows_per_batch = 1000\npage_size = 1000",
        "[trigger]\ninterval = \"1s\"\n[swap]\nprobation_batches = 1\nprobation_time = \"1s\"",
    );
    let program = Program::start(folder.path(), &[]);
    program.wait_for(|reports| reports.iter().any(|report| report["batches"].as_u64() > Some(0)));
    println!("memory: {swaps} swaps to components that were never seen before");
    show(0, &program);
    let component = std::fs::read(other_comments()).unwrap();
    for number in 1..=swaps {
        let path = folder.path().join("version.wasm");
        std::fs::write(&path, salted(&component, number as u32)).unwrap();
        program.swap("bench", path.to_str().unwrap());
        program.wait_for(|reports| reports[0]["probation"] == false);
        if [10, 50, 100, 200, 500].contains(&number) || number == swaps {
            show(number, &program);
        }
    }
}

/// The same component with one more custom section, and so another digest.
fn salted(component: &[u8], salt: u32) -> Vec<u8> {
    let section = [&[4][..], b"salt", &salt.to_le_bytes()].concat();
    [component, &[0, section.len() as u8], &section].concat()
}

fn show(swaps: usize, program: &Program) {
    let taken = program.footprint();
    println!(
        "  after {swaps:5} swaps  {:6.1} MB, {:6.1} MB of them anonymous, {} threads, {} files open, {} mappings, {} batches",
        taken.resident_kb as f64 / 1024.0,
        taken.anonymous_kb as f64 / 1024.0,
        taken.threads,
        taken.files,
        taken.mappings,
        program.batches().len()
    );
}
