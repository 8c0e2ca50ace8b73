use url::Url;

/// Whether a character does not belong into text that people are shown: it works as a command in a terminal, or changes
/// the direction in which the text around it is read (Unicode Standard Annex 9).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Text of a component or a remote, made fit to be shown: at most `max` bytes of it, and without control and direction
/// characters. It can't write escape sequences to a terminal, forge lines of a log, or be read in another order than
/// it was written.
pub fn sanitize(text: &str, max: usize) -> String {
    let end = text.floor_char_boundary(max);
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

/// A URL as it may be shown: without user, password, query and fragment, which may hold secrets.
pub fn display_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_turn_the_text_around_do_not_get_through() {
        let turning =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for c in turning.chars() {
            assert_eq!(sanitize(&format!("a{c}b"), 100), "a\u{fffd}b", "{c:?}");
        }
        // Their neighbours are letters, spaces and joiners like any others.
        let harmless = "a\u{61b}\u{61d}\u{200d}\u{2010}\u{2029}\u{202f}\u{2065}\u{206a}b";
        assert_eq!(sanitize(harmless, 100), harmless);
    }

    #[test]
    fn escape_sequences_and_line_breaks_do_not_get_through() {
        let shown = sanitize("a\u{1b}[31mred\nforged\n", 100);
        assert_eq!(shown, "a\u{fffd}[31mred\u{fffd}forged");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(sanitize(&"ä".repeat(10), 5), "ää…");
    }
}
