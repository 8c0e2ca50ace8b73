//! The interfaces of the contract that a component imports.

use std::time::Duration;

use sandbar_rows::{Layout, RowsError, Selection};
use wasmtime::component::Resource;

use super::bindings::sandbar::connector::{http, log, progress_note, rows, values};
use crate::arrow::MAX_COLUMNS;
use crate::capability::http::{HeldResponse, MAX_AT_ONCE, PendingResponse, RawRequest, begin};
use crate::capability::{HeldRows, HostState, Unread};
use crate::guest_error::GuestError;

/// The most bytes of a selection: each is kept in many times its room.
const MAX_SELECTION: usize = 256 << 10;

type Answer<T> = wasmtime::Result<Result<T, values::Error>>;

impl values::Host for HostState {}

impl rows::Host for HostState {
    async fn read_json(&mut self, text: String, selection: rows::Selection) -> Answer<Resource<HeldRows>> {
        let read = selected(selection).and_then(|selection| {
            let read = self.rows.read_in_call(text.as_bytes(), selection);
            read.map_err(|e| unread(e, |e| GuestError::Malformed(format!("the text has {e}"))))
        });
        self.keep(read)
    }
}

impl rows::HostHeldRows for HostState {
    async fn count(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&rows)?.rows.num_rows() as u64)
    }

    async fn drop(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<()> {
        self.table.delete(rows)?;
        Ok(())
    }
}

impl http::Host for HostState {
    async fn send(&mut self, request: http::Request) -> Answer<Resource<HeldResponse>> {
        let response = match self.begin_request(request) {
            Ok(mut pending) => pending.wait().await,
            Err(error) => Err(error),
        };
        self.keep(response)
    }

    async fn send_all(
        &mut self,
        requests: Vec<http::Request>,
    ) -> wasmtime::Result<Vec<Result<Resource<HeldResponse>, values::Error>>> {
        let too_many = requests.len() > MAX_AT_ONCE;
        let begun: Vec<_> = requests
            .into_iter()
            .map(|request| match too_many {
                true => Err(GuestError::Internal(format!(
                    "more than {MAX_AT_ONCE} requests are sent at once"
                ))),
                false => self.begin_request(request),
            })
            .collect();
        let mut responses = Vec::with_capacity(begun.len());
        for pending in begun {
            let response = match pending {
                Ok(mut pending) => pending.wait().await,
                Err(error) => Err(error),
            };
            responses.push(self.keep(response)?);
        }
        Ok(responses)
    }

    async fn begin(&mut self, request: http::Request) -> Answer<Resource<PendingResponse>> {
        let pending = self.begin_request(request);
        self.keep(pending)
    }
}

impl http::HostPending for HostState {
    async fn wait(&mut self, pending: Resource<PendingResponse>) -> Answer<Resource<HeldResponse>> {
        let response = self.table.get_mut(&pending)?.wait().await;
        self.keep(response)
    }

    async fn drop(&mut self, pending: Resource<PendingResponse>) -> wasmtime::Result<()> {
        self.table.delete(pending)?;
        Ok(())
    }
}

impl http::HostResponse for HostState {
    async fn request(&mut self, response: Resource<HeldResponse>) -> wasmtime::Result<String> {
        Ok(self.table.get(&response)?.request().to_owned())
    }

