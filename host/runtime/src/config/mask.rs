//! Hides secrets that someone put into a file, before its lines are shown.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The text with every value of a credential hidden that refers to nothing: the lines around a mistake are
/// shown with it.
pub(super) fn credentials(text: &str, root: &DeTable<'_>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let source = root.get("source").and_then(|source| source.get_ref().as_table());
    match source
        .and_then(|source| source.get("credentials"))
        .map(|found| found.get_ref())
    {
        Some(DeValue::Table(entry)) => hide(&mut bytes, entry),
        Some(DeValue::Array(entries)) => {
            let entries = entries.iter().filter_map(|entry| entry.get_ref().as_table());
            entries.for_each(|entry| hide(&mut bytes, entry));
        }
        _ => {}
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The same for a text that could not be parsed, by lines.
pub(super) fn lines(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let (true, Some(equals)) = (line.contains("val"), line.find('=')) {
            overwrite(&mut bytes, start + equals + 1..start + line.trim_end().len());
        }
        start += line.len();
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn hide(bytes: &mut [u8], entry: &DeTable<'_>) {
    for (key, value) in entry {
        if !matches!(key.get_ref().as_ref(), "origin" | "header") {
            overwrite(bytes, value.span());
        }
    }
}

/// Byte by byte, so that every other place stays where it is.
fn overwrite(bytes: &mut [u8], span: Range<usize>) {
    let Some(value) = bytes.get_mut(span) else { return };
    if value.windows(2).any(|pair| pair == b"${") {
        return;
    }
    for byte in value {
        if !matches!(byte, b'"' | b'\'' | b'\n' | b'\r' | b' ') {
            *byte = b'*';
        }
    }
}
