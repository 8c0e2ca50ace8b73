use std::time::Duration;

use crate::CliError;
use crate::args::DemoApiArguments;
use crate::demo_api::{DemoApi, DemoApiOptions};
use crate::output::print;
use crate::signals::stopped;

/// Serves the comments API until it is stopped.
pub(crate) async fn execute(arguments: DemoApiArguments) -> Result<(), CliError> {
    if !(arguments.grow.is_finite() && arguments.grow >= 0.0) {
        return Err(CliError::Usage(format!(
            "--grow {}: comments per second, 0 or more",
            arguments.grow
        )));
    }
    let failed = |source| CliError::Io {
        context: format!("the API can't be served on 127.0.0.1:{}", arguments.port),
        source,
    };
    let api = DemoApi::start(DemoApiOptions {
        rows: arguments.rows,
        port: arguments.port,
        latency: Duration::from_millis(arguments.latency_ms),
        grow_per_second: arguments.grow,
    })
    .await
    .map_err(failed)?;
    print(&format!("{}\n", api.url()))?;
    stopped().await.map_err(failed)?;
    api.stop().await;
    Ok(())
}
