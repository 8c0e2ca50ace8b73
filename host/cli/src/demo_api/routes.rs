//! Requests and answers.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_TYPE, HOST, HeaderValue, LINK, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value};

use super::collection::Collection;
use super::paging::{Query, Unsupported};
use super::text::ROW_CAPACITY;

/// A page up to this size is one buffer, with its length told ahead; longer lists are streamed.
const ROWS_IN_A_BUFFER: u64 = 10_000;
const MAX_POST_BYTES: usize = 10 << 20;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers one request. Other paths and methods are not found, as with json-server.
pub(super) async fn answer(
    collection: &Arc<Collection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let comment = path
        .strip_prefix("/comments")
        .map(|rest| rest.strip_prefix('/').ok_or(rest));
    Ok(match (request.method(), comment) {
        (&Method::GET | &Method::HEAD, Some(Err(""))) => list(collection, &request),
        (&Method::POST, Some(Err(""))) => post(collection, request).await,
        (&Method::GET | &Method::HEAD, Some(Ok(id))) => match collection.comment(id) {
            Some(comment) => json(StatusCode::OK, comment),
            None => json(StatusCode::NOT_FOUND, "{}"),
        },
        _ => json(StatusCode::NOT_FOUND, "{}"),
    })
}

fn list(collection: &Arc<Collection>, request: &Request<Incoming>) -> Response<Body> {
    let query = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(Unsupported(name)) => {
            return fault(
                StatusCode::BAD_REQUEST,
                &format!("this API does not know the parameter {name}"),
            );
        }
    };
    let rows = collection.rows();
    let page = query.page(rows, &url_of(request));
    let length = page.positions.end - page.positions.start;
    let mut response = if length <= ROWS_IN_A_BUFFER {
        json(StatusCode::OK, whole(collection, page.positions))
    } else {
        with_type(StatusCode::OK, streamed(collection, page.positions))
    };
    let headers = response.headers_mut();
    if page.total {
        headers.insert("x-total-count", HeaderValue::from(rows));
        let exposed = if page.links.is_some() {
            "X-Total-Count, Link"
        } else {
            "X-Total-Count"
        };
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    }
    if let Some(Ok(links)) = page.links.map(HeaderValue::try_from) {
        headers.insert(LINK, links);
    }
    response
}

async fn post(collection: &Collection, request: Request<Incoming>) -> Response<Body> {
    let url = url_of(&request);
    let Ok(body) = Limited::new(request.into_body(), MAX_POST_BYTES).collect().await else {
        return fault(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large, or it was cut",
        );
    };
    let comment = match body.to_bytes() {
        empty if empty.is_empty() => Ok(Map::new()),
        text => serde_json::from_slice::<Map<String, Value>>(&text),
    };
    let Ok(comment) = comment else {
        return fault(StatusCode::BAD_REQUEST, "the body is not a JSON object");
    };
    let Some(posted) = collection.post(comment) else {
        return fault(StatusCode::INTERNAL_SERVER_ERROR, "insert failed, duplicate id");
    };
    let mut response = json(StatusCode::CREATED, posted.json);
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Location"),
    );
    if let Ok(location) = HeaderValue::try_from(format!("{url}/{}", posted.id)) {
        headers.insert(LOCATION, location);
    }
    response
}

fn whole(collection: &Collection, positions: Range<u64>) -> Vec<u8> {
    let length = positions.end - positions.start;
    if length == 0 {
        return b"[]".to_vec();
    }
    let mut out = Vec::with_capacity(length as usize * ROW_CAPACITY + 4);
    out.extend_from_slice(b"[\n");
    collection.write(&mut out, positions, true);
    out.extend_from_slice(b"\n]");
    out
}

fn streamed(collection: &Arc<Collection>, positions: Range<u64>) -> Body {
    let collection = Arc::clone(collection);
    let start = positions.start;
    let chunks = stream::unfold(start, move |next| {
        let (collection, positions) = (Arc::clone(&collection), positions.clone());
        async move {
            let end = (next + ROWS_IN_A_BUFFER / 10).min(positions.end);
            if next == end {
                return None;
            }
            let mut out = Vec::with_capacity((end - next) as usize * ROW_CAPACITY + 4);
            if next == positions.start {
                out.extend_from_slice(b"[\n");
            }
            collection.write(&mut out, next..end, next == positions.start);
            if end == positions.end {
                out.extend_from_slice(b"\n]");
            }
            Some((Ok(Frame::data(Bytes::from(out))), end))
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(chunks))
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    with_type(status, Full::new(body.into()).boxed_unsync())
}

fn fault(status: StatusCode, message: &str) -> Response<Body> {
    json(status, format!("{:#}", serde_json::json!({ "error": message })))
}

fn with_type(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn url_of(request: &Request<Incoming>) -> String {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("127.0.0.1");
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    format!("http://{host}{target}")
}
