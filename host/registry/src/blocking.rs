use crate::RegistryError;

/// Runs what waits for a disk or computes where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| {
        Err(RegistryError::Unavailable {
            what: "a component".into(),
            reason: format!("the thread that was at work on it is gone: {e}"),
        })
    })
}
