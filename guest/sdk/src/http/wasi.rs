//! Requests through the host, over `wasi:http`.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    DnsErrorPayload, ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, InputStream,
    Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

use super::{Client, Pending, Request, Response, WasiHttp};
use crate::{Error, Result};

/// What is asked for in one read of a body.
const CHUNK: u64 = 1 << 20;

/// What one write to a request's body may take.
const WRITE: usize = 4096;

impl Client for WasiHttp {
    fn send(&self, request: &Request) -> Result<Pending> {
        let outgoing = outgoing(request)?;
        // A request without a body never opens one: writing an empty body races with the response.
        let body = match &request.body {
            Some(_) => Some(outgoing.body().map_err(|()| fault(request, "its body"))?),
            None => None,
        };
        let options = options(request);
        let sent =
            outgoing_handler::handle(outgoing, Some(options)).map_err(|code| failed(request, &code))?;
        if let Some(body) = body {
            write(request, body)?;
        }
        let request = request.clone();
        Ok(Pending::new(move || {
            sent.subscribe().block();
            let incoming = take(&request, &sent)?;
            respond(request, &incoming)
        }))
    }
}

fn outgoing(request: &Request) -> Result<OutgoingRequest> {
    let headers = Fields::new();
    for (name, value) in &request.headers {
        let added = headers.append(name, value.as_bytes());
        added.map_err(|error| fault(request, format_args!("header {name}: {error}")))?;
    }
    let url = &request.url;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let mut authority = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        authority.push_str(&format!(":{port}"));
    }
    let mut path = url.path().to_owned();
    if let Some(query) = url.query() {
        path.push('?');
        path.push_str(query);
    }
    let outgoing = OutgoingRequest::new(headers);
    let set = outgoing
        .set_method(&method(&request.method))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&path)));
    set.map_err(|()| fault(request, "its method or URL"))?;
    Ok(outgoing)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn options(request: &Request) -> RequestOptions {
    let options = RequestOptions::new();
    let nanos = request
        .timeout
        .and_then(|timeout| u64::try_from(timeout.as_nanos()).ok());
    // A host that can't set it has a bound of its own.
    let _ = options.set_first_byte_timeout(nanos);
    options
}

fn write(request: &Request, body: OutgoingBody) -> Result<()> {
    let stream = body.write().map_err(|()| fault(request, "its body"))?;
    for chunk in request.body.as_deref().unwrap_or_default().chunks(WRITE) {
        // The response tells more than a body that was not taken.
        if stream.blocking_write_and_flush(chunk).is_err() {
            break;
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| failed(request, &code))
}

fn take(request: &Request, sent: &FutureIncomingResponse) -> Result<IncomingResponse> {
    match sent.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(failed(request, &code)),
        Some(Err(())) | None => Err(fault(request, "the host gave no response")),
    }
}

fn respond(request: Request, incoming: &IncomingResponse) -> Result<Response> {
    let mut response = Response::new(&request, incoming.status());
    for (name, value) in incoming.headers().entries() {
        response = response.with_header(name, String::from_utf8_lossy(&value));
    }
    let body = incoming
        .consume()
        .map_err(|()| fault(&request, "the host gave no body"))?;
    let stream = body
        .stream()
        .map_err(|()| fault(&request, "the host gave no body"))?;
    Ok(response.with_chunks(Box::new(Body {
        stream: Some(stream),
        _body: body,
        request,
    })))
}

/// A body, as chunks. The stream is a child of the body, and so comes before it.
struct Body {
    stream: Option<InputStream>,
    _body: IncomingBody,
    request: Request,
}

impl Iterator for Body {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.stream.as_ref()?.blocking_read(CHUNK) {
            Ok(chunk) => Some(Ok(chunk)),
            Err(StreamError::Closed) => {
                self.stream = None;
                None
            }
            Err(StreamError::LastOperationFailed(error)) => {
                let failure = match http_error_code(&error) {
                    Some(code) => failed(&self.request, &code),
                    None => {
                        let what = error.to_debug_string();
                        Error::unavailable(format_args!("{} broke off: {what}", self.request))
                    }
                };
                drop(error);
                self.stream = None;
                Some(Err(failure))
            }
        }
    }
}

fn failed(request: &Request, code: &ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            Error::internal(format_args!("{request} was refused by the host: {}", name(code)))
        }
        ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => Error::internal(format_args!(
            "{request} is not a request that can be sent: {}",
            name(code)
        )),
        ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_)
        | ErrorCode::HttpResponseTransferCoding(_)
        | ErrorCode::HttpResponseContentCoding(_)
        | ErrorCode::HttpUpgradeFailed => Error::malformed(format_args!(
            "{request} gave a response that can't be taken: {}",
            name(code)
        )),
        _ => Error::unavailable(format_args!("{request} failed: {}", name(code))),
    }
}

fn fault(request: &Request, what: impl std::fmt::Display) -> Error {
    Error::internal(format_args!("{request} can't be sent: {what}"))
}

/// What the host says in words, or else the name that the contract of `wasi:http` gives it, and what is known beside.
fn name(code: &ErrorCode) -> String {
    if let ErrorCode::InternalError(Some(words)) | ErrorCode::HttpResponseContentCoding(Some(words)) = code {
        return words.clone();
    }
    if let ErrorCode::DnsError(DnsErrorPayload {
        rcode: Some(words), ..
    }) = code
    {
        return words.clone();
    }
    format!("{code:?}").replace("ErrorCode::", "")
}
