use serde::{Deserialize, Serialize};

/// Begins the room inside the component's bytes where a test writes what `describe` gives, as JSON of [`Described`]:
/// no option reaches that function.
pub const MARK: &str = "what sandbar-hostile says of itself:";

/// The bytes of that room, with the mark.
pub const ROOM: usize = 8 << 10;

macro_rules! modes {
    ($($(#[$meta:meta])* $mode:ident,)*) => {
        /// One way to misbehave.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Mode {
            $($(#[$meta])* $mode,)*
        }

        impl Mode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$mode,)*];
        }
    };
}

modes! {
    /// Reads `rows` as it should, in one range.
    Healthy,
    /// Computes for ever.
    Spin,
    /// Asks what time it is, for ever.
    WatchClock,
    /// Tells how finely it can read the time.
    FineClock,
    /// Waits for an hour.
    Sleep,
    /// Takes memory for ever.
    Allocate,
    /// Calls itself for ever.
    Recurse,
    /// Panics.
    Panic,
    /// Ends itself.
    Exit,
    /// Looks for an environment, arguments and input.
    Environment,
    /// Makes handles of the host for ever.
    HostHandles,
    /// Makes handles of its own for ever.
    OwnHandles,
    /// Asks for all random bytes that there are.
    Random,
    /// Logs for ever.
    Log,
    /// Writes to standard output and error for ever.
    Print,
    /// Gives an offset of `size` bytes.
    HugeOffset,
    /// Gives an error of `size` bytes.
    HugeError,
    /// Gives an error that would draw on a terminal and forge a line of a log.
    ForgedError,
    /// Gives `size` partitions.
    ManyPartitions,
    /// Gives 32 partitions of `size` bytes.
    HugePartitions,
    /// Gives `size` streams.
    ManyStreams,
    /// Is unavailable for ever, and asks for a pause of half a billion years.
    Unavailable,
    /// Gives an offset that is not JSON.
    OffsetNoJson,
    /// Gives an offset of 101 nested levels.
    OffsetDeep,
    /// Gives a partition that is not JSON.
    PartitionNoJson,
    /// Goes from 0 to 1 and from 1 to 0.
    OffsetBack,
    /// Goes from 0 to 1 in one look, and back to 0 in the next.
    OffsetCircle,
    /// Promises an offset and stays where it is.
    OffsetStays,
    /// Gives batches without rows for ever.
    EmptyBatches,
    /// Gives batches without rows for ever, each with another offset.
    EmptySteps,
    /// Gives rows, and the offset where they began.
    StuckSteps,
    /// Gives rows without an offset where one belongs.
    NoEnd,
    /// Gives rows for ever.
    EndlessRows,
    /// Gives `rows`, which have another schema than `schema`.
    OtherSchema,
    /// Gives `rows` with compressed buffers.
    Compressed,
    /// Gives `rows` whose offsets lead out of their bytes.
    WrongOffsets,
    /// Gives `rows` whose lengths are not those of their buffers.
    WrongLengths,
    /// Gives `rows` with a dictionary.
    Dictionary,
    /// Gives a `schema` with a dictionary.
    DictionarySchema,
    /// Gives a `schema` that nests without end.
    DeepSchema,
    /// Gives a `schema` of too many columns.
    WideSchema,
    /// Gives a `schema` whose header leads to the same place over and over.
    SharedSchema,
    /// Gives `rows` with bytes behind their end.
    TrailingBytes,
    /// Gives `rows` that are cut off.
    CutRows,
    /// Gives `rows` that are no Arrow at all.
    NoArrow,
    /// Gives `rows` of views that all show the same bytes.
    Views,
    /// Sends a request to a host that is not granted.
    OtherHost,
    /// Sends a request to an address in a spelling of its own.
    OddAddress,
    /// Sends a request below another path than the granted one.
    OtherPath,
    /// Sends a request with another method than those that read.
    OtherMethod,
    /// Sends a request whose header has a line break.
    HeaderInjection,
    /// Sends a request whose headers say where it ends and whom it is for.
    Smuggling,
    /// Gives batches as JSON text, which is `json`.
    JsonRows,
    /// Gives a schema as text, which is `schema_text`.
    SchemaText,
    /// Sends a request through the contract's own interface.
    Direct,
    /// Sends requests for ever, 64 at once.
    SendFlood,
    /// Sends 65 requests at once.
    SendTooMany,
    /// Keeps every response that it gets, for ever.
    KeepResponses,
    /// Begins requests for ever, and waits for none.
    BeginFlood,
    /// Asks for rows that it may not have yet, and by selections that are none.
    OddSelections,
    /// Saves a note outside of commit.
    SaveOutside,
    /// Saves a note of `size` bytes.
    SaveHuge,
    /// Saves a note that is not JSON.
    SaveNoJson,
    /// Saves notes for ever.
    SaveForever,
}

/// The function in which it misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of the contract")]
pub enum Call {
    Discover,
    Open,
    Info,
    Reading,
    Check,
    Schema,
    InitialOffset,
    LatestOffset,
    BatchEnd,
    Partitions,
    Read,
    ReadFrom,
    Next,
    Commit,
}

/// The options.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// How it misbehaves.
    pub mode: Mode,
    /// Where it does, for modes that could anywhere.
    pub at: Call,
    /// How much, for modes that have an amount.
    #[serde(default)]
    pub size: u64,
    /// The IPC stream of the schema, in hexadecimal digits.
    #[serde(default)]
    pub schema: String,
    /// The schema as text, instead.
    #[serde(default)]
    pub schema_text: String,
    /// Batches as JSON text, before those of `rows`.
    #[serde(default)]
    pub json: Vec<String>,
    /// The IPC streams of batches, in hexadecimal digits.
    #[serde(default)]
    pub rows: Vec<String>,
    /// What modes that send a request send.
    #[serde(default)]
    pub request: Asked,
}

/// A request in pieces, as `wasi:http` takes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// `GET` when empty.
    pub method: String,
    /// Host and port.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

/// What `describe` gives; what is absent is as it should be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are those of the contract")]
pub struct Described {
    pub name: Option<String>,
    pub version: Option<String>,
    pub summary: Option<String>,
    pub options_schema: Option<String>,
    /// A mode to misbehave by, in `describe` itself.
    pub mode: Option<Mode>,
}
