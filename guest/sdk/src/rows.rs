//! Rows on their way to the host: held by it, as JSON text, or as Arrow.

#[cfg(feature = "arrow")]
use arrow_array::RecordBatch;
use serde::Serialize;

use crate::{Error, Result};

/// The rows of one batch, in the schema of the stream.
#[derive(Debug)]
pub enum Rows {
    /// Rows that the host has read and holds: see [`Response::rows`](crate::http::Response::rows).
    Held(HeldRows),
    /// JSON text: an array of objects, or objects one after another.
    Json(String),
    /// A record batch.
    #[cfg(feature = "arrow")]
    Arrow(RecordBatch),
}

impl Rows {
    /// Values that serialize to objects.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when one is no JSON.
    pub fn from_values<T: Serialize>(values: &[T]) -> Result<Self> {
        let text = serde_json::to_string(values);
        text.map(Self::Json)
            .map_err(|error| Error::internal(format_args!("a row is not JSON: {error}")))
    }
}

impl From<HeldRows> for Rows {
    fn from(rows: HeldRows) -> Self {
        Self::Held(rows)
    }
}

#[cfg(feature = "arrow")]
impl From<RecordBatch> for Rows {
    fn from(rows: RecordBatch) -> Self {
        Self::Arrow(rows)
    }
}

/// The columns of all rows of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// Text in Spark's DDL, such as `id bigint not null, user struct<login: string>, tags array<string>`.
    Text(String),
    /// An Arrow schema.
    #[cfg(feature = "arrow")]
    Arrow(arrow_schema::SchemaRef),
}

impl Schema {
    /// A schema as text in Spark's DDL.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(feature = "arrow")]
impl From<arrow_schema::SchemaRef> for Schema {
    fn from(schema: arrow_schema::SchemaRef) -> Self {
        Self::Arrow(schema)
    }
}

/// How rows stand in a JSON text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// As an array. `null` stands for none.
    #[default]
    Array,
    /// One after another, as in JSON lines. Only at the top.
    Lines,
    /// As one object, which is one row.
    Object,
}

/// Which rows of a JSON text, and what their columns are.
///
/// By default all rows of an array at the top, and each column of the schema is the member of its name. Once a column is given,
/// those that are not are null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub(crate) path: String,
    pub(crate) layout: Layout,
    pub(crate) columns: Vec<(String, ColumnSource)>,
    pub(crate) skip: u64,
    pub(crate) max_rows: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnSource {
    Value(String),
    Json(String),
    Constant(String),
}

impl Selection {
    /// The rows of the array at this JSON Pointer (RFC 6901). Empty for the text itself.
    pub fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    /// Rows that stand in another way than as an array.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Takes a column from the value at this JSON Pointer of a row.
    #[must_use]
    pub fn value(self, column: impl Into<String>, pointer: impl Into<String>) -> Self {
        self.with(column.into(), ColumnSource::Value(pointer.into()))
    }

    /// Fills a column of text with the JSON text of the value at this JSON Pointer of a row, whatever kind of value it is.
    #[must_use]
    pub fn json_text(self, column: impl Into<String>, pointer: impl Into<String>) -> Self {
        self.with(column.into(), ColumnSource::Json(pointer.into()))
    }

    /// Fills a column with one value.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when it is no JSON.
    pub fn constant(self, column: impl Into<String>, value: &impl Serialize) -> Result<Self> {
        let json = crate::json::write("constant", value)?;
        Ok(self.with(column.into(), ColumnSource::Constant(json)))
    }

    /// Leaves out the first rows.
    #[must_use]
    pub fn skip(mut self, rows: u64) -> Self {
        self.skip = rows;
        self
    }

    /// Takes at most a given number of rows.
    #[must_use]
    pub fn max_rows(mut self, rows: u64) -> Self {
        self.max_rows = Some(rows);
        self
    }

    fn with(mut self, column: String, source: ColumnSource) -> Self {
        self.columns.push((column, source));
        self
    }
}

#[cfg(target_family = "wasm")]
pub use in_host::HeldRows;
#[cfg(target_family = "wasm")]
pub(crate) use in_host::read_json;

#[cfg(target_family = "wasm")]
mod in_host {
    use super::{ColumnSource, Layout, Schema, Selection};
    use crate::bindings::generated::sandbar::connector::rows as wit;
    use crate::{Error, Result};

    /// Rows that the host holds.
    #[derive(Debug)]
    pub struct HeldRows(pub(crate) wit::HeldRows);

    impl HeldRows {
        /// The number of rows.
        pub fn count(&self) -> u64 {
            self.0.count()
        }
    }

