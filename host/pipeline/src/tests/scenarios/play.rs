//! Plays a scenario: one process after the other does what its line says, and nothing happens in between.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;

use super::words::{Line, Scenario, ranges, shown};
use crate::tests::fakes::{Files, Status, World, component, position};
use crate::{BatchReport, OffsetEntry, PipelineError, RunSummary, SinkError, SourceError, with_causes};

/// After so many turns a process that neither ends nor pauses will never do so.
const PATIENCE: usize = 100_000;

struct Runner<'a> {
    world: World,
    task: JoinHandle<Result<RunSummary, PipelineError>>,
    /// The line that drove it last.
    line: &'a Line<'a>,
    end: End,
}

/// How a process ended, if it did.
#[derive(Default)]
struct End {
    outcome: String,
    message: String,
    /// A line has to expect it.
    surprising: bool,
}

struct Play<'a> {
    world: World,
    copy: Option<Files>,
    runners: BTreeMap<&'a str, Runner<'a>>,
}

pub(super) async fn play(scenario: &Scenario<'_>, world: World) -> Result<(), String> {
    let kind = match (world.sequential, world.carries_offset) {
        (false, true) => "bounded source, offset in the table",
        (true, true) => "sequential source, offset in the table",
        (false, false) => "bounded source, offset in the log",
        (true, false) => "sequential source, offset in the log",
    };
    let mut play = Play {
        world,
        copy: None,
        runners: BTreeMap::new(),
    };
    for line in &scenario.lines[2..] {
        let done = play.line(line).await;
        done.map_err(|error| format!("{error} ({kind})"))?;
    }
    let left = play
        .runners
        .into_values()
        .find_map(|runner| runner.check_left().err());
    left.map_or(Ok(()), |error| Err(format!("{error} ({kind})")))
}

impl<'a> Play<'a> {
    async fn line(&mut self, line: &'a Line<'a>) -> Result<(), String> {
        let files = self.world.files.clone().expect("scenarios have files");
        match line.word {
            "note" => files.leave("progress.json", line.rest).await,
            "start" => return self.start(line).await,
            "resume" => {
                let runner = self.runner(line)?;
                line.prepare(&mut runner.world)?;
                runner.world.process.resume();
                runner.line = line;
                return runner.drive().await;
            }
            "expect" | "message" => {
                let (name, expected) = line.who();
                let runner = self.runner(line)?;
                runner.end.surprising = false;
                let found = &runner.end;
                let right = match line.word {
                    "expect" => found.outcome == expected,
                    _ => found.message.contains(expected),
                };
                if !right {
                    let (word, End { outcome, message, .. }) = (line.word, found);
                    let what = format!("{word} {name}: expected {expected}, found {outcome}: {message}");
                    return Err(line.error(what.trim_end_matches(": ")));
                }
            }
            "grow" => self.world.remote().rows += line.number(line.rest)?,
            "lose checkpoint" => files.lose().await,
            "copy checkpoint" => self.copy = Some(files.fork()),
            "restore checkpoint" => match &self.copy {
                Some(copy) => files.restore_from(copy).await,
                None => return Err(line.error("there is no copy")),
            },
            "remove table" => self.world.table().remove(),
            "restore table" => self.world.table().turn_back(line.number(line.rest)? as usize),
            "lose entries" => files.lose_entries_from(line.number(line.rest)?).await,
            "claim" => {
                let (batch, end) = line.who();
                let end = line.number(end.trim_start_matches("at="))?;
                let entry = OffsetEntry {
                    batch: line.number(batch)?,
                    start: self.world.offset(0),
                    end: self.world.offset(end),
                    component: component(),
                    rows: end,
                    source: None,
                };
                if !self.world.checkpoint.claim_entry(&entry).await.unwrap() {
                    return Err(line.error("expected a free number, found that it is taken"));
                }
            }
            "reset" => return self.reset(line).await,
            "table" => return compare(line, table(&self.world)),
            "versions" => {
                let table = self.world.table();
                let versions = table.batches.iter().map(|landed| &landed.batch.component.version);
                return compare(line, words(versions));
            }
            "acknowledged" => {
                let acknowledged = self.world.remote().acknowledged.clone();
                return compare(line, words(acknowledged.iter().map(position)));
            }
            "noted" => {
                let note = self.world.checkpoint.load_note().await.unwrap();
                return compare(line, words(note.map(|note| position(&note.into()))));
            }
            "offset log" => return compare(line, words(files.entries().await)),
            word => return Err(line.error(format!("unknown word {word:?}"))),
        }
        Ok(())
    }

