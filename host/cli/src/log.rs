use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to stderr. What a component writes comes under the target `sandbar::component`.
pub(crate) fn start(verbose: u8) {
    let usual = match verbose {
        0 => "warn",
        1 => "info",
        _ => {
            "info,sandbar=debug,sandbar_pipeline=debug,sandbar_sandbox=debug,sandbar_egress=debug,sandbar_volumes=debug,sandbar_delta=debug,sandbar_runtime=debug"
        }
    };
    // These say something for each odd request of a component, as often as it likes.
    let mut usual = format!("{usual},wasmtime_wasi=off,wasmtime_wasi_http=off");
    // It logs each error that it returns as well: also that a table is not there yet.
    if verbose < 2 {
        usual.push_str(",delta_kernel=off,delta_kernel_default_engine=off");
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbose > 0)
        // A reader of the log that went away stops nothing, and complaints about it would go the same way.
        .log_internal_errors(false);
    let _ = subscriber.try_init();
    // What panics is a fault of ours, or input that a decoder can't take and whose caller reports it. Either
    // way the place belongs into the log, not before a user.
    std::panic::set_hook(Box::new(|panic| tracing::debug!(%panic, "a panic was caught")));
}
