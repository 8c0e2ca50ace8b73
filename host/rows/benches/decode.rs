//! Reads pages of 1,000 comments, as the demo's API gives them, into columns: `cargo bench -p sandbar-rows`.
//!
//! Beside the decoder stands arrow-json, which reads the same rows. Ratios within one run are more telling than figures.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops when something fails"
)]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use arrow_json::ReaderBuilder;
use sandbar_rows::{Decoder, Document, RowLimits, Selection, parse_schema};

const ROWS: usize = 1_000;
const PAGES: usize = 300;

fn main() {
    let page = page();
    // What stands beside it takes rows one after another, without an array.
    let lines = page.trim_matches(['[', ']']).replace("},", "}");
    let schema = parse_schema("id int, name string, email string, body string").unwrap();
    let decoder = Decoder::new(schema.clone(), Selection::default()).unwrap();
    let limits = RowLimits::new(1 << 22, 64 << 20);
    println!("{ROWS} comments of {} bytes a page, ms a page:", page.len());
    let ours = time(|| {
        assert_eq!(
            decoder
                .decode(black_box(page.as_bytes()), limits)
                .unwrap()
                .num_rows(),
            ROWS
        );
    });
    let theirs = time(|| {
        let mut reader = ReaderBuilder::new(schema.clone())
            .with_batch_size(ROWS)
            .build_decoder()
            .unwrap();
        reader.decode(black_box(lines.as_bytes())).unwrap();
        assert_eq!(reader.flush().unwrap().unwrap().num_rows(), ROWS);
    });
    let count = time(|| {
        let document = Document::new(black_box(page.as_bytes())).unwrap();
        assert_eq!(document.count("").unwrap(), Some(ROWS as u64));
    });
    println!("  this decoder  {ours:.3}");
    println!("  arrow-json    {theirs:.3}, ratio {:.2}", theirs / ours);
    println!("  counted only  {count:.3}");
}

/// The median time of one page, in milliseconds.
fn time(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..PAGES)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[PAGES / 2]
}

/// As the demo's API writes it: indented, and with line breaks in the bodies.
fn page() -> String {
    let mut page = String::from("[\n");
    for id in 1..=ROWS {
        let comma = if id == ROWS { "" } else { "," };
        write!(
            page,
            "  {{\n    \"postId\": {},\n    \"id\": {id},\n    \"name\": \"id labore ex et quam laborum\",\n    \
             \"email\": \"Eliseo{id}@gardner.biz\",\n    \"body\": \"laudantium enim quasi est quidem magnam voluptate\\n\
             tempora quo necessitatibus\\ndolor quam autem quasi\\nreiciendis et nam\"\n  }}{comma}\n",
            id / 5
        )
        .unwrap();
    }
    page.push(']');
    page
}
