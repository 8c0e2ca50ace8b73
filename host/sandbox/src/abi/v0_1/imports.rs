//! The interfaces of the contract that a component imports.

use std::time::Duration;

use sandbar_rows::Layout;
use wasmtime::component::Resource;

use super::bindings::sandbar::connector::{http, log, progress_note, rows, values};
use crate::capability::http::{HeldResponse, PendingResponse, RawRequest};
use crate::capability::{HeldRows, HostState, RawColumn, RawSelection};

type Answer<T> = wasmtime::Result<Result<T, values::Error>>;

impl values::Host for HostState {}

impl rows::Host for HostState {
    async fn read_json(&mut self, text: String, selection: rows::Selection) -> Answer<Resource<HeldRows>> {
        let read = self.rows.read_text(&text, selection.into());
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
        let response = self.send_request(request.into()).await;
        self.keep(response)
    }

    async fn send_all(
        &mut self,
        requests: Vec<http::Request>,
    ) -> wasmtime::Result<Vec<Result<Resource<HeldResponse>, values::Error>>> {
        let requests = requests.into_iter().map(RawRequest::from).collect();
        let responses = self.send_requests(requests).await.into_iter();
        responses.map(|response| self.keep(response)).collect()
    }

    async fn begin(&mut self, request: http::Request) -> Answer<Resource<PendingResponse>> {
        let pending = self.begin_request(request.into());
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
        let read = self.rows.read_response(response, selection.into());
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

impl From<http::Request> for RawRequest {
    fn from(request: http::Request) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout_ms.map(Duration::from_millis),
        }
    }
}

impl From<rows::Selection> for RawSelection {
    fn from(selection: rows::Selection) -> Self {
        let columns = selection.columns.into_iter();
        Self {
            path: selection.path,
            layout: match selection.layout {
                rows::Layout::Array => Layout::Array,
                rows::Layout::Lines => Layout::Lines,
                rows::Layout::Object => Layout::Object,
            },
            columns: columns
                .map(|column| (column.name, column.source.into()))
                .collect(),
            skip: selection.skip,
            max_rows: selection.max_rows,
        }
    }
}

impl From<rows::ColumnSource> for RawColumn {
    fn from(source: rows::ColumnSource) -> Self {
        match source {
            rows::ColumnSource::Value(pointer) => Self::Value(pointer),
            rows::ColumnSource::JsonText(pointer) => Self::JsonText(pointer),
            rows::ColumnSource::Constant(json) => Self::Constant(json),
        }
    }
}
