//! The contract's own names, generated, and their counterparts here.

use std::cell::RefCell;
use std::time::Duration;

use crate::adapter::{self, Batches, Kind};
use crate::log::Level;
use crate::{Connector, Error, ReadLimit, Result, Stream, batch, options};

/// What `wit-bindgen` makes of the track that this SDK speaks.
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod generated {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "source",
        pub_export_macro: true,
        export_macro_name: "export_source",
        default_bindings_module: "::sandbar_sdk::__private::generated",
    });
}

use generated::exports::sandbar::connector::connector as wit;
use generated::sandbar::connector::types as wit_types;
use generated::sandbar::connector::{checkpoint as wit_checkpoint, log as wit_log};

impl<K: Kind> wit::Guest for Exported<K> {
    type Source = Opened<K>;
    type Batches = Reading;

    fn describe() -> wit::Description {
        wit::Description {
            name: K::Connector::NAME.to_owned(),
            version: K::Connector::VERSION.to_owned(),
            summary: K::Connector::SUMMARY.to_owned(),
            options_schema: options::schema::<<K::Connector as Connector>::Options>(),
        }
    }

    fn discover(options: String) -> Result<Vec<wit::StreamInfo>, wit_types::Error> {
        let streams = adapter::discover::<K::Connector>(&options)?;
        Ok(streams.into_iter().map(stream_info).collect())
    }
}

/// A source type, as the exports of a component.
pub struct Exported<K>(std::marker::PhantomData<K>);

/// One opened stream.
pub struct Opened<K: Kind>(K::Connector);

impl<K: Kind> wit::GuestSource for Opened<K> {
    fn open(stream: String, options: String) -> Result<wit::Source, wit_types::Error> {
        Ok(wit::Source::new(Self(adapter::open(&stream, &options)?)))
    }

    fn check(&self) -> Result<(), wit_types::Error> {
        Ok(self.0.check()?)
    }

    fn schema(&self) -> Result<Vec<u8>, wit_types::Error> {
        Ok(batch::schema_to_ipc(&self.0.schema())?)
    }

    fn initial_offset(&self) -> Result<String, wit_types::Error> {
        Ok(adapter::initial_offset(&self.0)?)
    }

    fn latest_offset(
        &self,
        start: String,
        up_to: Option<String>,
        limit: wit::ReadLimit,
    ) -> Result<Option<String>, wit_types::Error> {
        Ok(K::latest_offset(&self.0, &start, up_to.as_deref(), limit.into())?)
    }

    fn partitions(&self, start: String, end: String) -> Result<Vec<String>, wit_types::Error> {
        Ok(K::partitions(&self.0, &start, &end)?)
    }

    fn read(&self, partition: String) -> Result<wit::Batches, wit_types::Error> {
        Ok(reading(K::read(&self.0, &partition)?))
    }

    fn read_from(&self, start: String, limit: wit::ReadLimit) -> Result<wit::Batches, wit_types::Error> {
        Ok(reading(K::read_from(&self.0, &start, limit.into())?))
    }

    fn commit(&self, end: String) -> Result<(), wit_types::Error> {
        Ok(adapter::commit(&self.0, &end)?)
    }
}

/// Batches on their way out.
pub struct Reading(RefCell<Batches>);

impl wit::GuestBatches for Reading {
    fn next(&self) -> Result<Option<wit::Batch>, wit_types::Error> {
        let next = self.0.borrow_mut().next().transpose()?;
        Ok(next.map(|rows| wit::Batch {
            rows: rows.ipc,
            end: rows.end,
        }))
    }
}

pub(crate) fn load_note() -> Result<Option<String>> {
    Ok(wit_checkpoint::load()?)
}

pub(crate) fn save_note(note: &str) -> Result<()> {
    Ok(wit_checkpoint::save(note)?)
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => wit_log::Level::Trace,
        Level::Debug => wit_log::Level::Debug,
        Level::Info => wit_log::Level::Info,
        Level::Warn => wit_log::Level::Warn,
        Level::Error => wit_log::Level::Error,
    };
    wit_log::log(level, message);
}

fn reading(batches: Batches) -> wit::Batches {
    wit::Batches::new(Reading(RefCell::new(batches)))
}

fn stream_info(stream: Stream) -> wit::StreamInfo {
    wit::StreamInfo {
        name: stream.name.into_owned(),
        summary: stream.summary.into_owned(),
        key: stream.key.iter().map(|column| column.to_string()).collect(),
    }
}

impl From<wit::ReadLimit> for ReadLimit {
    fn from(limit: wit::ReadLimit) -> Self {
        Self {
            max_rows: limit.max_rows,
            max_bytes: limit.max_bytes,
        }
    }
}

impl From<Error> for wit_types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidOptions(message) => Self::InvalidOptions(message),
            Error::Unauthorized(message) => Self::Unauthorized(message),
            Error::Unavailable { message, retry_after } => {
                let millis = retry_after.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                Self::Unavailable(wit_types::Unavailable {
                    message,
                    retry_after_ms: millis,
                })
            }
            Error::Malformed(message) => Self::Malformed(message),
            Error::OffsetLost(message) => Self::OffsetLost(message),
            Error::Internal(message) => Self::Internal(message),
        }
    }
}

impl From<wit_types::Error> for Error {
    fn from(error: wit_types::Error) -> Self {
        match error {
            wit_types::Error::InvalidOptions(message) => Self::InvalidOptions(message),
            wit_types::Error::Unauthorized(message) => Self::Unauthorized(message),
            wit_types::Error::Unavailable(told) => {
                let retry_after = told.retry_after_ms.map(Duration::from_millis);
                Self::Unavailable {
                    message: told.message,
                    retry_after,
                }
            }
            wit_types::Error::Malformed(message) => Self::Malformed(message),
            wit_types::Error::OffsetLost(message) => Self::OffsetLost(message),
            wit_types::Error::Internal(message) => Self::Internal(message),
        }
    }
}
