/// Whether a character does not belong into text that people are shown: it works as a command in a terminal, or changes
/// the direction in which the text around it is read (Unicode Standard Annex 9).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}
