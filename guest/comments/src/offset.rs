use sandbar_sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// Partitions of one range, each of which is read in a sandbox of its own.
const MOST_PARTITIONS: u64 = 16;

/// A position: so many rows lie before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offset {
    /// The number of rows before it.
    pub current: u64,
}

/// The rows from `start` to before `end`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The first row.
    pub start: u64,
    /// The row behind the last one.
    pub end: u64,
}

/// Splits (start, end] where pages end, as evenly as that allows.
///
/// | rows | page size | partitions |
/// |---|---|---|
/// | 0 to 25 | 100 | 0-25 |
/// | 20 to 45 | 10 | 20-30, 30-40, 40-45 |
/// | 0 to 1700 | 100 | 0-200, 200-300, ... 1600-1700 |
pub(crate) fn split(start: &Offset, end: &Offset, page_size: u64) -> Result<Vec<Partition>> {
    let (from, to) = (start.current, end.current);
    let Some(rows) = to.checked_sub(from) else {
        return Err(Error::internal(format_args!("end {to} lies before start {from}")));
    };
    let pages = rows.div_ceil(page_size);
    let parts = pages.min(MOST_PARTITIONS);
    // Multiplied in 128 bits: pages times parts need not fit into 64.
    let page = |part: u64| (u128::from(pages) * u128::from(part)).div_ceil(u128::from(parts)) as u64;
    let boundary = |part: u64| from.saturating_add(page(part).saturating_mul(page_size)).min(to);
    Ok((0..parts)
        .map(|part| Partition {
            start: boundary(part),
            end: boundary(part + 1),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parts(start: u64, end: u64, page_size: u64) -> Vec<(u64, u64)> {
        let parts = split(&Offset { current: start }, &Offset { current: end }, page_size).unwrap();
        parts.into_iter().map(|part| (part.start, part.end)).collect()
    }

    #[test]
    fn a_range_is_split_where_pages_end() {
        assert_eq!(parts(20, 20, 10), []);
        assert_eq!(parts(0, 25, 100), [(0, 25)]);
        assert_eq!(parts(20, 45, 10), [(20, 30), (30, 40), (40, 45)]);
        assert_eq!(parts(0, 1700, 100).len(), 16);
        assert_eq!(parts(0, 1700, 100)[..2], [(0, 200), (200, 300)]);
    }

    #[test]
    fn partitions_cover_the_range_once() {
        let ranges = [
            (0, 1),
            (3, 500),
            (7, 1_000_007),
            (0, u64::MAX),
            (u64::MAX - 1, u64::MAX),
        ];
        for (start, end) in ranges {
            for page_size in [1, 3, 100, 10_000] {
                let parts = parts(start, end, page_size);
                assert!(parts.len() <= 16);
                assert_eq!((parts[0].0, parts[parts.len() - 1].1), (start, end));
                assert!(
                    parts.iter().all(|(from, to)| from < to),
                    "{start} {end} {page_size}: {parts:?}"
                );
                assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0));
                assert!(parts.iter().all(|(from, _)| (from - start) % page_size == 0));
            }
        }
    }

    #[test]
    fn a_range_that_goes_back_is_none() {
        let error = split(&Offset { current: 5 }, &Offset { current: 4 }, 1).unwrap_err();
        assert_eq!(error, Error::internal("end 4 lies before start 5"));
    }
}