    async fn start(&mut self, line: &'a Line<'a>) -> Result<(), String> {
        let (name, _) = line.who();
        if let Some(before) = self.runners.remove(name) {
            before.check_left()?;
        }
        let mut world = self.world.beside();
        line.prepare(&mut world)?;
        let mut pipeline = world.pipeline();
        let mut runner = Runner {
            world,
            task: tokio::spawn(async move { pipeline.run().await }),
            line,
            end: End::default(),
        };
        let driven = runner.drive().await;
        self.runners.insert(name, runner);
        driven
    }

    async fn reset(&mut self, line: &'a Line<'a>) -> Result<(), String> {
        let world = self.world.beside();
        let end = world.offset(line.number(line.rest)?);
        let result = world.pipeline().reset(end).await;
        let summary = result.map(|BatchReport { batch, end, .. }| RunSummary {
            batches: 1,
            rows: 0,
            last_batch: batch,
            revision: None,
            offset: Some(end),
            stopped: false,
        });
        let mut runner = Runner {
            world,
            task: tokio::spawn(async move { summary }),
            line,
            end: End::default(),
        };
        let driven = runner.drive().await;
        if let Some(before) = self.runners.insert("reset", runner) {
            before.check_left()?;
        }
        driven
    }

    fn runner(&mut self, line: &Line<'_>) -> Result<&mut Runner<'a>, String> {
        let (name, _) = line.who();
        let unknown = || line.error(format!("{name} was never started"));
        self.runners.get_mut(name).ok_or_else(unknown)
    }
}

impl Runner<'_> {
    /// Lets it go on until it ends, is gone or stands still.
    async fn drive(&mut self) -> Result<(), String> {
        let process = self.world.process.clone();
        for _ in 0..PATIENCE {
            match process.status() {
                Status::Going => {}
                Status::Paused => {
                    self.end = End::of("paused", "");
                    return Ok(());
                }
                Status::Gone => {
                    self.task.abort();
                    let _ = (&mut self.task).await;
                    self.end = End::of("crashed", "");
                    return Ok(());
                }
            }
            if self.task.is_finished() {
                self.end = ended((&mut self.task).await.map_err(|e| self.line.error(e))?);
                return match self.world.process.unmet().first() {
                    Some(unmet) => {
                        let (unmet, found) = (shown(unmet), &self.end.outcome);
                        Err(self.line.error(format!("expected {unmet}, found {found}")))
                    }
                    None => Ok(()),
                };
            }
            tokio::task::yield_now().await;
        }
        Err(self.line.error("expected an end, found that it goes on for ever"))
    }

    fn check_left(&self) -> Result<(), String> {
        let End { outcome, message, .. } = &self.end;
        if outcome == "paused" {
            return Err(self.line.error("expected an end, found that it stands still"));
        }
        if self.end.surprising {
            return Err(self.line.error(format!(
                "expected an end without an error or a line for it, found {outcome}: {message}"
            )));
        }
        Ok(())
    }
}

impl End {
    fn of(outcome: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            outcome: outcome.into(),
            message: message.into(),
            surprising: false,
        }
    }
}

fn ended(result: Result<RunSummary, PipelineError>) -> End {
    let error = match result {
        Ok(summary) => {
            let how = if summary.stopped { "stopped" } else { "done" };
            return End::of(format!("{how} at {}", position(&summary.offset.unwrap())), "");
        }
        Err(error) => error,
    };
    let outcome = match &error {
        PipelineError::Sink(SinkError::Superseded { .. }) => "superseded",
        PipelineError::Sink(SinkError::Unknown { .. }) => "commit unknown",
        PipelineError::Sink(SinkError::TableChanged { .. }) => "table changed",
        PipelineError::Sink(SinkError::RolledBack(_)) => "rolled back",
        PipelineError::OffsetUnknown { .. } => "offset unknown",
        PipelineError::Source(SourceError::Unavailable { .. }) => "unavailable",
        _ => "failed",
    };
    End {
        surprising: true,
        ..End::of(outcome, format!("{} {:?}", with_causes(&error), error.remedies()))
    }
}

fn table(world: &World) -> String {
    let mut next = 1;
    let table = world.table();
    words(table.batches.iter().map(|landed| {
        let number = landed.batch.batch;
        let rows = match landed.ids[..] {
            [] => format!("({})", position(&landed.batch.end)),
            _ => ranges(&landed.ids),
        };
        let shown = match number == next {
            true => rows,
            false => format!("{number}:{rows}"),
        };
        next = number + 1;
        shown
    }))
}

fn words(items: impl IntoIterator<Item = impl ToString>) -> String {
    let words: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    match words[..] {
        [] => "nothing".into(),
        _ => words.join(" "),
    }
}

fn compare(line: &Line<'_>, found: String) -> Result<(), String> {
    let expected = words(line.rest.split_whitespace());
    if expected == found {
        return Ok(());
    }
    let word = line.word;
    Err(line.error(format!("{word}: expected {expected}, found {found}")))
}
