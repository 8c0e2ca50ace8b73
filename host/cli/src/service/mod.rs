//! What a service manager and an orchestrator ask of a program that runs for long: whether it is well, when it is
//! ready, and that it says when it stops.

mod board;
mod health;
mod sd_notify;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sandbar_runtime::{Clock, StopSignal, Stopper};
use tokio::net::TcpListener;

pub(crate) use board::Board;
pub(crate) use sd_notify::{Notifications, Notifier};

use crate::CliError;

/// The shortest time from one status to the next.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// The tasks that speak with a service manager and answer probes. They end when this is dropped.
pub(crate) struct Service {
    board: Arc<Board>,
    notifier: Arc<Notifier>,
    /// What ends the tasks.
    stopper: Stopper,
}

impl Service {
    /// Serves the health on an address, if there is one, and tells the service manager of a stop.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub(crate) async fn start(
        listen: Option<SocketAddr>,
        notifications: &Notifications,
        clock: Arc<dyn Clock>,
        stop: StopSignal,
    ) -> Result<Self, CliError> {
        let board = Arc::new(Board::new(clock.clone()));
        let notifier = Arc::new(Notifier::new(notifications));
        let (stopper, ended) = Stopper::new();
        if let Some(address) = listen {
            let failed = |source| CliError::Io {
                context: format!("--listen {address}: the address can't be listened on"),
                source,
            };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let report = {
                let board = board.clone();
                Arc::new(move || board.report())
            };
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "serving /healthz and /readyz");
            }
            tokio::spawn(health::serve(listener, report, clock.clone(), ended.clone()));
        }
        let speaking = speak(notifier.clone(), board.clone(), clock, stop);
        tokio::spawn(async move {
            tokio::select! {
                () = ended.stopped() => {}
                () = speaking => {}
            }
        });
        Ok(Self {
            board,
            notifier,
            stopper,
        })
    }

    /// What is known of each pipeline.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Whom the service manager hears.
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

/// Tells the service manager that the process lives, how its pipelines are, and that it stops.
async fn speak(notifier: Arc<Notifier>, board: Arc<Board>, clock: Arc<dyn Clock>, stop: StopSignal) {
    if !notifier.is_heard() {
        return;
    }
    let pings = notifier.ping(&*clock);
    let statuses = async {
        loop {
            board.changed().await;
            notifier.status(&board.report().summary());
            clock.sleep(STATUS_PAUSE).await;
        }
    };
    let stopping = async {
        stop.stopped().await;
        notifier.stopping();
    };
    tokio::join!(pings, statuses, stopping);
}
