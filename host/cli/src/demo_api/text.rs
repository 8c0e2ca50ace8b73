//! The text of comments, made from their ids alone.

use std::sync::LazyLock;

/// Bytes to reserve for each comment in a buffer: somewhat more than the longest one takes.
pub(super) const ROW_CAPACITY: usize = 400;

/// Comments of one post, as in JSONPlaceholder.
const COMMENTS_OF_A_POST: u64 = 5;
const VARIANTS: u64 = 256;

const WORDS: [&str; 48] = [
    "laudantium",
    "enim",
    "quasi",
    "est",
    "quidem",
    "magnam",
    "voluptate",
    "ipsam",
    "eos",
    "tempora",
    "quo",
    "necessitatibus",
    "dolor",
    "quam",
    "autem",
    "quasi",
    "reiciendis",
    "et",
    "nam",
    "sapiente",
    "accusantium",
    "non",
    "saepe",
    "incidunt",
    "velit",
    "harum",
    "maxime",
    "ut",
    "nihil",
    "occaecati",
    "provident",
    "sint",
    "aut",
    "alias",
    "odio",
    "sit",
    "vero",
    "eaque",
    "aliquid",
    "doloribus",
    "rerum",
    "modi",
    "fugit",
    "omnis",
    "corporis",
    "error",
    "sunt",
    "debitis",
];
const FIRST_NAMES: [&str; 16] = [
    "Eliseo",
    "Jayne",
    "Nikita",
    "Lew",
    "Hayden",
    "Presley",
    "Dallas",
    "Mallory",
    "Meghan",
    "Carmen",
    "Veronica",
    "Oswald",
    "Kariane",
    "Nathan",
    "Maynard",
    "Christine",
];
const DOMAINS: [&str; 16] = [
    "gardner.biz",
    "sydney.com",
    "garfield.biz",
    "alysha.tv",
    "althea.biz",
    "elmore.com",
    "rosanna.net",
    "julius.io",
    "eudora.us",
    "loyal.ca",
    "gordon.org",
    "marquis.info",
    "wilma.dev",
    "emery.me",
    "delphine.co",
    "ansel.name",
];

static TEXTS: LazyLock<Texts> = LazyLock::new(Texts::new);

/// Everything of a comment between its numbers.
struct Texts {
    /// From the name to the part of the email address before the id.
    names: Vec<String>,
    /// From the domain of the email address to the closing brace.
    bodies: Vec<String>,
}

/// Appends the comments with these ids, as elements of a pretty-printed array. `first` says that nothing
/// stands before them.
pub(super) fn write_comments(out: &mut Vec<u8>, ids: std::ops::Range<u64>, first: bool) {
    let texts = &*TEXTS;
    let mut separator: &[u8] = if first {
        b"  {\n    \"postId\": "
    } else {
        b",\n  {\n    \"postId\": "
    };
    for id in ids {
        let (name, body) = texts.of(id);
        let mut digits = [0; 20];
        let digits_of_id = decimal(id, &mut digits);
        let mut post_digits = [0; 20];
        out.extend_from_slice(separator);
        out.extend_from_slice(decimal(post_of(id), &mut post_digits));
        out.extend_from_slice(b",\n    \"id\": ");
        out.extend_from_slice(digits_of_id);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(digits_of_id);
        out.extend_from_slice(body.as_bytes());
        separator = b",\n  {\n    \"postId\": ";
    }
}

/// One comment alone, pretty-printed.
pub(super) fn comment(id: u64) -> String {
    let (name, body) = TEXTS.of(id);
    let indented = format!(
        "{{\n    \"postId\": {},\n    \"id\": {id}{name}{id}{body}",
        post_of(id)
    );
    indented.replace("\n  ", "\n")
}

impl Texts {
    fn new() -> Self {
        let names = |variant| {
            let mut dice = Dice(variant);
            let count = 3 + dice.roll(5);
            let words = sentence(&mut dice, count);
            let first_name = dice.pick(&FIRST_NAMES);
            format!(",\n    \"name\": \"{words}\",\n    \"email\": \"{first_name}")
        };
        let bodies = |variant| {
            let mut dice = Dice(VARIANTS + variant);
            let domain = dice.pick(&DOMAINS);
            let lines: Vec<String> = (0..3 + dice.roll(2))
                .map(|_| {
                    let count = 4 + dice.roll(4);
                    sentence(&mut dice, count)
                })
                .collect();
            // Two characters in JSON, which are one line break in the text.
            let text = lines.join("\\n");
            format!("@{domain}\",\n    \"body\": \"{text}\"\n  }}")
        };
        Self {
            names: (0..VARIANTS).map(names).collect(),
            bodies: (0..VARIANTS).map(bodies).collect(),
        }
    }

    fn of(&self, id: u64) -> (&str, &str) {
        let mixed = mix(id);
        let pick =
            |texts: &'_ [String], number: u64| -> usize { (number % VARIANTS) as usize % texts.len().max(1) };
        let name = self
            .names
            .get(pick(&self.names, mixed))
            .map_or("", String::as_str);
        let body = self
            .bodies
            .get(pick(&self.bodies, mixed >> 32))
            .map_or("", String::as_str);
        (name, body)
    }
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % sides.max(1)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = self.roll(of.len() as u64) as usize;
        of.get(index).copied().unwrap_or_default()
    }
}

fn sentence(dice: &mut Dice, words: u64) -> String {
    (0..words)
        .map(|_| dice.pick(&WORDS))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn post_of(id: u64) -> u64 {
    id.saturating_sub(1) / COMMENTS_OF_A_POST + 1
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = index;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}
