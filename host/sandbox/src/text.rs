/// Text from a component, made fit to be shown: cut, and with control characters replaced, so that it can't
/// write escape sequences to a terminal or forge lines of a log.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    let mut shown: String = text[..end]
        .trim_end()
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if end < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn escape_sequences_and_line_breaks_do_not_get_through() {
        let shown = printable("a\u{1b}[31mred\nforged\n", 100);
        assert_eq!(shown, "a\u{fffd}[31mred\u{fffd}forged");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(printable(&"ä".repeat(10), 5), "ää…");
    }
}
