//! From typed sources to the JSON text and the bytes of the contract. What is left to the bindings is names.

use crate::http::Client;
use crate::{Connector, Error, ReadLimit, Result, Rows, SequentialSource, Source, Stream, json, options};
use std::rc::Rc;

/// Rows, and the offset that they reach where the source is a sequential one.
pub struct Batch {
    pub rows: Rows,
    pub end: Option<String>,
}

pub type Batches = Box<dyn Iterator<Item = Result<Batch>>>;

/// One way to read, in the contract's terms. What a source does not have is never called by a host.
///
/// A component opens one source and ends with it, so that readers may borrow the source for as long as they like.
pub trait Kind: 'static {
    type Connector: Connector;
    const READS_RANGES: bool;

    fn latest_offset(source: &Self::Connector, start: &str, max_rows: Option<u64>) -> Result<String>;
    fn batch_end(source: &Self::Connector, start: &str, latest: &str, limit: ReadLimit) -> Result<String>;
    fn partitions(source: &Self::Connector, start: &str, end: &str) -> Result<Vec<String>>;
    fn read(source: &'static Self::Connector, partition: &str) -> Result<Batches>;
    fn read_from(source: &'static Self::Connector, start: &str, limit: ReadLimit) -> Result<Batches>;
}

/// The kind of a [`Source`].
pub struct Bounded<S>(std::marker::PhantomData<S>);

/// The kind of a [`SequentialSource`].
pub struct Sequential<S>(std::marker::PhantomData<S>);

impl<S: Source> Kind for Bounded<S> {
    type Connector = S;

    const READS_RANGES: bool = true;

    fn latest_offset(source: &S, start: &str, max_rows: Option<u64>) -> Result<String> {
        let latest = source.latest_offset(&json::read("offset", start)?, max_rows)?;
        json::write("offset", &latest)
    }

    fn batch_end(source: &S, start: &str, latest: &str, limit: ReadLimit) -> Result<String> {
        let (start, latest) = (json::read("offset", start)?, json::read("offset", latest)?);
        json::write("offset", &source.batch_end(&start, &latest, limit)?)
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

    fn read(source: &'static S, partition: &str) -> Result<Batches> {
        let batches = source.read(json::read("partition", partition)?)?;
        Ok(Box::new(batches.map(|rows| {
            Ok(Batch {
                rows: rows?,
                end: None,
            })
        })))
    }

    fn read_from(_: &'static S, _: &str, _: ReadLimit) -> Result<Batches> {
        Err(reads_otherwise::<S>("ranges"))
    }
}

impl<S: SequentialSource> Kind for Sequential<S> {
    type Connector = S;
    const READS_RANGES: bool = false;

    fn latest_offset(_: &S, _: &str, _: Option<u64>) -> Result<String> {
        Err(reads_otherwise::<S>("sequentially"))
    }

    fn batch_end(_: &S, _: &str, _: &str, _: ReadLimit) -> Result<String> {
        Err(reads_otherwise::<S>("sequentially"))
    }

    fn partitions(_: &S, _: &str, _: &str) -> Result<Vec<String>> {
        Err(reads_otherwise::<S>("sequentially"))
    }

    fn read(_: &'static S, _: &str) -> Result<Batches> {
        Err(reads_otherwise::<S>("sequentially"))
    }

    fn read_from(source: &'static S, start: &str, limit: ReadLimit) -> Result<Batches> {
        let batches = source.read_from(json::read("offset", start)?, limit)?;
        Ok(Box::new(batches.map(|batch| {
            let (rows, end) = batch?;
            let end = Some(json::write("offset", &end)?);
            Ok(Batch { rows, end })
        })))
    }
}

fn reads_otherwise<C: Connector>(how: &str) -> Error {
    Error::internal(format_args!("{} is read {how}", C::NAME))
}

pub fn discover<C: Connector>(text: &str) -> Result<Vec<Stream>> {
    match options::parse(text) {
        Ok(options) => C::discover(options),
        // What is known beforehand can be told to someone who has no options yet.
        Err(_) if !C::STREAMS.is_empty() => Ok(C::STREAMS.to_vec()),
        Err(e) => Err(e),
    }
}

/// Opens a stream, the only one where none is named, and returns what is known of it.
pub fn open<C: Connector>(stream: Option<&str>, text: &str, client: Rc<dyn Client>) -> Result<(Stream, C)> {
    let options = options::parse(text)?;
    let unknown = |what: String| Err(Error::invalid_option("stream", what));
    let stream = match (C::STREAMS, stream) {
        ([], Some(name)) => Stream {
            name: name.to_owned().into(),
            ..Stream::new("", "")
        },
        ([], None) => return unknown("name one".to_owned()),
        ([only], None) => only.clone(),
        (streams, name) => match streams.iter().find(|known| Some(&*known.name) == name) {
            Some(known) => known.clone(),
            None => {
                let names: Vec<&str> = streams.iter().map(|known| &*known.name).collect();
                let named = name.map_or_else(
                    || "name one".to_owned(),
                    |name| format!("there is no stream \"{name}\""),
                );
                return unknown(format!("{named}, of {}", names.join(", ")));
            }
        },
    };
    let source = C::open(&stream.name, options, client)?;
    Ok((source.stream().unwrap_or(stream), source))
}

pub fn initial_offset<C: Connector>(source: &C) -> Result<String> {
    json::write("offset", &source.initial_offset()?)
}

pub fn commit<C: Connector>(source: &C, end: &str) -> Result<()> {
    source.commit(&json::read("offset", end)?)
}
