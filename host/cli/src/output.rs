use std::fmt::Write as _;
use std::io::{self, Write};

use sandbar_runtime::is_unprintable;

use crate::CliError;

/// Prints a result to stdout.
///
/// # Errors
/// [`CliError::Io`] when it can't be written: the disk is full, or the reader went away.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| CliError::Io {
        context: "the result can't be written to stdout".into(),
        source,
    })
}

/// Prints one JSON document on a line of its own.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|e| CliError::Io {
        context: "the result can't be written as JSON".into(),
        source: e.into(),
    })?;
    print(&format!("{text}\n"))
}

/// Says something on stderr, on a line of its own. That nobody may be there to read it stops nothing.
pub(crate) fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{text}").and_then(|()| err.flush());
}

/// Text from anywhere, fit for a terminal: what it holds must not work there as commands, nor be shown in another
/// order than it is written. Line breaks stay.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| {
        if c != '\n' && is_unprintable(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// A whole number with thousands set apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 row`, `2 rows`.
pub(crate) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Rows of text in columns, each as wide as its widest cell, two spaces apart.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..rows.iter().map(Vec::len).max().unwrap_or(0))
        .map(width)
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_rows_do_not_get_through() {
        assert_eq!(
            plain("| \u{1b}[31mred\u{9b}0m\t|\n"),
            "| \u{fffd}[31mred\u{fffd}0m\u{fffd}|\n"
        );
    }

    #[test]
    fn characters_that_turn_the_text_around_do_not_get_through() {
        let turning =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        assert_eq!(plain(turning), "\u{fffd}".repeat(12));
        let harmless = "ä\u{200d}\u{2010}\u{2065}\u{206a}\u{5e9}\n";
        assert_eq!(plain(harmless), harmless);
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), shown);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".into(), "long".into()], vec!["wide".into(), "b".into()]];
        assert_eq!(columns(&rows), "a     long\nwide  b\n");
    }
}
