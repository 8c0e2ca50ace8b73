//! What a page shows against what it comes from.

/// Output without what is different each time: ports, times, digests, sizes, and the widths of columns.
pub(super) fn normal(output: &str) -> String {
    output
        .trim_end()
        .lines()
        .map(|line| normal_line(line) + "\n")
        .collect()
}

fn normal_line(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let normal = words.iter().enumerate().map(|(index, word)| {
        let before = if index == 0 { "" } else { words[index - 1] };
        let after = words.get(index + 1).copied().unwrap_or_default();
        if let Some((scheme, rest)) = word.split_once("127.0.0.1:") {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            return format!("{scheme}127.0.0.1:PORT{rest}");
        }
        let digits = word.starts_with(|c: char| c.is_ascii_digit());
        let is_time = digits && word.len() >= 20 && word.contains('T') && word.ends_with('Z');
        match *word {
            _ if before == "--port" => "PORT".to_owned(),
            _ if is_time => "TIME".to_owned(),
            _ if digits && after == "bytes" => "SIZE".to_owned(),
            word if word.contains("sha256:") => "DIGEST".to_owned(),
            word => word.to_owned(),
        }
    });
    let normal = normal.collect::<Vec<_>>().join(" ");
    // Deeper lines stay deeper.
    let indent = line.len() - line.trim_start().len();
    " ".repeat(indent) + &normal
}

/// A file as a page shows it. The README lies at the top of the repository, so that a file saved there finds the schema.
pub(super) fn file(page: &str, text: &str, schema: &str) -> String {
    match page.contains('/') {
        true => text.to_owned(),
        false => {
            let lines = text.lines().map(|line| match line.starts_with("#:schema ") {
                true => format!("#:schema ./{schema}\n"),
                false => format!("{line}\n"),
            });
            lines.collect()
        }
    }
}

/// Whether a block is lines of a file. How far they are indented does not matter.
pub(super) fn is_part(block: &str, file: &str) -> bool {
    let trimmed = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned() + "\n")
            .collect::<String>()
    };
    let block = trimmed(block);
    !block.trim().is_empty() && trimmed(file).contains(&block)
}

/// The first example in the documentation of a module, without the lines that rustdoc hides.
pub(super) fn example(file: &str) -> String {
    let documentation = file.lines().map_while(|line| line.strip_prefix("//!"));
    let documentation = documentation.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let inside = documentation.skip_while(|line| !line.starts_with("```")).skip(1);
    let inside = inside.take_while(|line| !line.starts_with("```"));
    let shown = inside.filter(|line| *line != "#" && !line.starts_with("# "));
    shown.map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn what_changes_is_left_out_and_nothing_else() {
    let shown = "1. at http://127.0.0.1:4/comments\n  size    1,234 bytes\ndigest  sha256:00\n500  2026-11-22T19:00:57.610481Z\nx --port 5 --rows 6\n";
    let printed = "1. at http://127.0.0.1:40/comments\n  size  34 bytes\ndigest  sha256:01\n500    2026-11-23T19:00:57.61Z\nx --port 7 --rows 6\n\n";
    assert_eq!(normal(shown), normal(printed));
    for (from, to) in [
        ("500", "501"),
        ("/comments", "/comment"),
        ("  size", "size"),
        ("--rows 6", "--rows 7"),
    ] {
        assert_ne!(normal(&shown.replace(from, to)), normal(printed), "{to}");
    }
}

#[test]
fn a_part_and_an_example_are_found_in_a_file() {
    let file = "//! A\n//!\n//! ```no_run\n//! # hidden\n//! let a = 1;\n//!\n//! b();\n//! ```\n//! ```\n//! c();\n//! ```\nfn x() {\n    y();\n}\n";
    assert_eq!(example(file), "let a = 1;\n\nb();\n");
    assert!(is_part("y();\n", file));
    assert!(!is_part("z();\n", file) && !is_part("\n", file));
}
