use sandbar_pipeline::is_unprintable;

/// Text from a component, made fit to be shown: cut, and with control and direction characters replaced, so that
/// it can't write escape sequences to a terminal, forge lines of a log, or be read in another order than written.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    let mut shown: String = text[..end]
        .trim_end()
        .chars()
        .map(|c| if is_unprintable(c) { '\u{fffd}' } else { c })
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
    fn characters_that_turn_the_text_around_do_not_get_through() {
        let turning =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for c in turning.chars() {
            assert_eq!(printable(&format!("a{c}b"), 100), "a\u{fffd}b", "{c:?}");
        }
        // Their neighbours are letters, spaces and joiners like any others.
        let harmless = "a\u{61b}\u{61d}\u{200d}\u{2010}\u{2029}\u{202f}\u{2065}\u{206a}b";
        assert_eq!(printable(harmless, 100), harmless);
    }

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
