use std::fmt::Write;

use sha2::{Digest, Sha256};

const PREFIX: &str = "sha256:";

/// The digest of bytes as it is written everywhere: `sha256:` and 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = PREFIX.to_owned();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The digits of a digest that is written in the one way that is taken.
pub(crate) fn hex(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix(PREFIX)?;
    is_hex(hex).then_some(hex)
}

pub(crate) fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
