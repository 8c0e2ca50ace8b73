//! HTTP to granted origins: `wasi:http` over the session that `sandbar-egress` gives each instance.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use sandbar_egress::{HttpError, HttpSession, Timeouts};
use sandbar_policy::Violation;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks,
};

use super::{Capability, HostState, wasi_http_types};

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[
        ("wasi:http/types", "HTTP requests to granted origins"),
        ("wasi:http/outgoing-handler", "HTTP requests to granted origins"),
    ],
    add_to_linker,
};

/// Bytes of a request's body that a component may write before they are read. Each handle may be a body.
const BODY_CHUNK: usize = 16 << 10;

/// Bytes of one set of headers that a component makes. Each handle may be one.
const MAX_FIELDS: usize = 64 << 10;

type Outcome = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// The network as one instance may use it.
pub(super) struct HttpCapability(HttpSession);

pub(super) fn context() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(MAX_FIELDS);
    context
}

fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasi_http_types::shadow(linker)
}

impl HttpCapability {
    pub(super) fn new(session: HttpSession) -> Self {
        Self(session)
    }

    pub(super) fn begin_call(&self, call: &str) {
        self.0.usage().begin_call(call);
    }

    pub(super) fn take_usage(&self) -> (u64, u64) {
        self.0.usage().take()
    }

    pub(super) fn record(&self, violation: Violation) {
        self.0.violations().record(violation);
    }
}

impl WasiHttpHooks for HttpCapability {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(self.0.forbidden_headers())
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        let options = options.unwrap_or_default();
        let timeouts = Timeouts {
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let sent = self.0.clone().send(request, timeouts);
        Box::new(async move {
            let response = sent.await.map_err(to_wasi)?;
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response.map(|body| body.map_err(to_wasi).boxed_unsync()), io))
        })
    }
}

/// The error as `wasi:http` has it.
fn to_wasi(error: HttpError) -> Error {
    match error {
        HttpError::Denied => Error::HttpRequestDenied,
        HttpError::InvalidUrl => Error::HttpRequestUriInvalid,
        HttpError::Dns(reason) => Error::DnsError {
            rcode: Some(reason),
            info_code: None,
        },
        HttpError::ConnectionRefused => Error::ConnectionRefused,
        HttpError::ConnectionTimeout => Error::ConnectionTimeout,
        HttpError::ReadTimeout => Error::ConnectionReadTimeout,
        HttpError::ConnectionTerminated => Error::ConnectionTerminated,
        HttpError::Protocol => Error::HttpProtocolError,
        HttpError::ResponseTimeout => Error::HttpResponseTimeout,
        HttpError::ResponseIncomplete => Error::HttpResponseIncomplete,
        HttpError::ResponseBodySize => Error::HttpResponseBodySize(None),
        HttpError::ResponseHeaderSize => Error::HttpResponseHeaderSectionSize(None),
        HttpError::ContentCoding(reason) => Error::HttpResponseContentCoding(Some(reason)),
        HttpError::RequestBodySize(max) => Error::HttpRequestBodySize(Some(max)),
        HttpError::Internal(reason) => Error::InternalError(reason),
        _ => Error::InternalError(None),
    }
}
