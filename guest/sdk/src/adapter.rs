//! From typed sources to the JSON text and the bytes of the contract. What is left to the bindings is names.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::{Connector, Error, ReadLimit, Result, SequentialSource, Source, Stream, batch, json, options};

/// Rows as an IPC stream, and the offset that they reach where the source is a sequential one.
pub struct Rows {
    pub ipc: Vec<u8>,
    pub end: Option<String>,
}

pub type Batches = Box<dyn Iterator<Item = Result<Rows>>>;

/// One way to read, in the contract's terms. What a source does not have is never called by a host.
pub trait Kind: 'static {
    type Connector: Connector;

    fn latest_offset(
        source: &Self::Connector,
        start: &str,
        up_to: Option<&str>,
        limit: ReadLimit,
    ) -> Result<Option<String>>;
    fn partitions(source: &Self::Connector, start: &str, end: &str) -> Result<Vec<String>>;
    fn read(source: &Self::Connector, partition: &str) -> Result<Batches>;
    fn read_from(source: &Self::Connector, start: &str, limit: ReadLimit) -> Result<Batches>;
}

/// The kind of a [`Source`].
pub struct Bounded<S>(std::marker::PhantomData<S>);

/// The kind of a [`SequentialSource`].
pub struct Sequential<S>(std::marker::PhantomData<S>);

impl<S: Source> Kind for Bounded<S> {
    type Connector = S;

    fn latest_offset(
        source: &S,
        start: &str,
        up_to: Option<&str>,
        limit: ReadLimit,
    ) -> Result<Option<String>> {
        let up_to: Option<S::Offset> = up_to.map(|text| json::read("offset", text)).transpose()?;
        let end = source.latest_offset(&json::read("offset", start)?, up_to.as_ref(), limit)?;
        json::write("offset", &end).map(Some)
    }

    fn partitions(source: &S, start: &str, end: &str) -> Result<Vec<String>> {
        let (start, end): (S::Offset, S::Offset) = (json::read("offset", start)?, json::read("offset", end)?);
        if start == end {
            return Ok(Vec::new());
        }
        source
            .partitions(&start, &end)?
            .iter()
            .map(|partition| json::write("partition", partition))
            .collect()
    }

    fn read(source: &S, partition: &str) -> Result<Batches> {
        let schema = source.schema();
        let batches = source.read(json::read("partition", partition)?)?;
        Ok(Box::new(batches.map(move |batch| rows(&schema, &batch?, None))))
    }

    fn read_from(_: &S, _: &str, _: ReadLimit) -> Result<Batches> {
        Err(Error::internal(format_args!(
            "{} reads partitions, not on from an offset",
            S::NAME
        )))
    }
}

impl<S: SequentialSource> Kind for Sequential<S> {
    type Connector = S;

    fn latest_offset(_: &S, _: &str, _: Option<&str>, _: ReadLimit) -> Result<Option<String>> {
        Ok(None)
    }

    fn partitions(_: &S, _: &str, _: &str) -> Result<Vec<String>> {
        Err(Error::internal(format_args!(
            "{} reads on from an offset, not partitions",
            S::NAME
        )))
    }

    fn read(source: &S, _: &str) -> Result<Batches> {
        Self::partitions(source, "", "").map(|_| Box::new(std::iter::empty()) as Batches)
    }

    fn read_from(source: &S, start: &str, limit: ReadLimit) -> Result<Batches> {
        let schema = source.schema();
        let batches = source.read_from(&json::read("offset", start)?, limit)?;
        Ok(Box::new(batches.map(move |batch| {
            let (batch, end) = batch?;
            rows(&schema, &batch, Some(json::write("offset", &end)?))
        })))
    }
}

pub fn discover<C: Connector>(text: &str) -> Result<Vec<Stream>> {
    match options::parse(text) {
        Ok(options) => C::discover(options),
        // What is known beforehand can be told to someone who has no options yet.
        Err(_) if !C::STREAMS.is_empty() => Ok(C::STREAMS.to_vec()),
        Err(e) => Err(e),
    }
}

pub fn open<C: Connector>(stream: &str, text: &str) -> Result<C> {
    let options = options::parse(text)?;
    let name = match C::STREAMS {
        [] => stream,
        [only] if stream.is_empty() => &only.name,
        streams if streams.iter().any(|known| known.name == stream) => stream,
        streams => {
            let names: Vec<&str> = streams.iter().map(|known| &*known.name).collect();
            let what = format!("there is no stream \"{stream}\", only {}", names.join(", "));
            return Err(Error::invalid_option("stream", what));
        }
    };
    C::open(name, options)
}

pub fn initial_offset<C: Connector>(source: &C) -> Result<String> {
    json::write("offset", &source.initial_offset()?)
}

pub fn commit<C: Connector>(source: &C, end: &str) -> Result<()> {
    source.commit(&json::read("offset", end)?)
}

fn rows(schema: &SchemaRef, batch: &RecordBatch, end: Option<String>) -> Result<Rows> {
    if batch.schema_ref() != schema {
        let (got, promised) = (batch.schema_ref(), schema);
        return Err(Error::internal(format_args!(
            "a batch has the schema {got:?}, promised was {promised:?}"
        )));
    }
    Ok(Rows {
        ipc: batch::to_ipc(batch)?,
        end,
    })
}
