//! The exports.

use std::cell::Cell;

use crate::bindings::generated::exports::sandbar::connector::connector as wit;
use crate::bindings::generated::sandbar::connector::progress_note;
use crate::bindings::generated::sandbar::connector::values::{Error, Schema};

use crate::harm::harm;
use crate::modes::{Call, Described, MARK, Mode, Options, ROOM};

/// A test writes here, in the component's bytes: see [`MARK`].
static SAYS: [u8; ROOM] = says();

const fn says() -> [u8; ROOM] {
    let mut room = [b' '; ROOM];
    let mark = MARK.as_bytes();
    let mut at = 0;
    while at < mark.len() {
        room[at] = mark[at];
        at += 1;
    }
    room
}

struct Hostile;

/// One opened stream.
pub(crate) struct Opened(Options);

/// Batches on their way out.
struct Reading {
    options: Options,
    given: Cell<u64>,
}

impl Opened {
    pub(crate) fn of(options: Option<&Options>) -> Self {
        let none = || Options {
            mode: Mode::Healthy,
            at: Call::Open,
            size: 0,
            schema: String::new(),
            schema_text: String::new(),
            rows: vec![],
            json: vec![],
            request: Default::default(),
        };
        Self(options.cloned().unwrap_or_else(none))
    }

    fn at(&self, call: Call) -> Result<(), Error> {
        at(&self.0, call)
    }

    fn read(&self) -> wit::Batches {
        wit::Batches::new(Reading {
            options: self.0.clone(),
            given: Cell::new(0),
        })
    }
}

fn at(options: &Options, call: Call) -> Result<(), Error> {
    match options.at == call {
        true => misbehave(options.mode, Some(options)),
        false => Ok(()),
    }
}

fn misbehave(mode: Mode, options: Option<&Options>) -> Result<(), Error> {
    match mode {
        Mode::OwnHandles => {
            let mut kept = vec![];
            loop {
                kept.push(wit::Source::new(Opened::of(options)));
            }
        }
        mode => harm(mode, options),
    }
}

impl wit::Guest for Hostile {
    type Source = Opened;
    type Batches = Reading;

    fn describe() -> wit::Description {
        let says = std::hint::black_box(&SAYS);
        let text = String::from_utf8_lossy(&says[MARK.len()..]);
        let said: Described = serde_json::from_str(text.trim()).unwrap_or_default();
        if let Some(mode) = said.mode {
            let _ = misbehave(mode, None);
        }
        wit::Description {
            name: said.name.unwrap_or_else(|| "hostile".to_owned()),
            version: said.version.unwrap_or_else(|| "0.1.0".to_owned()),
            summary: said.summary.unwrap_or_else(|| "Misbehaves".to_owned()),
            options_schema: said.options_schema.unwrap_or_else(any_options),
        }
    }

    fn discover(options: String) -> Result<Vec<wit::StreamInfo>, Error> {
        let options = parse(&options)?;
        at(&options, Call::Discover)?;
        let streams = if options.mode == Mode::ManyStreams {
            options.size
        } else {
            1
        };
        Ok(vec![stream_info(); streams as usize])
    }
}

fn stream_info() -> wit::StreamInfo {
    wit::StreamInfo {
        name: "all".to_owned(),
        summary: String::new(),
        key: vec![],
    }
}

