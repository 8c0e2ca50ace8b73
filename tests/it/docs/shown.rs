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

/// Whether a block is a file. The path to the schema may be another one, seen from the page.
pub(super) fn is_file(block: &str, file: &str) -> bool {
    without_schema(block).eq(without_schema(file)) && block.lines().count() == file.lines().count()
}

fn without_schema(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("#:schema "))
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

/// Whether a block is a part of a file: lines of it, or of its documentation without what is hidden there. How far the
/// lines are indented does not matter.
pub(super) fn is_part(block: &str, file: &str) -> bool {
    let trimmed = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned() + "\n")
            .collect::<String>()
    };
    let documentation = file.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("//!")
            .or_else(|| line.strip_prefix("///"))?
            .trim();
        (line != "#" && !line.starts_with("# ")).then(|| line.to_owned() + "\n")
    });
    let block = trimmed(block);
    !block.trim().is_empty()
        && (trimmed(file).contains(&block) || documentation.collect::<String>().contains(&block))
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
fn a_part_is_found_in_code_and_in_documentation() {
    let file = "//! ```\n//! # hidden\n//! let a = 1;\n//!\n//! let b = 2;\n//! ```\nfn x() {\n    y();\n}\n";
    assert!(is_part("let a = 1;\n\nlet b = 2;\n", file));
    assert!(is_part("y();\n", file));
    assert!(!is_part("let b = 3;\n", file) && !is_part("\n", file));
}
