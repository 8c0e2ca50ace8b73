//! The functions that meet a remote's bytes first, for fuzzers. Not part of the interface.

use bytes::Bytes;

use crate::client::Decoder;

/// The most bytes that are taken of one decoded body.
const BODY: usize = 4 << 20;

/// Decodes a coded HTTP body, and returns whether it is whole. The first byte names the coding, the second the size of
/// the pieces that it comes in.
pub fn coded_body(bytes: &[u8]) -> bool {
    let Some((&[coding, piece], body)) = bytes.split_first_chunk() else {
        return false;
    };
    let coding = ["gzip", "br", "zstd"][usize::from(coding % 3)];
    let Ok(Some(mut decoder)) = Decoder::of(coding) else {
        return false;
    };
    let mut decoded = 0;
    for piece in body.chunks(usize::from(piece) + 1) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(part)) => decoded += part.len(),
                Ok(None) => break,
                Err(_) => return false,
            }
            if decoded > BODY {
                return false;
            }
        }
    }
    decoder.is_whole()
}
