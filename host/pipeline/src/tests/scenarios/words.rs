//! The words of a scenario.

use crate::tests::fakes::{At, Effect, Fault, Files, Point, World};
use crate::{ComponentId, Trigger};

const STEPS: [(&str, Point, usize); 17] = [
    ("ask", Point::LastCommitted, 0),
    ("verify", Point::Verify, 0),
    ("load", Point::LoadEntry, 0),
    ("initial", Point::InitialOffset, 0),
    ("look", Point::Look, 0),
    ("plan", Point::Plan, 1),
    ("partitions", Point::Partitions, 1),
    ("read", Point::Read, 1),
    ("next", Point::Next, 1),
    ("stage", Point::Stage, 1),
    ("write", Point::Write, 1),
    ("finish", Point::Finish, 1),
    ("claim", Point::Claim, 1),
    ("commit", Point::Commit, 1),
    ("prune", Point::List, 1),
    ("acknowledge", Point::Acknowledge, 1),
    ("note", Point::SaveNote, 1),
];

const FAULTS: [(&str, Fault); 5] = [
    ("crash", Fault::Crash),
    ("error", Fault::Error),
    ("unavailable", Fault::Unavailable),
    ("pause", Fault::Pause),
    ("stop", Fault::Stop),
];

/// A file's lines, without remarks and empty ones.
pub(super) struct Scenario<'a> {
    file: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// A line in two: the word that says what it is, and the rest.
pub(super) struct Line<'a> {
    place: String,
    pub(super) word: &'a str,
    pub(super) rest: &'a str,
}

impl<'a> Scenario<'a> {
    pub(super) fn parse(file: &'a str, text: &'a str) -> Result<Self, String> {
        let line = |(index, line): (usize, &'a str)| {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            let two = [
                "offset log",
                "lose checkpoint",
                "copy checkpoint",
                "restore checkpoint",
                "lose entries",
                "remove table",
                "restore table",
            ];
            let long = two.iter().find(|word| line.starts_with(**word));
            let end = long.map_or_else(|| line.find(' ').unwrap_or(line.len()), |word| word.len());
            Some(Line {
                place: format!("{file}:{}", index + 1),
                word: &line[..end],
                rest: line[end..].trim(),
            })
        };
        let lines = text.lines().enumerate().filter_map(line).collect();
        Ok(Self { file, lines })
    }

    /// A world for each kind of source and place of the offset that the first lines ask for.
    pub(super) fn worlds(&self) -> Result<Vec<World>, String> {
        let [source, progress, ..] = &self.lines[..] else {
            return Err(format!("{}:1: source and progress are missing", self.file));
        };
        let mut words = source.rest.split_whitespace();
        let sequential = match (source.word, words.next().unwrap_or_default()) {
            ("source", "bounded") => vec![false],
            ("source", "sequential") => vec![true],
            ("source", "any") => vec![false, true],
            ("source", kind) => return Err(source.error(format!("unknown source {kind:?}"))),
            (word, _) => return Err(source.error(format!("unknown word {word:?}"))),
        };
        let carries_offset = match (progress.word, progress.rest) {
            ("progress", "table") => vec![true],
            ("progress", "log") => vec![false],
            ("progress", "any") => vec![true, false],
            ("progress", place) => return Err(progress.error(format!("unknown place {place:?}"))),
            (word, _) => return Err(progress.error(format!("unknown word {word:?}"))),
        };
        let (mut rows, mut most) = (0, 10);
        for word in words {
            match word.split_once('=') {
                Some(("rows", n)) => rows = source.number(n)?,
                Some(("per-batch", n)) => most = source.number(n)?,
                _ => return Err(source.error(format!("unknown word {word:?}"))),
            }
        }
        let world = |(sequential, carries_offset)| {
            let mut world = World::of(sequential, carries_offset, rows).with_files(Files::default());
            world.options.limit.max_rows = Some(most);
            world
        };
        let kinds = sequential
            .iter()
            .flat_map(|s| carries_offset.iter().map(move |c| (*s, *c)));
        Ok(kinds.map(world).collect())
    }
}

impl Line<'_> {
    pub(super) fn error(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.place)
    }

    pub(super) fn number(&self, text: &str) -> Result<u64, String> {
        let wrong = |_| self.error(format!("{text:?} is no number"));
        text.parse().map_err(wrong)
    }

    /// The first word of the rest, and what follows.
    pub(super) fn who(&self) -> (&str, &str) {
        let (name, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        (name, rest.trim())
    }

    /// Tells a world what it is to be, and its process what will happen to it.
    pub(super) fn prepare(&self, world: &mut World) -> Result<(), String> {
        let mut words = self.who().1.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if let Some(version) = word.strip_prefix("version=") {
                world.component = ComponentId {
                    version: version.into(),
                    digest: format!("sha256:{version}"),
                    ..world.component.clone()
                };
                continue;
            }
            if let Some(most) = word.strip_prefix("per-batch=") {
                world.options.limit.max_rows = Some(self.number(most)?);
                continue;
            }
            if word == "trigger=once" {
                world.options.trigger = Trigger::Once;
                continue;
            }
            let fault = FAULTS.iter().find(|(name, _)| *name == word);
            let (_, fault) = fault.ok_or_else(|| self.error(format!("unknown word {word:?}")))?;
            let (effect, step) = match words.next().and_then(|word| word.split_once('=')) {
                Some(("before", step)) => (Effect::Before, step),
                Some(("after", step)) => (Effect::After, step),
                _ => return Err(self.error("before= or after= is missing")),
            };
            let known = STEPS.iter().find(|(name, ..)| *name == step);
            let (_, point, usual) = known.ok_or_else(|| self.error(format!("unknown step {step:?}")))?;
            let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
            let micro_batch = match words.next_if(is_number) {
                Some(n) => self.number(n)? as usize,
                None => *usual,
            };
            world
                .process
                .meets(At::MicroBatch(*point, micro_batch), effect, *fault);
        }
        Ok(())
    }
}

/// What a process was to meet, in the words of a scenario.
pub(super) fn shown((at, effect, fault): &(At, Effect, Fault)) -> String {
    let At::MicroBatch(point, n) = at else {
        return format!("{at:?}");
    };
    let step = STEPS
        .iter()
        .find(|(_, p, _)| p == point)
        .map_or("", |(name, ..)| name);
    let fault = FAULTS
        .iter()
        .find(|(_, f)| f == fault)
        .map_or("", |(name, _)| name);
    let effect = match effect {
        Effect::Before => "before",
        Effect::After => "after",
    };
    format!("{fault} {effect}={step} {n}")
}

/// Ids as ranges: `1..5,7`.
pub(super) fn ranges(ids: &[i64]) -> String {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let range = |ids: &[i64]| match ids {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}..{last}"),
        [] => String::new(),
    };
    let runs: Vec<_> = ids.chunk_by(|a, b| a + 1 == *b).map(range).collect();
    runs.join(",")
}
