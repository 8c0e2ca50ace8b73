use tokio::sync::watch;

/// Asks running pipelines to stop. Dropping it asks for nothing.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The signal that a pipeline watches. Clones watch the same [`Stopper`].
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<bool>);

impl Stopper {
    /// A stopper and the signal that it gives.
    pub fn new() -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), StopSignal(receiver))
    }

    /// Asks to stop: what is being read is abandoned, what is being committed is finished.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl StopSignal {
    /// A signal that is never given.
    pub fn never() -> Self {
        Stopper::new().1
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until a stop is asked for.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}
