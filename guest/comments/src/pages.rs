use sandbar_sdk::arrow::RecordBatch;
use sandbar_sdk::http::{MAX_BODY, Pending};
use sandbar_sdk::{Error, Result, SeenPages};

use crate::api::Api;
use crate::offset::Partition;
use crate::rows;

/// The rows of a partition, one batch per page. While a page is parsed, the next one is on its way.
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

    fn page(&mut self) -> Result<RecordBatch> {
        let (start, wanted) = (self.next, self.wanted(self.next));
        let pending = match self.ahead.take() {
            Some(pending) => pending,
            None => self.send(start)?,
        };
        let response = pending.wait()?.error_for_status()?;
        let request = response.request().to_owned();
        let body = response.utf8(MAX_BODY)?;
        let behind = start + wanted;
        if behind < self.end {
            self.ahead = Some(self.send(behind)?);
        }
        let page = rows::parse(&body, start, wanted, &request)?;
        let got = page.num_rows() as u64;
        if got == 0 {
            let end = self.end;
            return Err(Error::malformed(format_args!(
                "{request} gave no rows, and rows {start} to {end} did exist"
            )));
        }
        if let Some(ids) = rows::ids(&page) {
            self.seen.check(ids, &request)?;
        }
        if got < wanted {
            // What was asked for ahead begins too late.
            self.ahead = None;
        }
        self.next = start + got;
        Ok(page)
    }
}

impl Iterator for Pages {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.end).then(|| self.page())
    }
}
