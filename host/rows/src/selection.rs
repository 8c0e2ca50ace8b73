use crate::RowsError;
use crate::pointer::Pointer;

/// How rows stand in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As an array, or one after another.
    #[default]
    Any,
    /// As an array. `null` stands for none.
    Array,
    /// One after another, as in JSON lines. Only at the top.
    Lines,
    /// As one object, which is one row.
    Object,
}

/// Which rows of a text, and where the columns of a row come from.
///
/// By default the text is an array of objects, or objects one after another as in JSON lines, and each column is the member
/// of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub(crate) path: Pointer,
    pub(crate) layout: Layout,
    pub(crate) columns: Vec<(String, ColumnSource)>,
    pub(crate) skip: u64,
    pub(crate) max: Option<u64>,
}

/// Where the values of a column come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnSource {
    /// The value at this place of a row.
    Value(Pointer),
    /// The JSON text of the value at this place of a row, whatever it is.
    Json(Pointer),
    /// The same value for each row, as JSON text.
    Constant(String),
}

impl Selection {
    /// The rows at this JSON Pointer (RFC 6901). Empty for the text itself.
    ///
    /// # Errors
    /// [`RowsError::Pointer`] when it is none, [`RowsError::Selection`] for lines anywhere but at the top.
    pub fn at(path: &str, layout: Layout) -> Result<Self, RowsError> {
        if layout == Layout::Lines && !path.is_empty() {
            return Err(RowsError::Selection(
                "rows are lines at the top of a text only".into(),
            ));
        }
        Ok(Self {
            path: Pointer::parse(path)?,
            layout,
            ..Self::default()
        })
    }

    /// Takes a column from the value at this JSON Pointer of a row.
    ///
    /// # Errors
    /// [`RowsError::Pointer`] when it is none.
    pub fn with_value(self, column: impl Into<String>, pointer: &str) -> Result<Self, RowsError> {
        let source = ColumnSource::Value(Pointer::parse(pointer)?);
        Ok(self.with(column, source))
    }

    /// Fills a column of text with the JSON text of the value at this JSON Pointer of a row, whatever kind of value it is.
    ///
    /// # Errors
    /// [`RowsError::Pointer`] when it is none.
    pub fn with_json(self, column: impl Into<String>, pointer: &str) -> Result<Self, RowsError> {
        let source = ColumnSource::Json(Pointer::parse(pointer)?);
        Ok(self.with(column, source))
    }

    /// Fills a column with one value, given as JSON text.
    #[must_use]
    pub fn with_constant(self, column: impl Into<String>, json: impl Into<String>) -> Self {
        self.with(column, ColumnSource::Constant(json.into()))
    }

    /// Leaves out the first rows, and those after a number of them.
    #[must_use]
    pub fn within(mut self, skip: u64, max: Option<u64>) -> Self {
        (self.skip, self.max) = (skip, max);
        self
    }

    fn with(mut self, column: impl Into<String>, source: ColumnSource) -> Self {
        self.columns.push((column.into(), source));
        self
    }
}