    async fn status(&mut self, response: Resource<HeldResponse>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&response)?.status())
    }

    async fn headers(
        &mut self,
        response: Resource<HeldResponse>,
    ) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let headers = self.table.get(&response)?.headers();
        Ok(headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    async fn header(
        &mut self,
        response: Resource<HeldResponse>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&response)?.header(&name).map(str::to_owned))
    }

    async fn error_for_status(&mut self, response: Resource<HeldResponse>) -> Answer<()> {
        Ok(self.table.get(&response)?.error_for_status().map_err(Into::into))
    }

    async fn size(&mut self, response: Resource<HeldResponse>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&response)?.body().len() as u64)
    }

    async fn body(&mut self, response: Resource<HeldResponse>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&response)?.body().to_vec())
    }

    async fn value(&mut self, response: Resource<HeldResponse>, pointer: String) -> Answer<Option<String>> {
        Ok(self.table.get(&response)?.value(&pointer).map_err(Into::into))
    }

    async fn count(&mut self, response: Resource<HeldResponse>, pointer: String) -> Answer<Option<u64>> {
        Ok(self.table.get(&response)?.count(&pointer).map_err(Into::into))
    }

    async fn rows(
        &mut self,
        response: Resource<HeldResponse>,
        selection: rows::Selection,
    ) -> Answer<Resource<HeldRows>> {
        let response = self.table.get(&response)?;
        let read = selected(selection).and_then(|selection| {
            let text = response.text()?;
            let read = self.rows.read_in_call(&text, selection);
            read.map_err(|e| unread(e, |e| response.unreadable(e)))
        });
        self.keep(read)
    }

    async fn drop(&mut self, response: Resource<HeldResponse>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

impl progress_note::Host for HostState {
    async fn load(&mut self) -> Answer<Option<String>> {
        Ok(self.progress_note.load().await.map_err(values::Error::Internal))
    }

    async fn save(&mut self, note: String) -> Answer<()> {
        Ok(self
            .progress_note
            .save(&note)
            .await
            .map_err(values::Error::Internal))
    }
}

impl log::Host for HostState {
    async fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => tracing::Level::TRACE,
            log::Level::Debug => tracing::Level::DEBUG,
            log::Level::Info => tracing::Level::INFO,
            log::Level::Warn => tracing::Level::WARN,
            log::Level::Error => tracing::Level::ERROR,
        };
        self.log.log(level, &message);
        Ok(())
    }
}

impl HostState {
    fn begin_request(&self, request: http::Request) -> Result<PendingResponse, GuestError> {
        let request = RawRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout_ms.map(Duration::from_millis),
        };
        begin(&self.session, &self.memory, request)
    }

    /// Gives the component a handle to what it asked for.
    fn keep<T: Send + 'static>(&mut self, asked: Result<T, GuestError>) -> Answer<Resource<T>> {
        match asked {
            Ok(value) => Ok(Ok(self.table.push(value)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

fn selected(raw: rows::Selection) -> Result<Selection, GuestError> {
    let refuse = |e: RowsError| GuestError::Internal(e.to_string());
    let text = |source: &rows::ColumnSource| match source {
        rows::ColumnSource::Value(text)
        | rows::ColumnSource::JsonText(text)
        | rows::ColumnSource::Constant(text) => text.len(),
    };
    let texts = raw
        .columns
        .iter()
        .map(|column| column.name.len() + text(&column.source));
    let bytes = raw.path.len() + texts.sum::<usize>();
    if raw.columns.len() > MAX_COLUMNS || bytes > MAX_SELECTION {
        return Err(GuestError::Internal(format!(
            "a selection has {} columns in {bytes} bytes; {MAX_COLUMNS} in {MAX_SELECTION} are allowed",
            raw.columns.len()
        )));
    }
    let layout = match raw.layout {
        rows::Layout::Array => Layout::Array,
        rows::Layout::Lines => Layout::Lines,
        rows::Layout::Object => Layout::Object,
    };
    let selection = Selection::at(&raw.path, layout).map_err(refuse)?;
    let mut selection = selection.within(raw.skip, raw.max_rows);
    for column in raw.columns {
        selection = match column.source {
            rows::ColumnSource::Value(pointer) => selection.with_value(column.name, &pointer),
            rows::ColumnSource::JsonText(pointer) => selection.with_json(column.name, &pointer),
            rows::ColumnSource::Constant(json) => Ok(selection.with_constant(column.name, json)),
        }
        .map_err(refuse)?;
    }
    Ok(selection)
}

fn unread(error: Unread, of_rows: impl FnOnce(RowsError) -> GuestError) -> GuestError {
    match error {
        Unread::Rows(error @ (RowsError::Json(_) | RowsError::NoRows { .. })) => of_rows(error),
        Unread::Rows(error) => GuestError::Internal(error.to_string()),
        Unread::TooLarge => GuestError::Internal("the rows take more than they may".into()),
        Unread::Memory => GuestError::Internal("no memory is left for the rows".into()),
        Unread::NoSchema => GuestError::Internal("rows are read before the schema is known".into()),
    }
}
