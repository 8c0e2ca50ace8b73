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
    print(&String::from_utf8_lossy(&out));
    Ok(())
}
