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

/// The same for a text that could not be parsed, by lines: those of a credential's table, and any that looks like it.
pub(super) fn lines(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let (mut start, mut within) = (0, false);
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if line.trim_start().starts_with('[') {
            within = line.contains("cred");
        }
        let suspect = within
            || ["val", "secret", "token", "pass", "bearer"]
                .iter()
                .any(|word| line.contains(word));
        match line.find('=') {
            // A line with several values may have a reference and a secret.
            Some(equals) if suspect && line.matches('=').count() > 1 => {
                blank(&mut bytes, start + equals + 1..end)
            }
            Some(equals) if suspect => overwrite(&mut bytes, start + equals + 1..end),
            None if within && !line.trim_start().starts_with('[') => blank(&mut bytes, start..end),
            _ => {}
        }
        start += line.len();
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn hide(bytes: &mut [u8], entry: &DeTable<'_>) {
    for (key, value) in entry {
        match value.get_ref() {
            DeValue::Table(inner) => hide(bytes, inner),
            _ if matches!(
                key.get_ref().as_ref(),
                "origin" | "header" | "query" | "token_url" | "scope"
            ) => {}
            _ => overwrite(bytes, value.span()),
        }
    }
}

/// Hides a value, unless it is a reference.
fn overwrite(bytes: &mut [u8], span: Range<usize>) {
    let refers = bytes
        .get(span.clone())
        .is_some_and(|value| value.windows(2).any(|pair| pair == b"${"));
    if !refers {
        blank(bytes, span);
    }
}

/// Byte by byte, so that every other place stays where it is.
fn blank(bytes: &mut [u8], span: Range<usize>) {
    let Some(value) = bytes.get_mut(span) else { return };
    for byte in value {
        if !matches!(byte, b'"' | b'\'' | b'\n' | b'\r' | b' ') {
            *byte = b'*';
        }
    }
}
