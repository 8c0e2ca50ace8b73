//! What a component does is judged at one place, whatever track it speaks: two hostile components, one of each track, do
//! the same harm and are told the same.

use std::time::Duration;

use arrow_array::RecordBatch;
use sandbar_hostile::{Asked, Call, Mode};
use sandbar_pipeline::{Batches, ReadLimit, Source};
use sandbar_policy::{Credential, Limits};
use sandbar_test_track::Flaw;

use super::*;
use crate::arrow::parse_schema;

const COLUMNS: &str = "id int, name string, email string, body string";

/// What the host adds to requests.
const TOKEN: &str = "xxxxxxxxxxxxxxxxxxxx";

/// What is the same harm in both tracks.
struct Harm {
    flaw: Flaw,
    mode: Mode,
    at: Call,
    options: Value,
    /// In what both are told.
    says: &'static str,
}

fn harm(flaw: Flaw, mode: Mode, at: Call, options: Value, says: &'static str) -> Harm {
    Harm {
        flaw,
        mode,
        at,
        options,
        says,
    }
}

fn all(other: &ScriptedApi) -> Vec<Harm> {
    let none = json!({});
    let nested = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let terminal = "\u{1b}[2J\u{9b}31m\r\n2026-01-01T00:00:00Z  INFO all is well\n";
    let asked = Asked {
        authority: other.address().to_string(),
        path: "/comments".into(),
        ..Asked::default()
    };
    let long_rows = format!("[{}]", " ".repeat(9 << 20));
    vec![
        harm(
            Flaw::Spin,
            Mode::Spin,
            Call::LatestOffset,
            none.clone(),
            "stopped in latest-offset: it computed for more than",
        ),
        harm(
            Flaw::Allocate,
            Mode::Allocate,
            Call::LatestOffset,
            none.clone(),
            "bytes of memory and may have",
        ),
        harm(
            Flaw::Panic,
            Mode::Panic,
            Call::LatestOffset,
            none.clone(),
            "failed in latest-offset: it aborted",
        ),
        harm(
            Flaw::Fail(terminal.into()),
            Mode::ForgedError,
            Call::LatestOffset,
            none.clone(),
            "all is well",
        ),
        harm(
            Flaw::Ask(other.url()),
            Mode::Direct,
            Call::LatestOffset,
            json!({"request": asked}),
            "was refused GET http://",
        ),
        harm(
            Flaw::NoteEarly,
            Mode::SaveOutside,
            Call::Discover,
            none.clone(),
            "breaks the contract in initial-offset: progress-note.save is allowed inside commit only",
        ),
        harm(
            Flaw::Note("{\"current\": ".into()),
            Mode::SaveNoJson,
            Call::Discover,
            none.clone(),
            "JSON",
        ),
        harm(
            Flaw::Tables(10_001),
            Mode::ManyStreams,
            Call::Discover,
            json!({"size": 10_001}),
            "breaks the contract in discover: it gave",
        ),
        harm(
            Flaw::Columns("id unknown".into()),
            Mode::SchemaText,
            Call::Discover,
            json!({"schema_text": "id unknown"}),
            "breaks the contract in schema",
        ),
        harm(
            Flaw::Begin("{\"current\": 0".into()),
            Mode::OffsetNoJson,
            Call::Discover,
            none.clone(),
            "breaks the contract in initial-offset",
        ),
        harm(
            Flaw::Begin(nested),
            Mode::OffsetDeep,
            Call::Discover,
            none.clone(),
            "breaks the contract in initial-offset",
        ),
        harm(
            Flaw::Begin(format!("\"{}\"", "y".repeat(70_000))),
            Mode::HugeOffset,
            Call::Discover,
            json!({"size": 70_000}),
            "it gave an offset of",
        ),
        harm(
            Flaw::Parts(100_001),
            Mode::ManyPartitions,
            Call::Discover,
            json!({"size": 100_001}),
            "breaks the contract in partitions: it gave",
        ),
        harm(
            Flaw::Part("<html>".into()),
            Mode::PartitionNoJson,
            Call::Discover,
            none.clone(),
            "breaks the contract in partitions",
        ),
        harm(
            Flaw::Rows("[{\"id\": \"a\"}]".into()),
            Mode::JsonRows,
            Call::Discover,
            json!({"json": ["[{\"id\": \"a\"}]"]}),
            "rows of the component",
        ),
        harm(
            Flaw::Rows(long_rows.clone()),
            Mode::JsonRows,
            Call::Discover,
            json!({"json": [long_rows]}),
            "stopped in next: it handed over more than",
        ),
        harm(
            Flaw::EmptyPages,
            Mode::EmptyBatches,
            Call::Discover,
            json!({"rows": [no_rows()]}),
            "batches in a row that hold nothing",
        ),
    ]
}

