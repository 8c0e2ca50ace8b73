use std::borrow::Cow;
use std::io::IsTerminal;

use crate::CliError;
use crate::args::{PreviewArguments, RowFormat};
use crate::commands::load;
use crate::output::{plain, print};

/// Prints the first rows that a new pipeline would read.
pub(crate) async fn execute(arguments: PreviewArguments) -> Result<(), CliError> {
    let file = load(&arguments.file)?;
    let (schema, batches) = super::host()?.preview(&file, arguments.rows).await?;
    let unprintable = |e: arrow_schema::ArrowError| CliError::Io {
        context: "rows can't be printed".into(),
        source: std::io::Error::other(e),
    };
    let mut out = vec![];
    match arguments.format {
        RowFormat::Table => {
            let table = arrow_cast::pretty::pretty_format_batches_with_schema(schema, &batches);
            out.extend(format!("{}\n", table.map_err(unprintable)?).into_bytes());
        }
        RowFormat::Json => {
            let mut writer = arrow_json::LineDelimitedWriter::new(&mut out);
            for batch in &batches {
                writer.write(batch).map_err(unprintable)?;
            }
            writer.finish().map_err(unprintable)?;
        }
        RowFormat::Csv => {
            let mut writer = arrow_csv::Writer::new(&mut out);
            for batch in &batches {
                writer.write(batch).map_err(unprintable)?;
            }
        }
    }
    let text = String::from_utf8_lossy(&out);
    print(&fit(&text, arguments.format, std::io::stdout().is_terminal()))?;
    Ok(())
}

/// Rows come from anywhere: what they hold must not reach a terminal as its commands. Another program gets JSON and CSV
/// exactly as they are.
fn fit(text: &str, format: RowFormat, terminal: bool) -> Cow<'_, str> {
    if terminal || format == RowFormat::Table {
        Cow::Owned(plain(text))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_reach_a_terminal_without_their_commands_and_another_program_as_they_are() {
        let text = "1,\u{1b}[31mred\u{9b}0m\u{202e}\n";
        let clean = "1,\u{fffd}[31mred\u{fffd}0m\u{fffd}\n";
        for format in [RowFormat::Table, RowFormat::Json, RowFormat::Csv] {
            assert_eq!(fit(text, format, true), clean, "{format:?}");
        }
        assert_eq!(fit(text, RowFormat::Table, false), clean);
        for format in [RowFormat::Json, RowFormat::Csv] {
            assert_eq!(fit(text, format, false), text, "{format:?}");
        }
    }
}
