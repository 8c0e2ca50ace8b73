use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

/// The content codings that the host asks for.
pub(crate) const ACCEPTED: &str = "gzip, br, zstd";
/// What one step may bring, however small its input: a bomb goes off in pieces of this size.
const STEP: usize = 64 << 10;
/// The most gzip streams in one body; what comes behind them is ignored, as anything is that stands behind a body's end.
const MAX_STREAMS: u32 = 10_000;
/// The window that every decoder of HTTP bodies has to have, and the largest one that this has (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// Codings that nobody asked for and that are none by mistake: what is coded so would be taken for rows.
const UNKNOWN: &str =
    "aes128gcm bzip bzip2 compress dcb dcz exi lz4 lzma pack200-gzip snappy x-bzip2 x-compress xz";

/// Undoes one content coding, piece by piece.
pub(crate) struct Decoder {
    kind: Kind,
    input: Bytes,
    output: Vec<u8>,
    /// At the start, or behind a whole stream: a body may end here.
    whole: bool,
    /// Streams so far, one behind the other.
    streams: u32,
}

enum Kind {
    Gzip(Decompress),
    /// Known by its first byte: some servers leave out the frame that it should have.
    Deflate(Option<Decompress>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(ZstdDecoder<'static>),
}

/// How far one step came.
struct Step {
    read: usize,
    written: usize,
    ended: bool,
}

impl Decoder {
    /// A decoder for the value of a `content-encoding` header. `None` for no coding, and for words that are no coding at
    /// all (`none`, `utf-8`, `binary`), which browsers, curl and Python's clients do not mind either.
    ///
    /// # Errors
    /// What can't be undone, in words.
    pub(crate) fn of(codings: &str) -> Result<Option<Self>, String> {
        let (mut kind, mut found) = (None, vec![]);
        for coding in codings.split(',') {
            let coding = coding.trim().to_ascii_lowercase();
            let next = match coding.as_str() {
                "gzip" | "x-gzip" => Kind::Gzip(Decompress::new_gzip(15)),
                "deflate" => Kind::Deflate(None),
                "br" => {
                    let alloc = StandardAlloc::default;
                    Kind::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
                }
                "zstd" => {
                    let made = ZstdDecoder::new().and_then(|mut decoder| {
                        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                        Ok(decoder)
                    });
                    Kind::Zstd(made.map_err(|e| format!("zstd can't be undone here: {e}"))?)
                }
                coding if UNKNOWN.split(' ').any(|known| known == coding) => {
                    return Err(format!(
                        "its body is coded as {coding}, which was not asked for; {ACCEPTED} and deflate are known"
                    ));
                }
                _ => continue,
            };
            found.push(coding);
            kind = Some(next);
        }
        if found.len() > 1 {
            let max = found.iter().take(4).cloned().collect::<Vec<_>>().join(" in ");
            return Err(format!(
                "its body is coded {} times ({max}); one coding is undone",
                found.len()
            ));
        }
        Ok(kind.map(|kind| Self {
            kind,
            input: Bytes::new(),
            output: vec![0; STEP],
            whole: true,
            streams: 0,
        }))
    }

    /// Hands over the next piece of the body, when [`next`](Self::next) gave nothing.
    pub(crate) fn feed(&mut self, input: Bytes) {
        self.input = input;
    }

    /// The next piece of what was coded, of at most 64 KiB, or nothing for want of input.
    ///
    /// # Errors
    /// The input is not what it says.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.whole && self.input.is_empty() {
                return Ok(None);
            }
            if self.whole && !self.goes_on() {
                self.input.clear();
                return Ok(None);
            }
            let had = self.input.len();
            let step = self.kind.step(&self.input, &mut self.output)?;
            self.input.advance(step.read.min(had));
            self.whole = step.ended;
            if step.written > 0 {
                let piece = self.output.get(..step.written).unwrap_or_default();
                return Ok(Some(Bytes::copy_from_slice(piece)));
            }
            if step.ended {
                continue;
            }
            if self.input.is_empty() {
                return Ok(None);
            }
            if step.read == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Whether the body may end here.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// What stands behind a whole stream: another one, or something to ignore. At the start it goes on anyway.
    fn goes_on(&mut self) -> bool {
        self.streams += 1;
        if self.streams == 1 {
            return true;
        }
        match &mut self.kind {
            // Each has a state of its own to be made.
            Kind::Gzip(_) if self.streams > MAX_STREAMS => false,
            Kind::Gzip(state) => {
                *state = Decompress::new_gzip(15);
                self.input.starts_with(&[0x1f])
            }
            Kind::Deflate(_) | Kind::Brotli(_) => false,
            Kind::Zstd(_) => true,
        }
    }
}

impl Kind {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        match self {
            Self::Gzip(state) => inflate(state, input, output),
            Self::Deflate(state) => {
                let first = input.first().copied().unwrap_or_default();
                // RFC 1950: the method, and a window that exists. No encoder begins a bare stream with these bits.
                let framed = first & 0x0f == 8 && first >> 4 <= 7;
                inflate(
                    state.get_or_insert_with(|| Decompress::new(framed)),
                    input,
                    output,
                )
            }
            Self::Brotli(state) => {
                let (mut left, mut read) = (input.len(), 0);
                let (mut room, mut written, mut total) = (output.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    input,
                    &mut room,
                    &mut written,
                    output,
                    &mut total,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(broken()),
                    result => Ok(Step {
                        read,
                        written,
                        ended: matches!(result, BrotliResult::ResultSuccess),
                    }),
                }
            }
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output)?;
                Ok(Step {
                    read: status.bytes_read,
                    written: status.bytes_written,
                    ended: status.remaining == 0,
                })
            }
        }
    }
}

