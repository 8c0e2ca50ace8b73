//! What fuzzers drive. Not part of the interface.

/// Parses a reply of a workspace's Files API: a page of a folder, or an error. Returns whether it is a page, and panics
/// when the page holds what can't lie in the folder.
pub fn files_api_reply(body: &[u8]) -> bool {
    crate::reply::fuzz(body)
}
