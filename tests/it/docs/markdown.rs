//! As much of Markdown as the documentation uses: headings, links, code spans, fenced blocks and the marks before them.

use std::collections::BTreeSet;
use std::path::Path;

/// What a page has.
#[derive(Default)]
pub(super) struct Page {
    /// The names of its headings in links.
    pub(super) anchors: BTreeSet<String>,
    /// The targets of links and pictures, each with its line.
    pub(super) links: Vec<(usize, String)>,
    /// The texts of code spans, each with its line.
    pub(super) spans: Vec<(usize, String)>,
    pub(super) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// What the comment before it says.
    pub(super) mark: Option<Mark>,
    pub(super) language: String,
    pub(super) text: String,
    /// The line of its beginning, counted from 1.
    pub(super) line: usize,
    /// Spaces before each of its lines.
    indent: usize,
}

/// What a block shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// What this command prints.
    Output(String),
    /// This file.
    File(String),
    /// The first example in the documentation of this file.
    Example(String),
    /// Lines of this file.
    Part(String),
}

impl Mark {
    fn parse(line: &str) -> Option<Self> {
        let mark = line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        let (kind, of) = mark.split_once(": ")?;
        Some(match kind {
            "output" => Self::Output(of.to_owned()),
            "file" => Self::File(of.to_owned()),
            "example" => Self::Example(of.to_owned()),
            "from" => Self::Part(of.to_owned()),
            _ => panic!("{line:?} is no mark"),
        })
    }
}

impl Page {
    pub(super) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut prose = String::new();
        let mut mark = None;
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            if let Some(block) = &mut open {
                if line.trim() == "```" {
                    page.blocks.extend(open.take());
                } else {
                    block.text.push_str(line.get(block.indent..).unwrap_or_default());
                    block.text.push('\n');
                }
                prose.push('\n');
                continue;
            }
            if let Some(language) = line.trim_start().strip_prefix("```") {
                open = Some(Block {
                    mark: mark.take(),
                    language: language.trim().to_owned(),
                    text: String::new(),
                    line: index + 1,
                    indent: line.len() - line.trim_start().len(),
                });
                prose.push('\n');
                continue;
            }
            let found = Mark::parse(line);
            match found.is_some() || line.trim_start().starts_with("<!--") {
                true => mark = found.or(mark),
                false => prose.push_str(line),
            }
            prose.push('\n');
            if let Some(heading) = line.strip_prefix('#') {
                page.add_heading(heading.trim_start_matches('#').trim());
            }
        }
        assert!(
            open.is_none() && mark.is_none(),
            "a block does not end, or a mark has no block"
        );
        page.read_prose(prose);
        page
    }

    /// GitHub and mdBook name headings in this way.
    fn add_heading(&mut self, heading: &str) {
        let anchor: String = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut number = 0;
        let mut numbered = anchor.clone();
        while !self.anchors.insert(numbered.clone()) {
            number += 1;
            numbered = format!("{anchor}-{number}");
        }
    }

    fn read_prose(&mut self, prose: String) {
        let line_of = |at: usize| prose[..at].matches('\n').count() + 1;
        // What is in code is no link.
        let mut plain = prose.clone().into_bytes();
        let mut at = 0;
        while let Some(found) = prose[at..].find('`') {
            let begin = at + found;
            let ticks = prose[begin..].chars().take_while(|c| *c == '`').count();
            let inside = begin + ticks;
            let paragraph = prose[inside..]
                .find("\n\n")
                .map_or(prose.len(), |end| inside + end);
            let fence = "`".repeat(ticks);
            let Some(length) = prose[inside..paragraph].find(&fence) else {
                at = inside;
                continue;
            };
            let text = prose[inside..inside + length]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            self.spans.push((line_of(begin), text));
            at = inside + length + ticks;
            plain[begin..at]
                .iter_mut()
                .filter(|byte| **byte != b'\n')
                .for_each(|byte| *byte = b'x');
        }
        let plain = String::from_utf8(plain).unwrap();
        for (beginning, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for (at, _) in plain.match_indices(beginning) {
                let target = prose[at + beginning.len()..].split(end).next().unwrap();
                let target = target.split_whitespace().next().unwrap_or_default();
                self.links.push((line_of(at), target.to_owned()));
            }
        }
    }
}

/// Gives blocks of a page another text.
pub(super) fn write(path: &Path, fresh: &[(Block, String)]) {
    if fresh.is_empty() {
        return;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut written = String::new();
    let mut at = 0;
    for (block, text) in fresh {
        for line in &lines[at..block.line] {
            written.push_str(line);
            written.push('\n');
        }
        for line in text.lines() {
            let indent = if line.is_empty() { 0 } else { block.indent };
            written.push_str(&" ".repeat(indent));
            written.push_str(line);
            written.push('\n');
        }
        at = block.line + block.text.lines().count();
    }
    for line in &lines[at..] {
        written.push_str(line);
        written.push('\n');
    }
    std::fs::write(path, written).unwrap();
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let text = "# A `b.c` [d](e.md#f) g!\n\n## A\n## A\n\nsee `x y\nz` and ``a`b``, ![p\nq](p.svg \"t\") `[n](o)`\n\n\
        <!-- output: sandbar x -->\n```text\n[no](link) `no`\n```\n\n1. item\n\n   ```toml\n   a = 1\n   ```\n<img src=\"i.svg\">\n";
    let page = Page::parse(text);
    assert_eq!(
        page.anchors,
        ["a", "a-1", "a-bc-demdf-g"].map(str::to_owned).into()
    );
    let links: Vec<_> = page
        .links
        .iter()
        .map(|(line, link)| (*line, link.as_str()))
        .collect();
    assert_eq!(links, [(1, "e.md#f"), (8, "p.svg"), (20, "i.svg")]);
    let spans: Vec<_> = page
        .spans
        .iter()
        .map(|(line, span)| (*line, span.as_str()))
        .collect();
    assert_eq!(spans, [(1, "b.c"), (6, "x y z"), (7, "a`b"), (8, "[n](o)")]);
    let blocks: Vec<_> = page
        .blocks
        .iter()
        .map(|b| (b.language.as_str(), b.text.as_str(), b.line))
        .collect();
    assert_eq!(
        blocks,
        [("text", "[no](link) `no`\n", 11), ("toml", "a = 1\n", 17)]
    );
    assert_eq!(page.blocks[0].mark, Some(Mark::Output("sandbar x".into())));
    assert_eq!(page.blocks[1].mark, None);
}
