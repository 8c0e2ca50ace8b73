//! An API that counts what it is asked, and can be told to misbehave.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_sdk::http::{Client, Request, Response};
use sandbar_sdk::{Connector, ReadLimit, Result, Source, options};
use serde_json::json;

use crate::{Comments, Offset, Partition};

type Fault = Box<dyn Fn(u64, u64, Response) -> Result<Response>>;

/// Rows 1 to `rows`, so that row 0 has the id 1.
pub(super) struct Remote {
    rows: Cell<u64>,
    total: Cell<bool>,
    fault: RefCell<Option<Fault>>,
    asked: RefCell<Vec<(u64, u64)>>,
}

impl Remote {
    pub(super) fn with_rows(rows: u64) -> Rc<Self> {
        let (rows, total) = (Cell::new(rows), Cell::new(true));
        Rc::new(Self {
            rows,
            total,
            fault: RefCell::default(),
            asked: RefCell::default(),
        })
    }

    pub(super) fn set_rows(&self, rows: u64) {
        self.rows.set(rows);
    }

    /// Leaves the total count out from now on.
    pub(super) fn hide_total(&self) {
        self.total.set(false);
    }

    /// Lets a function change each response, by the start and the limit of the request.
    pub(super) fn fail(&self, fault: impl Fn(u64, u64, Response) -> Result<Response> + 'static) {
        self.fault.replace(Some(Box::new(fault)));
    }

    /// Start and limit of each request since this was asked last.
    pub(super) fn asked(&self) -> Vec<(u64, u64)> {
        self.asked.take()
    }

    pub(super) fn comments(self: &Rc<Self>, more: &str) -> Comments {
        let options = format!(r#"{{"api_url":"http://api/comments"{more}}}"#);
        let remote = Rc::clone(self);
        let client: Rc<dyn Client> = Rc::new(move |request: &Request| remote.answer(request));
        Comments::open("comments", options::parse(&options).unwrap(), client).unwrap()
    }

    fn answer(&self, request: &Request) -> Result<Response> {
        let number = |name: &str| {
            let found = request.url().query_pairs().find(|(key, _)| key == name);
            found.unwrap().1.parse::<u64>().unwrap()
        };
        let (start, limit) = (number("_start"), number("_limit"));
        self.asked.borrow_mut().push((start, limit));
        let end = self.rows.get().min(start.saturating_add(limit));
        let mut response = Response::new(request, 200).with_body(page(start, end));
        if self.total.get() {
            response = response.with_header("X-Total-Count", self.rows.get().to_string());
        }
        match &*self.fault.borrow() {
            Some(fault) => fault(start, limit, response),
            None => Ok(response),
        }
    }
}

/// The rows `start` to before `end` as the API writes them.
pub(super) fn page(start: u64, end: u64) -> String {
    let row = |row: u64| {
        let (id, email) = (row + 1, format!("{row}@example.com"));
        json!({"postId": 1, "id": id, "name": format!("name {id}"), "email": email, "body": "a\nb \u{e4}"})
    };
    serde_json::to_string_pretty(&(start..end).map(row).collect::<Vec<_>>()).unwrap()
}

pub(super) fn at(current: u64) -> Offset {
    Offset { current }
}

pub(super) fn part(start: u64, end: u64) -> Partition {
    Partition { start, end }
}

pub(super) fn max_rows(rows: u64) -> ReadLimit {
    ReadLimit {
        max_rows: Some(rows),
        max_bytes: None,
    }
}

/// The end of a micro-batch, as a host finds it.
pub(super) fn end(comments: &Comments, start: u64, limit: ReadLimit) -> Result<Offset> {
    let latest = comments.latest_offset(&at(start), limit.max_rows)?;
    comments.batch_end(&at(start), &latest, limit)
}

pub(super) fn batches(comments: &Comments, partition: Partition) -> Result<Vec<RecordBatch>> {
    let schema = comments.schema()?;
    comments
        .read(partition)?
        .map(|rows| rows?.batch(&schema))
        .collect()
}

/// The ids of one partition.
pub(super) fn ids(comments: &Comments, partition: Partition) -> Result<Vec<i32>> {
    let batches = batches(comments, partition)?;
    let schema = comments.schema()?.arrow()?;
    assert!(batches.iter().all(|batch| batch.schema() == schema));
    let ids = batches.iter().flat_map(|batch| {
        batch
            .column(0)
            .as_primitive::<Int32Type>()
            .iter()
            .flatten()
            .collect::<Vec<_>>()
    });
    Ok(ids.collect())
}

/// The ids of a range, over its partitions.
pub(super) fn ids_between(comments: &Comments, start: u64, end: u64) -> Result<Vec<i32>> {
    let partitions = comments.partitions(&at(start), &at(end))?;
    let ids = partitions
        .into_iter()
        .map(|partition| ids(comments, partition))
        .collect::<Result<Vec<_>>>()?;
    Ok(ids.concat())
}

/// The ids that the rows `start` to before `end` have.
pub(super) fn expected(start: i32, end: i32) -> Vec<i32> {
    (start + 1..=end).collect()
}
