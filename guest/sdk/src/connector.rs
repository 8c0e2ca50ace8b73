use std::borrow::Cow;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::Client;
use crate::{Result, Rows, Schema, progress_note};

/// What both kinds of source have in common: a name, options, streams, a schema and a progress note.
///
/// The host may call each function in a fresh instance, on any machine. Only what an offset, a partition and
/// the progress note carry survives from call to call.
pub trait Connector: Sized + 'static {
    /// Kebab-case name, for example `comments`.
    const NAME: &'static str;
    /// SemVer 2.0 version, most often `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// One sentence for people.
    const SUMMARY: &'static str;
    /// The streams, where they are known beforehand. Empty when only [`discover`](Self::discover) knows them.
    ///
    /// By default there is one, with the name and the summary of the connector.
    const STREAMS: &'static [Stream] = &[Stream::new(Self::NAME, Self::SUMMARY)];

    /// The options. Doc comments and `#[schemars(..)]` bounds show in the schema that operators see.
    type Options: DeserializeOwned + JsonSchema;
    /// A position in a stream. Its default is where a stream begins.
    ///
    /// Hosts keep every digit of a number; an `f64` or a [`serde_json`](https://docs.rs/serde_json) value does not. An offset
    /// with a number that this type would round is refused before it gets here.
    type Offset: Serialize + DeserializeOwned + Default + PartialEq;

    /// The streams that these options give access to. May make requests.
    ///
    /// # Errors
    ///
    /// What keeps it from finding out. By default there is none, and the streams are [`STREAMS`](Self::STREAMS).
    fn discover(options: Self::Options) -> Result<Vec<Stream>> {
        drop(options);
        Ok(Self::STREAMS.to_vec())
    }

    /// Opens a stream. Makes no request; what is asked later goes through `client`, which a native test replaces.
    ///
    /// `stream` is one of [`STREAMS`](Self::STREAMS), the only one when the pipeline names none; or, when that
    /// list is empty, what the pipeline names.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOptions`](crate::Error::InvalidOptions) that names the option.
    fn open(stream: &str, options: Self::Options, client: Rc<dyn Client>) -> Result<Self>;

    /// What is known of the stream that is open, where that is more than [`STREAMS`](Self::STREAMS) says of it. Makes no
    /// request.
    fn stream(&self) -> Option<Stream> {
        None
    }

    /// Finds out by one request or more whether the remote can be reached, with these options and credentials. Reads no more
    /// rows than it must.
    ///
    /// # Errors
    ///
    /// What keeps the source from reading.
    fn check(&self) -> Result<()>;

    /// The schema of all rows. The same for the same options.
    ///
    /// # Errors
    ///
    /// What keeps it from finding out, where it has to ask the remote.
    fn schema(&self) -> Result<Schema>;

    /// Where a pipeline without a committed batch starts: at the progress note, else at the beginning.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`](crate::Error::Malformed) for a note that is not an offset of this source.
    fn initial_offset(&self) -> Result<Self::Offset> {
        Ok(progress_note::load()?.unwrap_or_default())
    }

    /// Told after the rows up to `end` are in the table for good. May be repeated, and may never come.
    ///
    /// By default it saves `end` as the progress note.
    ///
    /// # Errors
    ///
    /// What keeps the note from being saved.
    fn commit(&self, end: &Self::Offset) -> Result<()> {
        progress_note::save(end)
    }
}

/// A source that can tell the end of a range before it reads, as with numbered rows or log positions.
///
/// Its ranges are split, and read in parallel.
pub trait Source: Connector {
    /// A part of a range that can be read by itself.
    type Partition: Serialize + DeserializeOwned;

    /// Where what exists now ends: `start` itself when nothing lies after it, never beyond what exists.
    ///
    /// `max_rows` is as far as the host will go at most. An end that lies further may be answered by the offset after so many
    /// rows, where that saves a search.
    ///
    /// # Errors
    ///
    /// What keeps it from finding out; [`Error::OffsetLost`](crate::Error::OffsetLost) when `start` is gone.
    fn latest_offset(&self, start: &Self::Offset, max_rows: Option<u64>) -> Result<Self::Offset>;

    /// Where a micro-batch ends that begins at `start`, when what is read ends at `latest`: there, or before it where the limit
    /// wants it. After `start`, unless that is `latest`.
    ///
    /// # Errors
    ///
    /// What keeps it from finding out.
    fn batch_end(
        &self,
        start: &Self::Offset,
        latest: &Self::Offset,
        limit: ReadLimit,
    ) -> Result<Self::Offset>;

    /// Splits (start, end] into parts that cover it once, without overlap. Not called when they are the same.
    ///
    /// # Errors
    ///
    /// For a range that is none.
    fn partitions(&self, start: &Self::Offset, end: &Self::Offset) -> Result<Vec<Self::Partition>>;

    /// Reads one part. The same rows every time while the remote has not changed.
    ///
    /// # Errors
    ///
    /// What keeps it from reading; the host asks for nothing more after an error.
    fn read(&self, partition: Self::Partition) -> Result<impl Iterator<Item = Result<Rows>>>;
}

/// A source that learns the end of a range only by reading, as with cursor tokens or `updated_since`.
pub trait SequentialSource: Connector {
    /// Reads on from `start`, at most as many rows as the limit says. No batch when nothing lies after it.
    ///
    /// Every batch comes with the offset behind its last row. Reading on from any of them gives the rest, no
    /// row twice and none missed.
    ///
    /// # Errors
    ///
    /// What keeps it from reading; the host asks for nothing more after an error.
    fn read_from(
        &self,
        start: Self::Offset,
        limit: ReadLimit,
    ) -> Result<impl Iterator<Item = Result<(Rows, Self::Offset)>>>;
}

/// One table-like thing that a connector can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The name to put into the pipeline file.
    pub name: Cow<'static, str>,
    /// One sentence for people.
    pub summary: Cow<'static, str>,
    /// Columns that tell rows apart, empty when unknown.
    pub key: Cow<'static, [Cow<'static, str>]>,
}

impl Stream {
    /// A stream without a known key.
    pub const fn new(name: &'static str, summary: &'static str) -> Self {
        Self::keyed(name, summary, &[])
    }

    /// A stream whose rows are told apart by the columns of `key`.
    pub const fn keyed(name: &'static str, summary: &'static str, key: &'static [Cow<'static, str>]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            summary: Cow::Borrowed(summary),
            key: Cow::Borrowed(key),
        }
    }
}

/// How much one micro-batch may take. An absent field means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadLimit {
    /// Rows after the start.
    pub max_rows: Option<u64>,
    /// Bytes of rows, as a hint: a source that can't know sizes ignores it, and one that can takes one row at least.
    pub max_bytes: Option<u64>,
}
