//! The words for remedies: the keys of pipeline files and the commands of this program.

use sandbar_runtime::{Remedy, ResetEffect, RuntimeError, SourceRemedy, with_causes};

use crate::CliError;

/// The text of an error: what failed, its causes, and what to do about it.
pub(crate) fn explain(error: &CliError) -> String {
    match error {
        CliError::Runtime(error) => explain_runtime(error),
        other => with_causes(other),
    }
}

/// The same for an error of the runtime.
pub(crate) fn explain_runtime(error: &RuntimeError) -> String {
    format!("{}{}", with_causes(error), words(&error.remedies()))
}

/// Remedies in words, with what separates them from the text of the error. Empty for none.
pub(crate) fn words(remedies: &[Remedy]) -> String {
    let mut text = String::new();
    let mut section = None;
    for (place, remedy) in remedies.iter().enumerate() {
        let phrase = phrase(remedy, &mut section);
        text += match (place, remedy) {
            // Such an error ends with a sentence.
            (0, Remedy::RestoreTable) => ". ",
            (0, _) => "; ",
            (_, Remedy::ResetOffset { effect, .. }) => match effect {
                ResetEffect::GoOnWithout => ", ",
                ResetEffect::TakeOver => ", or, ",
                _ => ", or ",
            },
            _ => ", or ",
        };
        text += &phrase;
    }
    text
}

/// `section` is the one that was named last.
fn phrase(remedy: &Remedy, section: &mut Option<&'static str>) -> String {
    match remedy {
        Remedy::Raise(key) => format!("raise {}", in_file(key, section)),
        Remedy::Allow(SourceRemedy::Raise(key)) => {
            format!("raise `{key}` under [source.limits] if that is too little")
        }
        Remedy::Allow(grant) => {
            format!("to allow it, write under [source.grants]: {}", grant.to_toml())
        }
        Remedy::Lower(key) => format!("lower {}", in_file(key, section)),
        Remedy::ResetOffset { to, effect } => {
            let to = to.as_ref().map(|to| format!("'{}'", to.shown()));
            let to = to.unwrap_or_else(|| "JSON".to_owned());
            match effect {
                ResetEffect::ReadAgain => format!("`sandbar reset --to-offset {to}` reads them again"),
                ResetEffect::GoOnWithout => format!("`sandbar reset --to-offset {to}` goes on without them"),
                ResetEffect::TakeOver => format!(
                    "if it goes on where the other one ended, say so with `sandbar reset FILE --to-offset {to}`"
                ),
                _ => format!("say where to go on with `sandbar reset --to-offset {to}`"),
            }
        }
        Remedy::RenamePipeline => {
            "give this pipeline another name and checkpoint location to read the source from its beginning"
                .into()
        }
        Remedy::MoveCheckpointLocation => "name another one under [checkpoint]".into(),
        Remedy::RemoveOwner { file } => {
            format!("remove {file} if the location is to be taken over with its notes")
        }
        Remedy::RestoreCheckpointLocation => "restore the location".into(),
        Remedy::RestoreTable => "Put the table back".into(),
        Remedy::CheckStatusAndRestart => {
            "see with `sandbar status` where a new start would begin and start again".into()
        }
        Remedy::UseExclusiveStore => "use a store that has it".into(),
        Remedy::DeclareSingleWriter => {
            "set single_writer = true in [sink] if never more than one program writes this table".into()
        }
        Remedy::AddColumns => {
            "set evolve = true in [sink] to have what is missing added, or add it by hand (ALTER TABLE ... ADD COLUMN)"
                .into()
        }
        Remedy::PartitionByFewerValues => {
            "partition by a column with fewer values (`partition_by` under [sink])".into()
        }
        Remedy::SmallerMicroBatches => "let it have fewer rows (`max_rows_per_batch` under [trigger])".into(),
        Remedy::SwapAgain => "say `--again` to try it once more".into(),
        Remedy::ConfigureWorkingVersion => {
            "name a version that can go on there in the pipeline file (`component` under [source])".into()
        }
        other => format!("{other:?}"),
    }
}

/// A key with its section, which is named once.
fn in_file(key: &'static str, section: &mut Option<&'static str>) -> String {
    let Some((before, name)) = key.rsplit_once('.') else {
        return format!("`{key}`");
    };
    match section.replace(before) == Some(before) {
        true => format!("`{name}` there"),
        false => format!("`{name}` under [{before}]"),
    }
}

#[cfg(test)]
mod tests {
    use sandbar_runtime::{Offset, PipelineError, SinkError};

    use super::*;

    fn run(source: PipelineError) -> RuntimeError {
        RuntimeError::Run {
            name: "p".into(),
            source,
        }
    }

    #[test]
    fn an_error_is_followed_by_what_to_do_in_the_words_of_this_program() {
        let end = Offset::parse("7").unwrap();
        let cases = [
            (
                PipelineError::TooManyBytes {
                    end: end.clone(),
                    max: 5,
                },
                "pipeline p: the micro-batch up to 7 has more than 5 bytes; raise `max_bytes_per_batch` under [trigger], \
                 or lower `max_rows_per_batch` there",
            ),
            (
                PipelineError::OffsetUnknown {
                    batch: 3,
                    state: "is missing",
                },
                "pipeline p: batch 3 is in the table, but its end offset is not in the checkpoint location (offsets/3 is \
                 missing); restore the location, or say where to go on with `sandbar reset --to-offset JSON`",
            ),
            (
                PipelineError::OtherSource {
                    batch: 3,
                    difference: "it differs".into(),
                    offset: Box::new(end),
                },
                "pipeline p: batch 3 of the pipeline in the table was read from another source: it differs; give this \
                 pipeline another name and checkpoint location to read the source from its beginning, or, if it goes on \
                 where the other one ended, say so with `sandbar reset FILE --to-offset '7'`",
            ),
            (
                SinkError::LacksColumns {
                    table: "file:///t/".into(),
                    columns: vec!["likes".into()],
                }
                .into(),
                "pipeline p: the table file:///t/ can't take this source: it has no column \"likes\"; set evolve = true \
                 in [sink] to have what is missing added, or add it by hand (ALTER TABLE ... ADD COLUMN)",
            ),
            (PipelineError::Stopped, "pipeline p: stopped"),
        ];
        for (error, text) in cases {
            assert_eq!(explain_runtime(&run(error)), text);
        }
    }

    #[test]
    fn a_table_that_was_turned_back_offers_both_ways_on() {
        let to = |offset, effect| Remedy::ResetOffset {
            to: Some(Offset::parse(offset).unwrap()),
            effect,
        };
        assert_eq!(
            words(&[to("1", ResetEffect::ReadAgain), to("2", ResetEffect::GoOnWithout)]),
            "; `sandbar reset --to-offset '1'` reads them again, `sandbar reset --to-offset '2'` goes on without them"
        );
        assert_eq!(words(&[]), "");
    }
}
