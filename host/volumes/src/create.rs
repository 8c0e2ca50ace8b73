//! Writing a file, and taking a name that nobody else may have.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::client::{Client, Request, Sent};
use super::error::VolumeError;

/// Writes a file, over one that is there.
pub(super) async fn overwrite(client: &Client, path: &str, content: Bytes) -> Result<(), VolumeError> {
    put(client, path, content, true).await.outcome.map(drop)
}

/// Writes a file if there is none of that name, and makes sure of it.
///
/// A request without an answer may have been carried out; the next one then finds our own file. So whatever the
/// answer is, the file is read back: it is ours if it holds what we wrote.
///
/// Reading back after a success also tells two writers apart that both were told so, in case the server looks
/// first and writes then: the one whose content is gone has lost. What remains is a writer that is slower than the
/// other one's whole write and read. Databricks does not say whether `overwrite=false` allows that.
///
/// # Errors
/// [`VolumeError::Taken`] when somebody else holds the name.
pub(super) async fn create(client: &Client, path: &str, content: Bytes) -> Result<(), VolumeError> {
    let sent = put(client, path, content.clone(), false).await;
    let ours_may_be_there = match &sent.outcome {
        Ok(_) => true,
        Err(VolumeError::Refused { status, .. }) if *status == StatusCode::CONFLICT => sent.maybe_done_before,
        Err(_) => return sent.outcome.map(drop),
    };
    // Conflicts have other reasons as well, such as two changes at once.
    let taken = sent
        .error_code
        .as_deref()
        .is_some_and(|code| code.ends_with("ALREADY_EXISTS"));
    let found = client.ask(&Request::file(Method::GET, path)).await;
    match (found, sent.outcome) {
        (Ok(found), _) if ours_may_be_there && found.body == content => Ok(()),
        (Ok(_), _) => Err(VolumeError::Taken),
        // A folder of that name can't be read as a file.
        (Err(e), Err(_)) if e.is_not_found() && taken => Err(VolumeError::Taken),
        (Err(e), Err(refused)) if e.is_not_found() => Err(refused),
        (Err(e), Ok(_)) if e.is_not_found() => Err(client.malformed(
            &Request::file(Method::PUT, path),
            "the file was written, and then it is not there",
        )),
        (Err(e), _) => Err(e),
    }
}

/// A file's folder is created when it is missing.
async fn put(client: &Client, path: &str, content: Bytes, overwrite: bool) -> Sent {
    let mut request = Request::file(Method::PUT, path);
    request.query = vec![("overwrite", overwrite.to_string())];
    request.body = content;
    let first = client.send(&request).await;
    let parent = path.rsplit_once('/').map(|(parent, _)| parent);
    let Some(parent) = parent.filter(|_| first.outcome.as_ref().is_err_and(VolumeError::is_not_found)) else {
        return first;
    };
    if let Err(e) = client.ask(&Request::directory(Method::PUT, parent)).await {
        return Sent {
            outcome: Err(e),
            ..first
        };
    }
    let mut second = client.send(&request).await;
    second.maybe_done_before |= first.maybe_done_before;
    second
}
