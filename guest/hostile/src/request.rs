use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

use crate::Asked;
use crate::bindings::generated::sandbar::connector::http;

/// The request as the contract's own interface takes it.
pub(crate) fn direct(asked: &Asked) -> http::Request {
    http::Request {
        method: if asked.method.is_empty() {
            "GET"
        } else {
            &asked.method
        }
        .to_owned(),
        url: format!("http://{}{}", asked.authority, asked.path),
        headers: asked.headers.clone(),
        body: None,
        timeout_ms: None,
    }
}

/// Sends a request as it is told, and takes no notice of what it is refused on the way.
pub(crate) fn send(asked: &Asked) -> Result<(), String> {
    let mut told = vec![];
    let headers = Fields::new();
    for (name, value) in &asked.headers {
        if let Err(error) = headers.append(name, value.as_bytes()) {
            told.push(format!("header {name:?}: {error:?}"));
        }
    }
    let request = OutgoingRequest::new(headers);
    let method = match asked.method.as_str() {
        "" => Method::Get,
        other => Method::Other(other.to_owned()),
    };
    for (what, set) in [
        ("method", request.set_method(&method)),
        ("scheme", request.set_scheme(Some(&Scheme::Http))),
        ("authority", request.set_authority(Some(&asked.authority))),
        ("path", request.set_path_with_query(Some(&asked.path))),
    ] {
        if set.is_err() {
            told.push(format!("{what} refused"));
        }
    }
    let outcome = match outgoing_handler::handle(request, None) {
        Err(error) => format!("not sent: {error:?}"),
        Ok(sent) => {
            sent.subscribe().block();
            match sent.get() {
                Some(Ok(Ok(response))) => format!("answered with {}", response.status()),
                Some(Ok(Err(error))) => format!("failed: {error:?}"),
                _ => "no answer".to_owned(),
            }
        }
    };
    told.push(outcome);
    Err(told.join("; "))
}