/// A batch without rows as Arrow, in hexadecimal digits.
fn no_rows() -> String {
    let batch = RecordBatch::new_empty(parse_schema(COLUMNS).unwrap());
    let mut ipc = arrow_ipc::writer::StreamWriter::try_new(vec![], &batch.schema()).unwrap();
    ipc.write(&batch).unwrap();
    let bytes = ipc.into_inner().unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn limits() -> Limits {
    let mut limits = Limits::default().with_cpu(Duration::from_millis(200));
    limits.memory = 128 << 20;
    limits.batch = 8 << 20;
    limits
}

/// Calls all that a pipeline calls, up to the first error.
async fn drive(connector: &Arc<Connector>, options: OpenOptions) -> Result<(), SourceError> {
    let context = crate::PipelineContext::new(CheckpointLocation::memory(), &options);
    connector.discover_in(&context, &options.options).await?;
    let source = open(connector, options).await?;
    let start = source.initial_offset().await?;
    let limit = ReadLimit {
        max_rows: Some(10),
        max_bytes: None,
    };
    let end = source.latest_offset(&start, None, limit).await?.unwrap();
    for partition in source.partitions(&start, &end).await? {
        let mut batches = source.read(&partition).await?;
        while batches.next().await?.is_some() {}
    }
    source.commit(&end).await
}

/// What the host says, without what differs from component to component: its name, and amounts.
async fn told(connector: &Arc<Connector>, options: OpenOptions) -> (String, String) {
    let error = drive(connector, options).await.unwrap_err();
    let text = sandbar_pipeline::with_causes(&error).replace(&connector.label.0, "NAME");
    let pieces: Vec<_> = text.split(|c: char| c.is_ascii_digit()).collect();
    let without_amounts: Vec<_> = pieces.iter().filter(|piece| !piece.is_empty()).copied().collect();
    (text.clone(), without_amounts.join("#"))
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_is_answered_alike_in_both_tracks() {
    let (sandbox, api, other) = (sandbox(), ScriptedApi::start(20), ScriptedApi::start(1));
    let newer = load(&sandbox, sandbar_test_track::COMPONENT).await;
    let older = load(&sandbox, sandbar_hostile::COMPONENT).await;
    let granted = |options| OpenOptions {
        options,
        limits: limits(),
        ..comments(&api)
    };
    let healthy = json!({"api_url": api.url()});
    drive(&newer, granted(healthy.clone())).await.unwrap();
    for harm in all(&other) {
        let mut options = healthy.clone();
        options["flaw"] = json!(harm.flaw);
        let shown: String = format!("{:?}", harm.flaw).chars().take(60).collect();
        let (text, by_newer) = told(&newer, granted(options)).await;
        assert!(text.contains(harm.says), "{shown}: {text}");

        let mut options = json!({"mode": harm.mode, "at": harm.at, "schema_text": COLUMNS});
        options
            .as_object_mut()
            .unwrap()
            .extend(harm.options.as_object().unwrap().clone());
        let (_, by_older) = told(&older, granted(options)).await;
        assert_eq!(by_newer, by_older, "{shown}");
    }
    assert!(other.requests().is_empty(), "it is not granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_leaves_by_no_offset_and_no_note_of_either_track() {
    let (sandbox, api) = (sandbox(), ScriptedApi::start(20));
    let newer = load(&sandbox, sandbar_test_track::COMPONENT).await;
    let older = load(&sandbox, sandbar_hostile::COMPONENT).await;
    let holding = format!("\"{TOKEN}\"");
    let flaw = |flaw| json!({"api_url": api.url(), "flaw": flaw});
    let of_older =
        json!({"mode": "huge-offset", "at": "discover", "size": TOKEN.len(), "schema_text": COLUMNS});
    let offset = "breaks the contract in initial-offset: its offset holds a credential";
    let note = "breaks the contract in commit: its progress note holds a credential";
    for (connector, options, says) in [
        (&older, of_older, offset),
        (&newer, flaw(Flaw::Begin(holding.clone())), offset),
        (&newer, flaw(Flaw::Note(holding)), note),
    ] {
        let options = OpenOptions {
            options,
            credentials: vec![Credential::bearer(&api.origin(), TOKEN.to_owned()).unwrap()],
            ..comments(&api)
        };
        let (text, _) = told(connector, options).await;
        assert!(text.contains(says) && !text.contains(TOKEN), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tracks_open_the_stream_that_they_are_told_to() {
    let (sandbox, api) = (sandbox(), ScriptedApi::start(20));
    let newer = load(&sandbox, sandbar_test_track::COMPONENT).await;
    let older = load(&sandbox, sandbar_hostile::COMPONENT).await;
    let other = json!(Flaw::OtherTable("all".into()));
    let newer_options = with_option(comments(&api), "flaw", other);
    let older_options = OpenOptions::new(
        "hostile",
        json!({"mode": "healthy", "at": "open", "schema_text": COLUMNS}),
    );
    for (connector, options) in [(newer, newer_options), (older, older_options)] {
        let error = open(&connector, options.with_stream("comments"))
            .await
            .err()
            .unwrap();
        let says = "breaks the contract in info: it was to open the stream \"comments\" and says that it opened \"all\"";
        assert!(error.to_string().contains(says), "{error}");
    }
}
