use std::borrow::Cow;
use std::io::IsTerminal;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::ArrowError;

use crate::CliError;
use crate::args::{PreviewArguments, RowFormat};
use crate::commands::load;
use crate::output::{plain, print};

/// Prints the first rows that a new pipeline would read.
pub(crate) async fn execute(arguments: PreviewArguments) -> Result<(), CliError> {
    let file = load(&arguments.file)?;
    let (schema, batches) = super::runtime()?.preview(&file, arguments.rows).await?;
    let unprintable = |e: ArrowError| CliError::Io {
        context: "rows can't be printed".into(),
        source: std::io::Error::other(e),
    };
    printable(&batches)?;
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

/// Refuses values that arrow can't show: it would print the reason in the value's place.
fn printable(batches: &[RecordBatch]) -> Result<(), CliError> {
    let mut before = 0;
    for batch in batches {
        for (field, values) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if !values.data_type().is_temporal() && !values.data_type().is_nested() {
                continue;
            }
            let refused = |row: usize, e: ArrowError| CliError::Io {
                context: format!(
                    "column {:?}, row {} can't be printed",
                    field.name(),
                    before + row + 1
                ),
                source: std::io::Error::other(e),
            };
            // Otherwise the parts of nested values hide that they can't be shown.
            let options = FormatOptions::new().with_display_error(false);
            let shown = ArrayFormatter::try_new(values, &options).map_err(|e| refused(0, e))?;
            for row in 0..values.len() {
                shown.value(row).try_to_string().map_err(|e| refused(row, e))?;
            }
        }
        before += batch.num_rows();
    }
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
    use std::sync::Arc;

    use arrow_array::types::TimestampSecondType;
    use arrow_array::{ArrayRef, Date32Array, Date64Array, ListArray, Time32SecondArray};

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

    #[test]
    fn a_value_that_can_not_be_shown_is_named_and_nothing_is_printed_in_its_place() {
        let good = RecordBatch::try_from_iter([(
            "at",
            Arc::new(Time32SecondArray::from(vec![0, 86_399])) as ArrayRef,
        )])
        .unwrap();
        assert!(printable(std::slice::from_ref(&good)).is_ok());
        let wild: [ArrayRef; 4] = [
            Arc::new(Time32SecondArray::from(vec![Some(0), None, Some(86_400)])),
            Arc::new(Date32Array::from(vec![0, 0, i32::MAX])),
            Arc::new(Date64Array::from(vec![0, 0, i64::MIN])),
            Arc::new(ListArray::from_iter_primitive::<TimestampSecondType, _, _>([
                None,
                Some(vec![Some(0)]),
                Some(vec![Some(0), None, Some(i64::MAX)]),
            ])),
        ];
        for values in wild {
            let kind = values.data_type().clone();
            let rows = RecordBatch::try_from_iter([("at", values)]).unwrap();
            let error = printable(&[good.clone(), rows]);
            let error = error.err().unwrap_or_else(|| panic!("{kind}")).to_string();
            assert!(error.contains("column \"at\", row 5"), "{kind}: {error}");
        }
    }
}
