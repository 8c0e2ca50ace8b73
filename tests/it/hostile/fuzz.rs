//! Texts from outside, changed at random for a bounded time: what reads them says no or yes, and never panics.
//!
//! `SANDBAR_FUZZ=1000000` does more rounds, `SANDBAR_SEED` repeats a run. Arrow streams are changed in the same way by
//! the sandbox's own tests, beside their decoder.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sandbar_pipeline::Offset;
use sandbar_runtime::PipelineFile;
use sandbar_sandbox::HttpGrant;

use crate::support::{Random, files_below, repository, say, seed, variable};

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

fn changed(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len() as u64 + 1) as usize;
        let to = (at + random.below(20) as usize).min(text.len());
        match random.below(5) {
            0 => drop(text.drain(at..to)),
            1 => text.extend_from_within(at..to),
            2 if at < text.len() => text[at] = random.below(256) as u8,
            3 => text.truncate(at),
            _ => {
                let scrap = SCRAPS[random.below(SCRAPS.len() as u64) as usize];
                text.splice(at..at, scrap.bytes());
            }
        }
    }
    text
}

/// Runs the target on changed seeds. Gives how many texts it took.
fn drive(name: &str, target: impl Fn(&str) -> bool) {
    let seeds: Vec<_> = files_below(&repository().join("tests/fuzz/seeds").join(name))
        .into_iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{name} has seeds");
    for text in &seeds {
        assert!(
            target(std::str::from_utf8(text).unwrap()),
            "a seed of {name} is well-formed"
        );
    }
    let (rounds, seed) = (variable("SANDBAR_FUZZ").unwrap_or(20_000), seed());
    let mut random = Random(seed);
    let (mut taken, mut found) = (0_u64, vec![]);
    for _ in 0..rounds {
        let text = &seeds[random.below(seeds.len() as u64) as usize];
        let text = String::from_utf8_lossy(&changed(&mut random, text)).into_owned();
        match catch_unwind(AssertUnwindSafe(|| target(&text))) {
            Ok(took) => taken += u64::from(took),
            Err(_) => found.push(text),
        }
    }
    say(&format!(
        "fuzz {name}: {rounds} texts, {taken} taken, {} panics (SANDBAR_SEED={seed})",
        found.len()
    ));
    assert!(found.is_empty(), "{name} panics over {:?}", found[0]);
    assert!(taken > 0, "{name}: some of the texts are still well-formed");
}

#[test]
fn offsets() {
    drive("offset", |text| match Offset::parse(text) {
        Ok(offset) => {
            // What is stored is read back as the same.
            assert_eq!(
                Offset::parse(&offset.to_string()).ok().as_ref(),
                Some(&offset),
                "{text}"
            );
            true
        }
        Err(_) => false,
    });
}

#[test]
fn grants() {
    drive("grant", |text| match HttpGrant::parse(text) {
        Ok(grant) => {
            assert_eq!(HttpGrant::parse(&grant.to_string()).unwrap(), grant, "{text}");
            true
        }
        Err(_) => false,
    });
}

#[test]
fn pipeline_files() {
    drive("pipeline", |text| {
        match PipelineFile::parse(text, Path::new("/lakes/pipeline.toml")) {
            Ok(_) => true,
            Err(error) => {
                // The message is made of the text too.
                assert!(!format!("{:?}", error.into_report()).is_empty());
                false
            }
        }
    });
}
