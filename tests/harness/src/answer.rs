//! Answers, right ones and wrong ones.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{Fault, RecordedRequest};

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const ERROR_PAGE: &str = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n\
    <center><h1>502 Bad Gateway</h1></center>\n</body>\n</html>\n";

pub(crate) type Answer = Response<Text>;

/// The end of a connection, on purpose.
#[derive(Debug)]
pub(crate) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

pub(crate) async fn answer(
    request: &RecordedRequest,
    rows: u64,
    fault: Option<Fault>,
) -> Result<Answer, Dropped> {
    match &fault {
        Some(Fault::Status { code, headers, body }) => return Ok(status(*code, headers, body)),
        Some(Fault::HtmlErrorPage) => return Ok(text(StatusCode::BAD_GATEWAY, HTML, ERROR_PAGE)),
        Some(Fault::NotJson) => return Ok(text(StatusCode::OK, JSON, "[{\"id\": 1, oops")),
        Some(Fault::Redirect(to)) => return Ok(redirect(to)),
        Some(Fault::DropConnection) => return Err(Dropped),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let page = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/comments") => page(request, rows, fault.as_ref()),
        ("GET", "/feed") => match feed(request, rows) {
            Some(page) => page,
            None => return Ok(text(StatusCode::GONE, JSON, "{\"error\": \"cursor expired\"}")),
        },
        _ => return Ok(text(StatusCode::NOT_FOUND, JSON, "{}")),
    };
    let page = page.to_string();
    let body = match fault {
        Some(Fault::Charset("iso-8859-1")) => page.chars().map(|char| char as u8).collect(),
        Some(Fault::Charset(_)) => page.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Some(Fault::ByteOrderMark) => format!("\u{feff}{page}").into_bytes(),
        _ => page.into_bytes(),
    };
    let mut answer = text(StatusCode::OK, JSON, body);
    let headers = answer.headers_mut();
    match &fault {
        Some(Fault::Charset(name)) => {
            let kind = HeaderValue::from_str(&format!("application/json;charset={name}"));
            headers.insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static(JSON)));
        }
        Some(Fault::ContentEncoding(name)) => {
            let name = HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("?"));
            headers.insert(CONTENT_ENCODING, name);
        }
        _ => {}
    }
    if request.parameter("_limit").is_some() && fault != Some(Fault::NoTotalHeader) {
        answer
            .headers_mut()
            .insert("x-total-count", HeaderValue::from(rows));
    }
    answer.body_mut().cut = fault == Some(Fault::CutBody);
    Ok(answer)
}

/// A page of comments with a cursor to the next one, or nothing for a cursor that was never given.
fn feed(request: &RecordedRequest, rows: u64) -> Option<Value> {
    let size = request
        .parameter("size")
        .and_then(|size| size.parse().ok())
        .unwrap_or(10);
    let start: u64 = match request.parameter("cursor") {
        Some(cursor) => cursor.strip_prefix("after-")?.parse().ok()?,
        None => 0,
    };
    let end = start.saturating_add(size);
    let items: Vec<_> = (start..end.min(rows))
        .map(|position| comment(position + 1, false))
        .collect();
    let next = (end < rows).then(|| format!("after-{end}"));
    Some(json!({"items": items, "next": next}))
}

fn page(request: &RecordedRequest, rows: u64, fault: Option<&Fault>) -> Value {
    let number = |name: &str| request.parameter(name).and_then(|text| text.parse::<u64>().ok());
    let start = match fault {
        Some(Fault::IgnoreStart) => 0,
        _ => number("_start").unwrap_or(0),
    };
    let limit = match fault {
        Some(Fault::IgnoreLimit) => u64::MAX,
        Some(Fault::ShortPage(most)) => number("_limit").unwrap_or(u64::MAX).min(*most),
        _ => number("_limit").unwrap_or(u64::MAX),
    };
    let id_as_text = fault == Some(&Fault::WrongType);
    let echo = match fault {
        Some(Fault::EchoHeader(name)) => request.header(name),
        Some(Fault::Name(name)) => Some(name.as_str()),
        Some(Fault::Charset(_)) => Some("Zürich"),
        _ => None,
    };
    let comment = |position| {
        let mut comment = comment(position + 1, id_as_text);
        if let Some(echo) = echo {
            comment["name"] = echo.into();
        }
        comment
    };
    (start..start.saturating_add(limit).min(rows))
        .map(comment)
        .collect()
}

fn comment(id: u64, id_as_text: bool) -> Value {
    json!({
        "postId": (id - 1) / 5 + 1,
        "id": if id_as_text { Value::from(id.to_string()) } else { Value::from(id) },
        "name": format!("name {id}"),
        "email": format!("user{id}@example.com"),
        "body": format!("first line of {id}\nsecond line"),
    })
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Text::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn status(code: u16, headers: &[(String, String)], body: &str) -> Answer {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = text(status, JSON, body.to_owned());
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn redirect(to: &str) -> Answer {
    let mut answer = text(StatusCode::FOUND, HTML, "");
    if let Ok(to) = to.parse::<HeaderValue>() {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

/// A body of known length that may end before it.
#[derive(Debug)]
pub(crate) struct Text {
    rest: Bytes,
    cut: bool,
    pauses: u8,
}

impl Text {
    fn new(rest: Bytes) -> Self {
        Self {
            rest,
            cut: false,
            pauses: 2,
        }
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        let this = &mut *self;
        if !this.cut {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
        }
        if this.pauses == 2 {
            this.pauses -= 1;
            let half = this.rest.split_to(this.rest.len() / 2);
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if this.pauses > 0 {
            // The server writes out what it has while it waits; an error at once would discard the first half.
            this.pauses -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Dropped)))
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
