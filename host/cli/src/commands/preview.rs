use sandbar_runtime::Host;

use crate::CliError;
use crate::args::{PreviewArguments, RowFormat};
use crate::commands::load;
use crate::output::print;

/// Prints the first rows that a new pipeline would read.
pub(crate) async fn execute(arguments: PreviewArguments) -> Result<(), CliError> {
    let file = load(&arguments.file)?;
    let (schema, batches) = Host::new()?.preview(&file, arguments.rows).await?;
    let unprintable = |e: arrow_schema::ArrowError| CliError::Io {
        context: "rows can't be printed".into(),
        source: std::io::Error::other(e),
    };
    let mut out = vec![];
    match arguments.format {
        RowFormat::Table => {
            let table = arrow_cast::pretty::pretty_format_batches_with_schema(schema, &batches);
            out.extend(format!("{}\n", plain(&table.map_err(unprintable)?.to_string())).into_bytes());
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
    print(&String::from_utf8_lossy(&out));
    Ok(())
}

/// Rows come from anywhere: what they hold must not reach a terminal as its commands.
fn plain(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn escape_sequences_of_rows_do_not_get_through() {
        assert_eq!(
            plain("| \u{1b}[31mred\u{9b}0m\t|\n"),
            "| \u{fffd}[31mred\u{fffd}0m\u{fffd}|\n"
        );
    }
}
