use sandbar_sdk::http::Pending;
use sandbar_sdk::{Error, Result, Rows, SeenPages, Selection};

use crate::api::{Api, first_id, refuse_more};
use crate::offset::Partition;
use crate::schema;

/// The rows of a partition, one batch per page. While a page is read, the next one is on its way.
pub struct Pages {
    api: Api,
    next: u64,
    end: u64,
    page_size: u64,
    ahead: Option<Pending>,
    seen: SeenPages,
}

impl Pages {
    pub(crate) fn new(api: Api, partition: Partition, page_size: u64) -> Self {
        Self {
            api,
            next: partition.start,
            end: partition.end,
            page_size,
            ahead: None,
            seen: SeenPages::default(),
        }
    }

    /// How many rows the page at `start` is asked for: never one beyond the end of the partition.
    fn wanted(&self, start: u64) -> u64 {
        self.end.saturating_sub(start).min(self.page_size)
    }

    fn send(&self, start: u64) -> Result<Pending> {
        self.api.send(start, self.wanted(start))
    }

    fn page(&mut self) -> Result<Rows> {
        let (start, wanted) = (self.next, self.wanted(self.next));
        let pending = match self.ahead.take() {
            Some(pending) => pending,
            None => self.send(start)?,
        };
        let response = pending.wait()?.error_for_status()?;
        let behind = start + wanted;
        if behind < self.end {
            self.ahead = Some(self.send(behind)?);
        }
        let rows = response.rows(&schema(), &Selection::default())?;
        let got = rows.count();
        refuse_more(&response, got, wanted)?;
        if got == 0 {
            let (request, end) = (response.request(), self.end);
            return Err(Error::malformed(format_args!(
                "{request} gave no rows, and rows {start} to {end} did exist"
            )));
        }
        if let Some(id) = first_id(&response)? {
            self.seen.check(&id, &response.request())?;
        }
        if got < wanted {
            // What was asked for ahead begins too late.
            self.ahead = None;
        }
        self.next = start + got;
        Ok(rows.into())
    }
}

impl Iterator for Pages {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.end).then(|| self.page())
    }
}
