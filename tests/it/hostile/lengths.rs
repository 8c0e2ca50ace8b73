//! Record batches whose headers tell lies of their bodies.

use super::ipc::{self, BODY, Header};

/// Streams of one column of text, and what must be said of each.
pub(super) fn wrong_lengths() -> Vec<(Vec<u8>, &'static str)> {
    let with = |change: fn(&mut Header)| {
        let mut header = Header::honest();
        change(&mut header);
        ipc::crafted(&header, &BODY)
    };
    let with_body = |buffers: [(i64, i64); 3], body: &[u8]| {
        let header = Header {
            buffers: buffers.into(),
            ..Header::honest()
        };
        ipc::crafted(&header, body)
    };
    let longer = [BODY.as_slice(), &[0; 100_000]].concat();
    vec![
        (
            with(|h| h.buffers[2].1 = 1 << 40),
            "a buffer of 1099511627776 bytes at 16 in a body of 24 bytes",
        ),
        (with(|h| h.buffers[1].0 = -1), "a buffer of 12 bytes at -1"),
        (
            with(|h| h.buffers[1] = (i64::MAX, i64::MAX)),
            "a buffer of 9223372036854775807 bytes",
        ),
        (
            with(|h| h.nodes[0].0 = 1 << 50),
            "a column of 1125899906842624 values",
        ),
        (with(|h| h.nodes[0].1 = 3), "a column of 2 values, 3 of them null"),
        (with(|h| h.rows = 1 << 50), "a batch of 1125899906842624 rows"),
        (with(|h| h.rows = -1), "a batch of -1 rows"),
        (with(|h| h.rows = 1), "next: "),
        (with(|h| h.nodes.clear()), "next: "),
        (with(|h| h.buffers.clear()), "next: "),
        // Bytes that two buffers have, and bytes that none has, would be counted once or never.
        (
            with_body([(0, 0), (0, 12), (8, 2)], &BODY),
            "a buffer at 8 behind one that ends at 12",
        ),
        (
            with_body([(0, 0), (0, 12), (0, 12)], &BODY),
            "a buffer at 0 behind one that ends at 12",
        ),
        (
            with_body([(0, 0), (1, 12), (16, 2)], &BODY),
            "buffers follow each other at multiples of 8",
        ),
        (
            with_body([(0, 0), (0, 12), (16, 2)], &longer),
            "a body of 100024 bytes, of which its buffers need 18",
        ),
        (
            with_body([(0, 0), (0, 12), (100_000, 2)], &longer),
            "a buffer at 100000 behind one that ends at 12",
        ),
    ]
}
