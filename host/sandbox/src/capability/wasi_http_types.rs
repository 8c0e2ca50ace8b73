//! Functions of `wasi:http/types` that keep a component's text on the host's side for as long as it likes. What crosses
//! the wall in one call is bounded; these bound what stays of many. And the one that says what went wrong.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostOutgoingRequest as _, Method, Scheme};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{Error, FieldMap, WasiHttpView};

use super::HostState;

/// The name under which wasmtime-wasi-http links them. A test holds that the functions here are the ones that are called.
const TYPES: &str = "wasi:http/types@0.2.12";

/// The longest host and port: a name of DNS has 253 bytes.
const MAX_AUTHORITY: usize = 1 << 10;
/// The longest path with its query. No server takes more.
const MAX_PATH: usize = 64 << 10;
/// The longest name of a method or a scheme.
const MAX_WORD: usize = 64;

type Request = Resource<HostOutgoingRequest>;
type Set = (Result<(), ()>,);

/// Puts these functions in the place of the ones that are there.
pub(super) fn shadow(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap("[constructor]outgoing-request", new_request)?;
    types.func_wrap("[method]outgoing-request.set-method", set_method)?;
    types.func_wrap("[method]outgoing-request.set-path-with-query", set_path)?;
    types.func_wrap("[method]outgoing-request.set-scheme", set_scheme)?;
    types.func_wrap("[method]outgoing-request.set-authority", set_authority)?;
    types.func_wrap("http-error-code", error_code)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn new_request(
    mut store: StoreContextMut<'_, HostState>,
    (headers,): (Resource<FieldMap>,),
) -> wasmtime::Result<(Request,)> {
    let mut view = store.data_mut().http();
    let request = view.new(headers)?;
    // Without any, wasmtime-wasi-http writes a line to the log at each attempt to send it.
    view.table.get_mut(&request)?.path_with_query = Some("/".into());
    Ok((request,))
}

fn set_method(
    mut store: StoreContextMut<'_, HostState>,
    (request, method): (Request, Method),
) -> wasmtime::Result<Set> {
    let other = match &method {
        Method::Other(name) => Some(name.as_str()),
        _ => None,
    };
    store.data().check_length("method", other, MAX_WORD)?;
    Ok((store.data_mut().http().set_method(request, method)?,))
}

fn set_path(
    mut store: StoreContextMut<'_, HostState>,
    (request, path): (Request, Option<String>),
) -> wasmtime::Result<Set> {
    store.data().check_length("path", path.as_deref(), MAX_PATH)?;
    let path = path.or_else(|| Some("/".into()));
    Ok((store.data_mut().http().set_path_with_query(request, path)?,))
}

fn set_scheme(
    mut store: StoreContextMut<'_, HostState>,
    (request, scheme): (Request, Option<Scheme>),
) -> wasmtime::Result<Set> {
    let other = match &scheme {
        Some(Scheme::Other(name)) => Some(name.as_str()),
        _ => None,
    };
    store.data().check_length("scheme", other, MAX_WORD)?;
    Ok((store.data_mut().http().set_scheme(request, scheme)?,))
}

fn set_authority(
    mut store: StoreContextMut<'_, HostState>,
    (request, authority): (Request, Option<String>),
) -> wasmtime::Result<Set> {
    store
        .data()
        .check_length("authority", authority.as_deref(), MAX_AUTHORITY)?;
    Ok((store.data_mut().http().set_authority(request, authority)?,))
}

/// Why a body ended. wasmtime-wasi-http tells it of no error that comes from here, so that a component takes each for one
/// that may not come again; a body that can't be decoded is none of these.
fn error_code(
    mut store: StoreContextMut<'_, HostState>,
    (error,): (Resource<wasmtime::Error>,),
) -> wasmtime::Result<(Option<ErrorCode>,)> {
    let error = store.data_mut().http().table.get(&error)?;
    Ok((match error.downcast_ref::<Error>() {
        Some(Error::HttpResponseContentCoding(why)) => {
            Some(ErrorCode::HttpResponseContentCoding(why.clone()))
        }
        _ => error.downcast_ref::<ErrorCode>().cloned(),
    },))
}

impl HostState {
    fn check_length(&self, what: &str, text: Option<&str>, max: usize) -> wasmtime::Result<()> {
        let length = text.map_or(0, str::len);
        if length > max {
            let reason = format!("the {what} of a request has {length} bytes; {max} are allowed");
            self.record_http_violation(reason.clone());
            wasmtime::bail!(reason);
        }
        Ok(())
    }
}
