use std::time::Duration;

use crate::config::PipelineFile;
use crate::{Description, RuntimeError};

/// The longest that checking options is waited for.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// Checks the options of a file against what the component wants. The component's schema decides how long that takes,
/// so it is done on a thread where nothing else waits, and waited for a few seconds only. The thread goes on until it
/// is done, which what is counted before bounds.
pub(crate) async fn check_options(
    file: &PipelineFile,
    description: &Description,
) -> Result<(), RuntimeError> {
    let schema = description.options_schema.clone();
    let checked = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || file.check_options(&schema))
    };
    let unchecked = |message: &str| -> RuntimeError {
        let help = "tell the component's author";
        file.error_at("source.component", message, Some(help)).into()
    };
    match tokio::time::timeout(CHECK_TIME, checked).await {
        Ok(Ok(checked)) => Ok(checked?),
        Ok(Err(error)) => Err(unchecked(&format!(
            "the options can't be checked against the component's schema: {error}"
        ))),
        Err(_) => Err(unchecked(&format!(
            "checking the options against the component's schema took longer than {} s; the schema is too expensive",
            CHECK_TIME.as_secs()
        ))),
    }
}
