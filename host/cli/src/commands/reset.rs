use std::io::{BufRead, IsTerminal};

use sandbar_runtime::Offset;

use crate::CliError;
use crate::args::ResetArguments;
use crate::commands::load;
use crate::output::say;

/// Sets where the next micro-batch starts. Rows that are in the table stay there.
pub(crate) async fn execute(arguments: ResetArguments) -> Result<(), CliError> {
    let to = Offset::parse(&arguments.to_offset)
        .map_err(|e| CliError::Usage(format!("--to-offset: {e}; for example '{{\"current\": 20}}'")))?;
    let file = load(&arguments.file)?;
    let name = &file.config().name;
    if !arguments.yes && !confirmed(name, &to)? {
        say("nothing was changed");
        return Ok(());
    }
    let report = super::runtime()?.open(&file).await?.reset(to).await?;
    say(&format!(
        "{name}: batch {} has no rows and ends at {}, table version {}",
        report.batch,
        report.end.shown(),
        report.revision
    ));
    Ok(())
}

fn confirmed(name: &str, to: &Offset) -> Result<bool, CliError> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(CliError::Usage(
            "reset asks first, and there is nobody to ask; say --yes".into(),
        ));
    }
    say(&format!(
        "The next batch of {name:?} will start at {}. Rows before it that are not in the table yet will never\n\
         come; rows behind it that are in the table already will come again. Type yes to go on:",
        to.shown()
    ));
    let mut answer = String::new();
    let read = input.lock().read_line(&mut answer);
    read.map_err(|source| CliError::Io {
        context: "the answer can't be read".into(),
        source,
    })?;
    Ok(answer.trim() == "yes")
}
