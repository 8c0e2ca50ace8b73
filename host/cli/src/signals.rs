use sandbar_runtime::{StopSignal, Stopper};
use tokio::signal::unix::{SignalKind, signal};

/// A signal for pipelines that is given on Ctrl-C and SIGTERM. A second one ends the process at once.
pub(crate) fn stop_on_signals() -> std::io::Result<StopSignal> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stopper, stop) = Stopper::new();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                // Whatever is half way is as if it had crashed, which loses nothing.
                std::process::exit(130);
            }
            asked = true;
            tracing::info!("stopping; once more to end at once");
            stopper.stop();
        }
    });
    Ok(stop)
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stopped() -> std::io::Result<()> {
    stop_on_signals()?.stopped().await;
    Ok(())
}
