//! What a component exports, in the contract's terms.

use std::cell::RefCell;
use std::rc::Rc;

use crate::adapter::{self, Batches, Kind};
use crate::bindings::generated::exports::sandbar::connector::connector as wit;
use crate::bindings::generated::sandbar::connector::values;
use crate::http::Host;
use crate::{Connector, ReadLimit, Result, Rows, Schema, Stream, options};

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

    fn discover(options: String) -> Result<Vec<wit::StreamInfo>, values::Error> {
        let streams = adapter::discover::<K::Connector>(&options)?;
        Ok(streams.into_iter().map(stream_info).collect())
    }
}

/// A source type, as the exports of a component.
pub struct Exported<K>(std::marker::PhantomData<K>);

/// One opened stream. The source lives as long as the component, so that readers may borrow it.
pub struct Opened<K: Kind> {
    source: &'static K::Connector,
    stream: Stream,
}

impl<K: Kind> wit::GuestSource for Opened<K> {
    fn open(stream: Option<String>, options: String) -> Result<wit::Source, values::Error> {
        let (stream, source) = adapter::open(stream.as_deref(), &options, Rc::new(Host))?;
        let source = Box::leak(Box::new(source));
        Ok(wit::Source::new(Self { source, stream }))
    }

    fn info(&self) -> wit::StreamInfo {
        stream_info(self.stream.clone())
    }

    fn reading(&self) -> wit::Reading {
        match K::READS_RANGES {
            true => wit::Reading::Ranges,
            false => wit::Reading::Sequential,
        }
    }

    fn check(&self) -> Result<(), values::Error> {
        Ok(self.source.check()?)
    }

    fn schema(&self) -> Result<values::Schema, values::Error> {
        Ok(match self.source.schema()? {
            Schema::Text(text) => values::Schema::Text(text),
            #[cfg(feature = "arrow")]
            Schema::Arrow(schema) => values::Schema::ArrowIpc(crate::arrow_ipc::schema_to_ipc(&schema)?),
        })
    }

    fn initial_offset(&self) -> Result<String, values::Error> {
        Ok(adapter::initial_offset(self.source)?)
    }

    fn latest_offset(&self, start: String, max_rows: Option<u64>) -> Result<String, values::Error> {
        Ok(K::latest_offset(self.source, &start, max_rows)?)
    }

    fn batch_end(
        &self,
        start: String,
        latest: String,
        limit: wit::ReadLimit,
    ) -> Result<String, values::Error> {
        Ok(K::batch_end(self.source, &start, &latest, limit.into())?)
    }

    fn partitions(&self, start: String, end: String) -> Result<Vec<String>, values::Error> {
        Ok(K::partitions(self.source, &start, &end)?)
    }

    fn read(&self, partition: String) -> Result<wit::Batches, values::Error> {
        Ok(reading(K::read(self.source, &partition)?))
    }

    fn read_from(&self, start: String, limit: wit::ReadLimit) -> Result<wit::Batches, values::Error> {
        Ok(reading(K::read_from(self.source, &start, limit.into())?))
    }

    fn commit(&self, end: String) -> Result<(), values::Error> {
        Ok(adapter::commit(self.source, &end)?)
    }
}

/// Batches on their way out.
pub struct Reading(RefCell<Batches>);

impl wit::GuestBatches for Reading {
    fn next(&self) -> Result<Option<wit::Batch>, values::Error> {
        let Some(batch) = self.0.borrow_mut().next().transpose()? else {
            return Ok(None);
        };
        let rows = match batch.rows {
            Rows::Held(rows) => wit::BatchRows::Held(rows.0),
            Rows::Json(text) => wit::BatchRows::Json(text),
            #[cfg(feature = "arrow")]
            Rows::Arrow(rows) => wit::BatchRows::ArrowIpc(crate::arrow_ipc::to_ipc(&rows)?),
        };
        Ok(Some(wit::Batch { rows, end: batch.end }))
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
