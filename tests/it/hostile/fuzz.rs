//! Bytes from outside, changed at random for a bounded time: what reads them says no or yes, and never panics.
//!
//! These are the targets and seeds of `tests/fuzz`, without the fuzzer: it sees more and takes longer. Here
//! `SANDBAR_FUZZ=1000000` does more rounds, and `SANDBAR_SEED` repeats a run.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::{Random, files_below, repository, say, seed, variable};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// What is put into texts: signs that parsers stumble over.
const SCRAPS: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    "=",
    ":",
    ",",
    "\n",
    "\0",
    "\u{1b}",
    "ä",
    "😀",
    "%2e",
    "@",
    "//",
    "-1",
    "1e999",
    "18446744073709551616",
    "${env:HOME}",
    "'''",
];

fn changed(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let to = (at + random.below(20) as usize).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..to)),
            1 => bytes.extend_from_within(at..to),
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            3 => bytes.truncate(at),
            _ => {
                let scrap = SCRAPS[random.below(SCRAPS.len() as u64) as usize];
                bytes.splice(at..at, scrap.bytes());
            }
        }
    }
    bytes
}

/// Runs the target on its seeds, and on changed ones.
#[track_caller]
fn drive(name: &str) {
    let target = targets::ALL.iter().find(|(known, _)| *known == name);
    let target = target.unwrap_or_else(|| panic!("{name} is no target")).1;
    let seeds: Vec<_> = files_below(&repository().join("tests/fuzz/seeds").join(name))
        .into_iter()
        .map(|file| (std::fs::read(&file).unwrap(), file))
        .collect();
    assert!(!seeds.is_empty(), "{name} has seeds");
    for (bytes, file) in &seeds {
        assert!(target(bytes), "{} is well-formed", file.display());
    }
    let (rounds, seed) = (variable("SANDBAR_FUZZ").unwrap_or(20_000), seed());
    let mut random = Random(seed);
    let (mut taken, mut found) = (0_u64, vec![]);
    for _ in 0..rounds {
        let (bytes, _) = &seeds[random.below(seeds.len() as u64) as usize];
        let bytes = changed(&mut random, bytes);
        match catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            Ok(took) => taken += u64::from(took),
            Err(_) => found.push(bytes),
        }
    }
    say(&format!(
        "fuzz {name}: {rounds} inputs, {taken} taken, {} panics (SANDBAR_SEED={seed})",
        found.len()
    ));
    let shown = found.first().map(|bytes| String::from_utf8_lossy(bytes));
    assert_eq!(shown, None, "{name} panics");
    assert!(taken > 0, "{name}: some inputs are still well-formed");
}

#[test]
fn rows_as_json() {
    drive("rows");
}

#[test]
fn arrow_streams() {
    drive("arrow");
}

#[test]
fn coded_bodies() {
    drive("body");
}

#[test]
fn replies_of_the_files_api() {
    drive("files_api");
}

#[test]
fn grants() {
    drive("grant");
}

#[test]
fn offsets() {
    drive("offset");
}

#[test]
fn schemas_of_options() {
    drive("options_schema");
}

#[test]
fn pipeline_files() {
    drive("pipeline_file");
}

#[test]
fn every_target_has_its_program_and_its_seeds_and_is_driven_here() {
    let names: BTreeSet<String> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let fuzz = repository().join("tests/fuzz");
    let programs = files_below(&fuzz.join("src/bin"));
    let programs = programs
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), names);
    let seeds = std::fs::read_dir(fuzz.join("seeds")).unwrap();
    let seeds = seeds.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    assert_eq!(seeds.collect::<BTreeSet<_>>(), names);
    let here = include_str!("fuzz.rs");
    for name in names {
        assert!(
            here.contains(&format!("drive(\"{name}\")")),
            "{name} is not driven"
        );
        let program = std::fs::read_to_string(fuzz.join(format!("src/bin/{name}.rs"))).unwrap();
        assert!(
            program.contains(&format!("\"{name}\"")),
            "{name}: its program runs another target"
        );
    }
}