fn inflate(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
    let (read, written) = (state.total_in(), state.total_out());
    let status = state
        .decompress(input, output, FlushDecompress::None)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let since = |now: u64, then: u64| usize::try_from(now - then).unwrap_or(usize::MAX);
    Ok(Step {
        read: since(state.total_in(), read),
        written: since(state.total_out(), written),
        ended: status == Status::StreamEnd,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut coded = Vec::with_capacity(text.len() + 1024);
        let mut state = flate2::Compress::new_gzip(flate2::Compression::default(), 15);
        let status = state
            .compress_vec(text, &mut coded, flate2::FlushCompress::Finish)
            .unwrap();
        assert_eq!(status, Status::StreamEnd);
        coded
    }

    fn deflate(text: &[u8], framed: bool) -> Vec<u8> {
        let mut coded = Vec::with_capacity(text.len() + 1024);
        let mut state = flate2::Compress::new(flate2::Compression::default(), framed);
        state
            .compress_vec(text, &mut coded, flate2::FlushCompress::Finish)
            .unwrap();
        coded
    }

    fn brotli(text: &[u8]) -> Vec<u8> {
        let mut writer = brotli::CompressorWriter::new(vec![], 4096, 5, 22);
        writer.write_all(text).unwrap();
        writer.into_inner()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    /// Decodes in pieces of this size: what came, and whether it was whole.
    fn decode(coding: &str, coded: &[u8], piece: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut decoder = Decoder::of(coding).unwrap().unwrap();
        let mut text = vec![];
        for piece in coded.chunks(piece) {
            decoder.feed(Bytes::copy_from_slice(piece));
            while let Some(decoded) = decoder.next()? {
                assert!(decoded.len() <= STEP);
                text.extend_from_slice(&decoded);
            }
        }
        Ok((text, decoder.is_whole()))
    }

    fn sample() -> Vec<u8> {
        (0..200_000u32).flat_map(|n| (n * n).to_le_bytes()).collect()
    }

    type Encode = fn(&[u8]) -> Vec<u8>;
    const CODINGS: [(&str, Encode); 5] = [
        ("gzip", gzip),
        ("br", brotli),
        ("zstd", zstd),
        ("deflate", |text| deflate(text, true)),
        ("deflate", |text| deflate(text, false)),
    ];

    #[test]
    fn every_coding_is_undone_whatever_the_pieces() {
        for (coding, encode) in CODINGS {
            for text in [sample(), b"short".to_vec(), vec![]] {
                let coded = encode(&text);
                for piece in [1, 7, 4096, usize::MAX] {
                    let (decoded, whole) = decode(coding, &coded, piece).unwrap();
                    assert!(decoded == text && whole, "{coding} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn a_body_that_is_cut_is_not_whole() {
        for (coding, encode) in CODINGS {
            let coded = encode(&sample());
            for length in [1, coded.len() / 2, coded.len() - 1] {
                let (_, whole) = decode(coding, &coded[..length], 4096).unwrap();
                assert!(!whole, "{coding} cut to {length} of {}", coded.len());
            }
            assert!(decode(coding, b"", 1).unwrap().1, "no body at all");
        }
    }

    #[test]
    fn what_is_not_coded_so_is_an_error() {
        for (coding, _) in CODINGS {
            assert!(
                decode(coding, b"[{\"id\": 1}, {\"id\": 2}]", 4096).is_err(),
                "{coding}"
            );
        }
        let mut broken = gzip(&sample());
        let middle = broken.len() / 2;
        broken[middle] ^= 0xff;
        assert!(decode("gzip", &broken, 4096).is_err(), "its checksum says so");
    }

    #[test]
    fn streams_in_a_row_are_one_body() {
        for (coding, encode) in [("gzip", gzip as Encode), ("zstd", zstd)] {
            let coded = [encode(b"one, "), encode(b"two")].concat();
            for piece in [1, 4096] {
                let (decoded, whole) = decode(coding, &coded, piece).unwrap();
                assert_eq!((decoded.as_slice(), whole), (&b"one, two"[..], true), "{coding}");
            }
        }
    }

    #[test]
    fn words_that_are_no_coding_are_not_minded_and_codings_that_are_not_known_are_named() {
        for coding in [
            "",
            "identity",
            " , ",
            "none",
            "UTF-8",
            "utf8",
            "binary",
            "8bit",
            "application/json",
            "?",
        ] {
            assert!(matches!(Decoder::of(coding), Ok(None)), "{coding}");
        }
        for coding in [
            " GZIP ",
            "gzip, identity",
            "utf-8,gzip",
            "x-gzip",
            "Deflate",
            "br",
        ] {
            assert!(matches!(Decoder::of(coding), Ok(Some(_))), "{coding}");
        }
        for (coding, why) in [
            (
                "compress",
                "its body is coded as compress, which was not asked for; gzip, br, zstd and deflate are known",
            ),
            ("gzip, X-Bzip2", "its body is coded as x-bzip2, which"),
            (
                "gzip, br",
                "its body is coded 2 times (gzip in br); one coding is undone",
            ),
            (
                "gzip,gzip,gzip,gzip,gzip",
                "its body is coded 5 times (gzip in gzip in gzip in gzip); one",
            ),
        ] {
            let told = Decoder::of(coding).err().unwrap();
            assert!(told.starts_with(why), "{told}");
        }
    }

    #[test]
    fn a_window_larger_than_http_allows_is_refused() {
        let mut encoder = zstd::Encoder::new(vec![], 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let coded = encoder.finish().unwrap();
        assert!(decode("zstd", &coded, 4096).is_err());
    }
}
