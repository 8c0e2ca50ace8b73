use std::num::NonZeroU64;

use sandbar_sdk::http::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// Rows that one request may ask for.
const MAX_PER_PAGE: u64 = 10_000;

/// Where the comments are, and how much is taken at a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The URL of the comments, `https://jsonplaceholder.typicode.com/comments` for example. It may have a query of
    /// its own, which every request keeps.
    #[schemars(with = "String", url, regex(pattern = "^https?://"))]
    pub api_url: Url,
    /// Rows that one micro-batch may take. The pipeline's own limit holds as well: the smaller of the two.
    #[serde(default)]
    #[schemars(extend("x-sandbar-identity" = false))]
    pub rows_per_batch: Option<NonZeroU64>,
    /// Rows that one request asks for, at most.
    #[serde(default = "page_size", deserialize_with = "within_bounds")]
    #[schemars(range(min = 1, max = 10_000), extend("x-sandbar-identity" = false))]
    pub page_size: u64,
}

fn page_size() -> u64 {
    100
}

fn within_bounds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    sandbar_sdk::options::within(deserializer, 1, MAX_PER_PAGE)
}
