//! The exports.

use std::cell::RefCell;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Flaw;
use crate::bindings::generated::exports::sandbar::connector::sources as wit;
use crate::bindings::generated::sandbar::connector::values::{Failure, Helper};
use crate::bindings::generated::sandbar::connector::{http, progress_note};

/// Rows that one look for an end asks for at most.
const LOOK: u64 = 10_000;

struct Comments;

/// The stream, with its options.
struct Opened(Options);

#[derive(Clone, Deserialize)]
struct Options {
    api_url: String,
    #[serde(default)]
    rows_per_batch: Option<u64>,
    #[serde(default)]
    page_size: Option<u64>,
    #[serde(default)]
    flaw: Option<Flaw>,
}

#[derive(Clone, Copy, Deserialize)]
struct Offset {
    current: u64,
}

/// Pages that are left to be read.
struct Reading {
    options: Options,
    pages: RefCell<VecDeque<(u64, u64)>>,
}

impl wit::Guest for Comments {
    type Source = Opened;
    type Pages = Reading;

    fn introduce() -> wit::About {
        let elsewhere = json!({"x-sandbar-identity": false});
        let options = json!({"type": "object", "required": ["api_url"], "properties": {
            "api_url": {"type": "string"},
            "rows_per_batch": elsewhere,
            "page_size": elsewhere,
            "flaw": elsewhere,
        }});
        wit::About {
            id: "comments".to_owned(),
            release: (0, 2, 0),
            options: options.to_string(),
        }
    }

    fn tables(options: String) -> Result<Vec<wit::Table>, Failure> {
        let count = match parse::<Options>(Helper::Options, &options)?.flaw {
            Some(Flaw::Tables(count)) => count,
            _ => 1,
        };
        Ok(vec![table("comments"); count as usize])
    }
}

impl wit::GuestSource for Opened {
    fn open(_: Option<String>, options: String) -> Result<wit::Source, Failure> {
        Ok(wit::Source::new(Self(parse(Helper::Options, &options)?)))
    }

    fn table(&self) -> wit::Table {
        match &self.0.flaw {
            Some(Flaw::OtherTable(title)) => table(title),
            _ => table("comments"),
        }
    }

    fn columns(&self) -> Result<String, Failure> {
        Ok(match &self.0.flaw {
            Some(Flaw::Columns(columns)) => columns.clone(),
            _ => "id int, name string, email string, body string".to_owned(),
        })
    }

    fn probe(&self) -> Result<(), Failure> {
        self.0.rows(0, 1).map(drop)
    }

    fn begin(&self) -> Result<String, Failure> {
        Ok(match &self.0.flaw {
            Some(Flaw::Begin(offset)) => offset.clone(),
            Some(Flaw::NoteEarly) => {
                // It goes on as if nothing were.
                let _ = progress_note::keep("{\"current\": 5}");
                offset(0)
            }
            _ => offset(0),
        })
    }

    fn end(&self, start: String, latest: Option<String>, limit: wit::Limit) -> Result<String, Failure> {
        self.0.harm()?;
        let Offset { current } = parse(Helper::Position, &start)?;
        let end = match latest {
            Some(latest) => {
                let latest = parse::<Offset>(Helper::Position, &latest)?.current;
                let most = [limit.rows, self.0.rows_per_batch].into_iter().flatten().min();
                latest.min(current.saturating_add(most.unwrap_or(u64::MAX)))
            }
            None => {
                let most = limit.rows.unwrap_or(LOOK).min(LOOK);
                current + self.0.rows(current, most)?.len() as u64
            }
        };
        Ok(offset(end))
    }

    fn parts(&self, start: String, end: String) -> Result<Vec<String>, Failure> {
        match &self.0.flaw {
            Some(Flaw::Parts(count)) => return Ok(vec!["0".to_owned(); *count as usize]),
            Some(Flaw::Part(part)) => return Ok(vec![part.clone()]),
            _ => {}
        }
        let start = parse::<Offset>(Helper::Position, &start)?.current;
        let end = parse::<Offset>(Helper::Position, &end)?.current;
        let middle = start + (end - start) / 2;
        let parts = [(start, middle), (middle, end)];
        let parts = parts.into_iter().filter(|(from, to)| from < to);
        Ok(parts.map(|part| json!(part).to_string()).collect())
    }

    fn read(&self, piece: wit::Piece) -> Result<wit::Pages, Failure> {
        let wit::Piece::Part(part) = piece else {
            let says = "it is read by ranges".to_owned();
            return Err(Failure::Never((Helper::Author, says)));
        };
        let (start, end) = parse::<(u64, u64)>(Helper::Author, &part)?;
        let size = self.0.page_size.unwrap_or(100).max(1);
        let pages = (start..end).step_by(size as usize);
        let pages = pages.map(|from| (from, size.min(end - from))).collect();
        Ok(wit::Pages::new(Reading {
            options: self.0.clone(),
            pages: RefCell::new(pages),
        }))
    }

    fn done(&self, end: String) -> Result<(), Failure> {
        match &self.0.flaw {
            Some(Flaw::Note(note)) => progress_note::keep(note),
            _ => progress_note::keep(&end),
        }
    }
}

impl wit::GuestPages for Reading {
    fn next(&self) -> Result<Option<wit::Page>, Failure> {
        let page = |rows| Ok(Some(wit::Page { rows, end: None }));
        if self.options.flaw == Some(Flaw::EmptyPages) {
            return page("[]".to_owned());
        }
        let Some((start, limit)) = self.pages.borrow_mut().pop_front() else {
            return Ok(None);
        };
        match &self.options.flaw {
            Some(Flaw::Rows(rows)) => page(rows.clone()),
            _ => page(http::get(&self.options.page(start, limit))?),
        }
    }
}

impl Options {
    fn page(&self, start: u64, limit: u64) -> String {
        format!("{}?_start={start}&_limit={limit}", self.api_url)
    }

    fn rows(&self, start: u64, limit: u64) -> Result<Vec<Value>, Failure> {
        parse(Helper::Remote, &http::get(&self.page(start, limit))?)
    }

    fn harm(&self) -> Result<(), Failure> {
        match &self.flaw {
            Some(Flaw::Spin) => {
                let mut round = 0_u64;
                loop {
                    round = std::hint::black_box(round.wrapping_add(1));
                }
            }
            Some(Flaw::Allocate) => {
                let mut kept = vec![];
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&kept);
                }
            }
            #[allow(clippy::panic)]
            Some(Flaw::Panic) => panic!("its last words"),
            Some(Flaw::Fail(text)) => Err(Failure::Never((Helper::Author, text.clone()))),
            Some(Flaw::Ask(url)) => http::get(url).map(drop),
            _ => Ok(()),
        }
    }
}

fn table(title: &str) -> wit::Table {
    wit::Table {
        title: title.to_owned(),
        keyed_by: vec!["id".to_owned()],
        ranged: true,
    }
}

fn offset(current: u64) -> String {
    json!({"current": current}).to_string()
}

fn parse<T: serde::de::DeserializeOwned>(helper: Helper, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Never((helper, error.to_string())))
}

#[allow(unsafe_code)]
const _: () = {
    crate::bindings::generated::export_source!(Comments with_types_in crate::bindings::generated);
};
