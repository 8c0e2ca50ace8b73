//! Which part of the list a query asks for, read as json-server 0.17 reads it.

use std::ops::Range;

/// The answer to a list query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Positions of the comments to give.
    pub(super) positions: Range<u64>,
    /// Whether the total is told.
    pub(super) total: bool,
    /// The `Link` header, for numbered pages. It is empty, but there, when there is nothing to link to.
    pub(super) links: Option<String>,
}

/// What a query may ask for. Values are kept as text: json-server looks at whether they are empty first.
#[derive(Debug, Default)]
pub(super) struct Query {
    start: Option<String>,
    end: Option<String>,
    limit: Option<String>,
    page: Option<String>,
}

/// A parameter that json-server knows and this API does not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsupported(pub(super) String);

impl Query {
    /// Reads the part of a URL behind the `?`. Parameters that json-server ignores are ignored.
    pub(super) fn parse(query: &str) -> Result<Self, Unsupported> {
        let mut parsed = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "_start" => &mut parsed.start,
                "_end" => &mut parsed.end,
                "_limit" => &mut parsed.limit,
                "_page" => &mut parsed.page,
                "q" | "_sort" | "_order" | "_embed" | "_expand" => {
                    return Err(Unsupported(name.into_owned()));
                }
                other if is_filter(other) => return Err(Unsupported(name.into_owned())),
                _ => continue,
            };
            if slot.is_none() && !value.is_empty() {
                *slot = Some(value.into_owned());
            }
        }
        Ok(parsed)
    }

    /// The page of a list with `rows` elements. `url` is the whole URL of the request, for links.
    pub(super) fn page(&self, rows: u64, url: &str) -> Page {
        let start = number(self.start.as_deref()).unwrap_or(0);
        let (positions, links) = match (&self.page, &self.end, &self.limit) {
            (Some(page), _, limit) => {
                let page = number(Some(page)).filter(|page| *page >= 1).unwrap_or(1);
                let size = number(limit.as_deref()).filter(|size| *size != 0).unwrap_or(10);
                let positions = slice(rows, (page - 1).saturating_mul(size), page.saturating_mul(size));
                let links = links(rows, &positions, page, size, url);
                (positions, Some(links))
            }
            (None, Some(end), _) => (slice(rows, start, number(Some(end)).unwrap_or(0)), None),
            (None, None, Some(limit)) => {
                let end = number(Some(limit)).map_or(0, |limit| start.saturating_add(limit));
                (slice(rows, start, end), None)
            }
            (None, None, None) => {
                return Page {
                    positions: 0..rows,
                    total: false,
                    links: None,
                };
            }
        };
        Page {
            positions,
            total: true,
            links,
        }
    }
}

fn links(rows: u64, positions: &Range<u64>, page: i64, size: i64, url: &str) -> String {
    let given = positions.end - positions.start;
    let mut links = Vec::new();
    if given > 0 && given != rows {
        // A negative size makes no sense, and json-server goes on counting with it.
        let last = match size {
            1.. => signed(rows.div_ceil(size.unsigned_abs())),
            _ => -signed(rows / size.unsigned_abs().max(1)),
        };
        let prev = (page > 1).then(|| page - 1);
        let next = (page.saturating_mul(size) < signed(rows)).then(|| page + 1);
        let targets = [
            ("first", Some(1)),
            ("prev", prev),
            ("next", next),
            ("last", Some(last)),
        ];
        for (relation, target) in targets {
            if let Some(target) = target {
                let url = url.replacen(&format!("page={page}"), &format!("page={target}"), 1);
                links.push(format!("<{url}>; rel=\"{relation}\""));
            }
        }
    }
    links.join(", ")
}

/// `Array.prototype.slice`: negative numbers count from the end.
fn slice(rows: u64, start: i64, end: i64) -> Range<u64> {
    let place = |number: i64| match number {
        0.. => number.unsigned_abs().min(rows),
        _ => rows.saturating_sub(number.unsigned_abs()),
    };
    let (start, end) = (place(start), place(end));
    start..end.max(start)
}

/// `parseInt`: white space, a sign, digits, and anything behind them.
fn number(text: Option<&str>) -> Option<i64> {
    let text = text?.trim_start();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let digits = unsigned.get(..end).filter(|digits| !digits.is_empty())?;
    let number = digits.parse().unwrap_or(i64::MAX);
    Some(if text.starts_with('-') { -number } else { number })
}

/// Whether json-server would filter by this parameter.
fn is_filter(name: &str) -> bool {
    let field = ["_lte", "_gte", "_ne", "_like"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    field.is_some() || matches!(name, "postId" | "id" | "name" | "email" | "body")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
