//! What a component exports, in the contract's terms.

use std::cell::RefCell;

use crate::adapter::{self, Batches, Kind};
use crate::bindings::generated::exports::sandbar::connector::connector as wit;
use crate::bindings::generated::sandbar::connector::types as wit_types;
use crate::{Connector, ReadLimit, Result, Stream, batch, options};

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
