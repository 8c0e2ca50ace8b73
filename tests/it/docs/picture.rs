//! A terminal as an SVG picture. It has a background of its own, so that it can be read on light and dark pages.

use std::fmt::Write;

const CELL: f64 = 7.8;
const LINE: usize = 19;
const TOP: usize = 62;
const LEFT: usize = 18;
/// Below this many columns the picture does not get narrower.
const MIN_COLUMNS: usize = 80;

/// What a terminal shows after a command was run in it.
pub(super) fn of_terminal(command: &str, output: &str) -> String {
    let output = output.trim_end();
    let columns = output.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = LEFT * 2 + (columns.max(MIN_COLUMNS) as f64 * CELL).ceil() as usize;
    let height = TOP + LINE * (output.lines().count() + 1);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title">
  <title id="title">A terminal after {title}</title>
  <style>
    text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace; font-size: 13px; fill: #e6edf3; white-space: pre; }}
    .prompt {{ fill: #7ee787; }}
    .step {{ fill: #79c0ff; }}
  </style>
  <rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8" fill="#161b22" stroke="#6e7681"/>
  <circle cx="20" cy="18" r="5" fill="#ff5f57"/>
  <circle cx="38" cy="18" r="5" fill="#febc2e"/>
  <circle cx="56" cy="18" r="5" fill="#28c840"/>
  <text x="{LEFT}" y="{prompt}" xml:space="preserve"><tspan class="prompt">$</tspan> {title}</text>
"##,
        title = escaped(command),
        inner_width = width - 1,
        inner_height = height - 1,
        prompt = TOP - LINE,
    );
    for (number, line) in output.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = TOP + LINE * number;
        let is_step = line.starts_with(|c: char| c.is_ascii_digit()) && line.get(1..3) == Some(". ");
        let (step, rest) = line.split_at(if is_step { 2 } else { 0 });
        let step = match step {
            "" => String::new(),
            step => format!(r#"<tspan class="step">{step}</tspan>"#),
        };
        let _ = writeln!(
            svg,
            r#"  <text x="{LEFT}" y="{y}" xml:space="preserve">{step}{}</text>"#,
            escaped(rest)
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[test]
fn a_picture_has_every_line_and_no_markup_of_the_output() {
    let svg = of_terminal("sandbar demo", "1. a <b> & c\n\n  d\n");
    assert!(
        svg.contains(r#"<tspan class="step">1.</tspan> a &lt;b&gt; &amp; c</text>"#),
        "{svg}"
    );
    assert!(svg.contains(">  d</text>") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(svg.matches("<text").count(), 3);
}