    /// Has the host read rows from a text. It knows the schema.
    #[allow(
        dead_code,
        reason = "responses of the contract's own interface are never texts here"
    )]
    pub(crate) fn read_json(_: &Schema, text: &[u8], selection: &Selection) -> Result<HeldRows> {
        let text = std::str::from_utf8(text);
        let text = text.map_err(|error| Error::malformed(format_args!("text that is not UTF-8: {error}")))?;
        Ok(HeldRows(wit::read_json(text, &selection.into())?))
    }

    impl From<&Selection> for wit::Selection {
        fn from(selection: &Selection) -> Self {
            let column = |(name, source): &(String, ColumnSource)| wit::Column {
                name: name.clone(),
                source: match source {
                    ColumnSource::Value(pointer) => wit::ColumnSource::Value(pointer.clone()),
                    ColumnSource::Json(pointer) => wit::ColumnSource::JsonText(pointer.clone()),
                    ColumnSource::Constant(json) => wit::ColumnSource::Constant(json.clone()),
                },
            };
            Self {
                path: selection.path.clone(),
                layout: match selection.layout {
                    Layout::Array => wit::Layout::Array,
                    Layout::Lines => wit::Layout::Lines,
                    Layout::Object => wit::Layout::Object,
                },
                columns: selection.columns.iter().map(column).collect(),
                skip: selection.skip,
                max_rows: selection.max_rows,
            }
        }
    }
}

#[cfg(not(target_family = "wasm"))]
pub use native::HeldRows;
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{of_text, read_json};

/// Outside of a host, rows are read by the same code that hosts read them with.
#[cfg(not(target_family = "wasm"))]
mod native {
    use arrow_array::RecordBatch;
    use arrow_schema::SchemaRef;
    use sandbar_rows::{Decoder, RowLimits, RowsError, parse_schema};

    use super::{ColumnSource, Layout, Rows, Schema, Selection};
    use crate::{Error, Result};

    /// The most rows and bytes that a host takes at once, unless it is told otherwise.
    const MAX_ROWS: usize = 1 << 22;
    const MAX_BYTES: usize = 64 << 20;

    /// Rows that the host holds.
    #[derive(Debug)]
    pub struct HeldRows(RecordBatch);

    impl HeldRows {
        /// The number of rows.
        pub fn count(&self) -> u64 {
            self.0.num_rows() as u64
        }

        /// The rows themselves, which only native tests can see.
        pub fn batch(&self) -> &RecordBatch {
            &self.0
        }
    }

    impl Schema {
        /// The Arrow schema, which only native tests can see.
        ///
        /// # Errors
        ///
        /// [`Error::Internal`] when the text is none.
        pub fn arrow(&self) -> Result<SchemaRef> {
            match self {
                Self::Text(text) => parse_schema(text).map_err(internal),
                #[cfg(feature = "arrow")]
                Self::Arrow(schema) => Ok(schema.clone()),
            }
        }
    }

    impl Rows {
        /// The rows as a host reads them, which only native tests can do.
        ///
        /// # Errors
        ///
        /// [`Error::Malformed`] when they do not fit the schema.
        pub fn batch(self, schema: &Schema) -> Result<RecordBatch> {
            match self {
                Self::Held(rows) => Ok(rows.0),
                Self::Json(text) => decode(schema, text.as_bytes(), sandbar_rows::Selection::default()),
                #[cfg(feature = "arrow")]
                Self::Arrow(rows) if rows.schema() == schema.arrow()? => Ok(rows),
                #[cfg(feature = "arrow")]
                Self::Arrow(rows) => Err(Error::malformed(format_args!(
                    "rows have the schema {:?}",
                    rows.schema()
                ))),
            }
        }
    }

    pub(crate) fn read_json(schema: &Schema, text: &[u8], selection: &Selection) -> Result<HeldRows> {
        decode(schema, text, translated(selection).map_err(internal)?).map(HeldRows)
    }

    fn decode(schema: &Schema, text: &[u8], selection: sandbar_rows::Selection) -> Result<RecordBatch> {
        let decoder = Decoder::new(schema.arrow()?, selection).map_err(internal)?;
        let rows = decoder.decode(text, RowLimits::new(MAX_ROWS, MAX_BYTES));
        rows.map_err(|error| of_text(error, text))
    }

    fn translated(selection: &Selection) -> Result<sandbar_rows::Selection, RowsError> {
        let layout = match selection.layout {
            Layout::Array => sandbar_rows::Layout::Array,
            Layout::Lines => sandbar_rows::Layout::Lines,
            Layout::Object => sandbar_rows::Layout::Object,
        };
        let rows = sandbar_rows::Selection::at(&selection.path, layout)?;
        let rows = rows.within(selection.skip, selection.max_rows);
        selection
            .columns
            .iter()
            .try_fold(rows, |rows, (column, source)| match source {
                ColumnSource::Value(pointer) => rows.with_value(column, pointer),
                ColumnSource::Json(pointer) => rows.with_json(column, pointer),
                ColumnSource::Constant(json) => Ok(rows.with_constant(column, json)),
            })
    }

    /// The error of a text, in words that follow "gave".
    pub(crate) fn of_text(error: RowsError, text: &[u8]) -> Error {
        match error.of_text(text) {
            Some(given) => Error::Malformed(given),
            None => internal(error),
        }
    }

    fn internal(error: RowsError) -> Error {
        Error::internal(error)
    }
}