/// A schema that takes everything. How it misbehaves may change under a pipeline.
fn any_options() -> String {
    let free = [
        "mode",
        "at",
        "size",
        "schema",
        "schema_text",
        "rows",
        "json",
        "request",
    ];
    let free = free.map(|name| format!(r#""{name}":{{"x-sandbar-identity":false}}"#));
    format!(r#"{{"type":"object","properties":{{{}}}}}"#, free.join(","))
}

impl wit::GuestSource for Opened {
    fn open(_: Option<String>, options: String) -> Result<wit::Source, Error> {
        let options = parse(&options)?;
        at(&options, Call::Open)?;
        Ok(wit::Source::new(Self(options)))
    }

    fn info(&self) -> wit::StreamInfo {
        let _ = self.at(Call::Info);
        stream_info()
    }

    fn reading(&self) -> wit::Reading {
        let _ = self.at(Call::Reading);
        match self.0.mode {
            Mode::EmptySteps | Mode::StuckSteps | Mode::NoEnd => wit::Reading::Sequential,
            _ => wit::Reading::Ranges,
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.at(Call::Check)
    }

    fn schema(&self) -> Result<Schema, Error> {
        self.at(Call::Schema)?;
        Ok(match self.0.schema_text.is_empty() {
            true => Schema::ArrowIpc(bytes(&self.0.schema)?),
            false => Schema::Text(self.0.schema_text.clone()),
        })
    }

    fn initial_offset(&self) -> Result<String, Error> {
        self.at(Call::InitialOffset)?;
        Ok(match self.0.mode {
            Mode::HugeOffset => format!("\"{}\"", "x".repeat(self.0.size as usize)),
            Mode::OffsetNoJson => "{\"current\": 0".to_owned(),
            Mode::OffsetDeep => format!("{}{}", "[".repeat(101), "]".repeat(101)),
            Mode::SaveOutside => {
                // It goes on as if nothing were.
                let _ = progress_note::save("{\"current\": 5}");
                "0".to_owned()
            }
            _ => "0".to_owned(),
        })
    }

    fn latest_offset(&self, start: String, _: Option<u64>) -> Result<String, Error> {
        self.at(Call::LatestOffset)?;
        Ok(match self.0.mode {
            Mode::OffsetCircle if start == "1" => "0",
            Mode::OffsetBack => "2",
            _ => "1",
        }
        .to_owned())
    }

    fn batch_end(&self, start: String, latest: String, _: wit::ReadLimit) -> Result<String, Error> {
        self.at(Call::BatchEnd)?;
        Ok(match self.0.mode {
            Mode::OffsetBack if start == "1" => "0".to_owned(),
            Mode::OffsetBack => "1".to_owned(),
            Mode::OffsetStays => start,
            _ => latest,
        })
    }

    fn partitions(&self, start: String, _: String) -> Result<Vec<String>, Error> {
        self.at(Call::Partitions)?;
        let size = self.0.size as usize;
        Ok(match self.0.mode {
            Mode::ManyPartitions => vec!["0".to_owned(); size],
            Mode::HugePartitions => vec![format!("[{}0]", "0,".repeat(size / 2)); 32],
            Mode::PartitionNoJson => vec!["<html>".to_owned()],
            // The rows come once, on the way to 1.
            Mode::OffsetBack if start != "0" => vec![],
            _ => vec!["0".to_owned()],
        })
    }

    fn read(&self, _: String) -> Result<wit::Batches, Error> {
        self.at(Call::Read)?;
        Ok(self.read())
    }

    fn read_from(&self, _: String, _: wit::ReadLimit) -> Result<wit::Batches, Error> {
        self.at(Call::ReadFrom)?;
        Ok(self.read())
    }

    fn commit(&self, end: String) -> Result<(), Error> {
        self.at(Call::Commit)?;
        match self.0.mode {
            Mode::SaveHuge => progress_note::save(&format!("\"{}\"", "x".repeat(self.0.size as usize))),
            Mode::SaveNoJson => progress_note::save("{\"current\": "),
            Mode::SaveForever => loop {
                let _ = progress_note::save(&end);
            },
            _ => progress_note::save(&end),
        }
    }
}

impl wit::GuestBatches for Reading {
    fn next(&self) -> Result<Option<wit::Batch>, Error> {
        at(&self.options, Call::Next)?;
        let given = self.given.replace(self.given.get() + 1);
        if let Some(text) = self.options.json.get(given as usize) {
            return Ok(Some(wit::Batch {
                rows: wit::BatchRows::Json(text.clone()),
                end: None,
            }));
        }
        let rows = &self.options.rows;
        let (rows, end) = match self.options.mode {
            Mode::EmptyBatches | Mode::EndlessRows => (rows.first(), None),
            Mode::EmptySteps => (rows.first(), Some(given + 1)),
            Mode::StuckSteps => (rows.first(), Some(0)),
            _ => (rows.get(given as usize), None),
        };
        let Some(rows) = rows else { return Ok(None) };
        Ok(Some(wit::Batch {
            rows: wit::BatchRows::ArrowIpc(bytes(rows)?),
            end: end.map(|end| end.to_string()),
        }))
    }
}

fn parse(options: &str) -> Result<Options, Error> {
    serde_json::from_str(options).map_err(|error| Error::InvalidOptions(error.to_string()))
}

fn bytes(digits: &str) -> Result<Vec<u8>, Error> {
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    let read: Option<_> = digits.as_bytes().chunks(2).map(pair).collect();
    read.ok_or_else(|| Error::InvalidOptions("these are no hexadecimal digits".to_owned()))
}

#[allow(unsafe_code)]
const _: () = {
    crate::bindings::generated::export_source!(Hostile with_types_in crate::bindings::generated);
};
