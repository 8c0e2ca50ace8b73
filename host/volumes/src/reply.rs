//! What the server sends, checked. Pure functions: nothing in here asks for anything.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LAST_MODIFIED};
use serde::Deserialize;

/// The longest token for a further page, in bytes: it has to go into an address.
const MAX_TOKEN: usize = 8 * 1024;
/// Characters of a server's message that are shown.
const SHOWN: usize = 200;

/// One page of a folder.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Asks for the page behind it.
    pub(super) next: Option<String>,
}

/// A file or folder in a folder.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// Without the folder's path; never empty, relative or with a slash.
    pub(super) name: String,
    pub(super) is_directory: bool,
    pub(super) size: u64,
    pub(super) modified: DateTime<Utc>,
}

#[derive(Deserialize)]
struct RawPage {
    #[serde(default)]
    contents: Vec<RawEntry>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct RawEntry {
    path: String,
    #[serde(default)]
    is_directory: bool,
    file_size: Option<i64>,
    last_modified: Option<i64>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    message: String,
}

/// Reads a page of the folder `folder`.
///
/// # Errors
/// It is none, or holds what can't lie in that folder.
pub(super) fn page(body: &[u8], folder: &str) -> Result<Page, String> {
    let raw: RawPage = serde_json::from_slice(body).map_err(|e| format!("no page of a folder: {e}"))?;
    if raw
        .next_page_token
        .as_ref()
        .is_some_and(|token| token.len() > MAX_TOKEN)
    {
        return Err(format!("a page token of more than {MAX_TOKEN} bytes"));
    }
    let entries = raw.contents.into_iter().map(|raw| entry(raw, folder));
    Ok(Page {
        entries: entries.collect::<Result<_, _>>()?,
        next: raw.next_page_token.filter(|token| !token.is_empty()),
    })
}

/// The longest name in a folder, in bytes. Stores have a bound of about that size for whole paths.
const MAX_NAME: usize = 1024;

fn entry(raw: RawEntry, folder: &str) -> Result<Entry, String> {
    let foreign = || format!("{:?} does not lie in {folder:?}", shown(&raw.path));
    let below = raw.path.strip_prefix(folder).ok_or_else(foreign)?;
    let name = below.strip_prefix('/').ok_or_else(foreign)?;
    let name = match raw.is_directory {
        true => name.strip_suffix('/').unwrap_or(name),
        false => name,
    };
    let unfit = matches!(name, "" | "." | "..")
        || name.len() > MAX_NAME
        || name.contains('/')
        || name.chars().any(char::is_control);
    if unfit {
        return Err(foreign());
    }
    let size =
        u64::try_from(raw.file_size.unwrap_or(0)).map_err(|_| "a file with a negative size".to_owned())?;
    Ok(Entry {
        name: name.to_owned(),
        is_directory: raw.is_directory,
        size,
        modified: raw
            .last_modified
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or_default(),
    })
}

/// When a file was last written, by its headers; 1970 when they do not say.
pub(super) fn modified(headers: &HeaderMap) -> DateTime<Utc> {
    let text = headers.get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
    text.and_then(|text| httpdate::parse_http_date(text).ok())
        .map(DateTime::<Utc>::from)
        .unwrap_or_default()
}

/// The length of a file, by its headers.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether it is a page for people: a login, a proxy's error. The API never gives one.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// What an error's body says, fit to be shown behind its status: the code and the message, or the beginning of
/// whatever it is. The token is never in it, even if the server sends it back.
pub(super) fn said(headers: &HeaderMap, body: &[u8], token: &str) -> String {
    let text = match serde_json::from_slice::<RawError>(body) {
        Ok(RawError { error_code, message }) => match (error_code.is_empty(), message.is_empty()) {
            (false, false) => format!("{error_code}: {message}"),
            _ => error_code + &message,
        },
        Err(_) if is_html(headers) => format!("(a page for people) {}", String::from_utf8_lossy(body)),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = shown(&text.replace(token, "***"));
    match text.is_empty() {
        true => text,
        false => format!(" {text}"),
    }
}

/// The error's code, where it has one.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let raw: RawError = serde_json::from_slice(body).ok()?;
    Some(raw.error_code).filter(|code| !code.is_empty())
}

/// For `fuzzing`: reads a body in every way, and asserts what callers rely on.
pub(crate) fn fuzz(body: &[u8]) -> bool {
    const TOKEN: &str = "dapi0123456789";
    let said = said(&HeaderMap::new(), body, TOKEN);
    assert!(
        said.chars().count() <= SHOWN + 2,
        "{} bytes are shown",
        said.len()
    );
    assert!(
        !said.contains(TOKEN) && !said.chars().any(char::is_control),
        "{said:?}"
    );
    assert_ne!(error_code(body).as_deref(), Some(""), "a code that is none");
    let Ok(page) = page(body, "/Volumes/a/b/c") else {
        return false;
    };
    for Entry { name, .. } in &page.entries {
        let path = object_store::path::Path::from_iter([name.as_str()]);
        assert!(!path.as_ref().is_empty() && !name.contains('/'), "{name:?}");
    }
    assert!(
        page.next
            .is_none_or(|token| (1..=MAX_TOKEN).contains(&token.len())),
        "a token that no address can hold"
    );
    true
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    let flat: Vec<_> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let flat = flat.join(" ");
    match flat.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", flat.get(..end).unwrap_or_default()),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const FOLDER: &str = "/Volumes/a/b/c";

    #[test]
    fn a_page_is_read() {
        let body = br#"{"contents":[
            {"path":"/Volumes/a/b/c/offsets","is_directory":true,"name":"offsets"},
            {"path":"/Volumes/a/b/c/old/","is_directory":true},
            {"path":"/Volumes/a/b/c/n 1%","is_directory":false,"file_size":7,"last_modified":1000,"more":[]}
        ],"next_page_token":"x"}"#;
        let page = page(body, FOLDER).unwrap();
        assert_eq!(page.next.as_deref(), Some("x"));
        let seen: Vec<_> = page
            .entries
            .iter()
            .map(|e| {
                (
                    e.name.as_str(),
                    e.is_directory,
                    e.size,
                    e.modified.timestamp_millis(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("offsets", true, 0, 0),
                ("old", true, 0, 0),
                ("n 1%", false, 7, 1000)
            ]
        );
        let none = Page {
            entries: vec![],
            next: None,
        };
        assert_eq!(super::page(b"{}", FOLDER).unwrap(), none);
        assert_eq!(
            super::page(br#"{"contents":[],"next_page_token":""}"#, FOLDER).unwrap(),
            none
        );
    }

    #[test]
    fn what_can_not_lie_in_the_folder_is_refused() {
        for path in [
            "/Volumes/a/b/other/x",
            "/Volumes/a/b/cc",
            "/Volumes/a/b/c",
            "/Volumes/a/b/c/",
            "/Volumes/a/b/c//",
            "/Volumes/a/b/c/..",
            "/Volumes/a/b/c/x/y",
            "/Volumes/a/b/c/x\\ny",
            "",
        ] {
            let body = format!(r#"{{"contents":[{{"path":"{path}","file_size":1}}]}}"#);
            assert!(page(body.as_bytes(), FOLDER).is_err(), "{path}");
        }
        for body in [
            "",
            "[]",
            "{",
            "null",
            "<html>",
            r#"{"contents":{}}"#,
            r#"{"contents":[{}]}"#,
            r#"{"contents":[],"next_page_token":7}"#,
            r#"{"contents":[{"path":"/Volumes/a/b/c/x","file_size":-1}]}"#,
            r#"{"contents":[{"path":"/Volumes/a/b/c/x","file_size":"1"}]}"#,
            r#"{"contents":[{"path":"/Volumes/a/b/c/x","is_directory":1}]}"#,
        ] {
            assert!(page(body.as_bytes(), FOLDER).is_err(), "{body}");
        }
    }

    #[test]
    fn a_token_that_no_address_can_hold_is_refused() {
        let page = |length| {
            page(
                format!(r#"{{"next_page_token":"{}"}}"#, "x".repeat(length)).as_bytes(),
                FOLDER,
            )
        };
        assert!(page(MAX_TOKEN).is_ok());
        assert!(
            page(MAX_TOKEN + 1)
                .unwrap_err()
                .contains("a page token of more than")
        );
    }

    #[test]
    fn an_absurd_date_is_no_error() {
        let body = br#"{"contents":[{"path":"/Volumes/a/b/c/x","last_modified":9223372036854775807}]}"#;
        assert_eq!(page(body, FOLDER).unwrap().entries[0].modified.timestamp(), 0);
    }

    #[test]
    fn an_error_is_shown_on_one_line_cut_and_without_the_token() {
        let json = HeaderMap::new();
        let body = br#"{"error_code":"NOT_FOUND","message":"no\nsuch volume for dapi123"}"#;
        assert_eq!(said(&json, body, "dapi123"), " NOT_FOUND: no such volume for ***");
        assert_eq!(error_code(body).as_deref(), Some("NOT_FOUND"));
        assert_eq!(said(&json, b"", "t"), "");
        assert_eq!(said(&json, br#"{"message":"m"}"#, "dapi"), " m");

        let mut html = HeaderMap::new();
        html.insert(CONTENT_TYPE, HeaderValue::from_static("Text/HTML; charset=utf-8"));
        let page = format!("<html>\n<body>dapi123 {}", "ü".repeat(10_000));
        let text = said(&html, page.as_bytes(), "dapi123");
        assert!(
            text.starts_with(" (a page for people) <html> <body>*** ü"),
            "{text}"
        );
        assert!(text.chars().count() < 210 && text.ends_with('…'), "{text}");
        assert!(!said(&html, b"\xff\xfe\x1b[2J", "t").contains('\u{1b}'));
    }
}
