use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;

use crate::RowsError;
use crate::column::{Column, Member, State};
use crate::fault::{Found, Result};
use crate::names::Names;
use crate::pointer::{self, Pointer, descend, leave};
use crate::scanner::{Kind, Scanner};
use crate::selection::{ColumnSource, Layout, Selection};

/// The most bytes that a constant may become.
const MAX_CONSTANT: usize = 1 << 20;

/// How much one text may become.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RowLimits {
    /// Rows.
    pub rows: usize,
    /// Bytes of their values, each null counted as the smallest value.
    pub bytes: usize,
}

impl RowLimits {
    /// Limits of their own.
    pub fn new(rows: usize, bytes: usize) -> Self {
        Self { rows, bytes }
    }
}

/// Reads rows as JSON text into record batches of one schema.
///
/// Values go from the text straight into columns. Numbers keep their digits: what a column can't hold exactly is an error,
/// but for the binary fractions that floating-point columns are made for.
#[derive(Clone, Debug)]
pub struct Decoder {
    schema: SchemaRef,
    selection: Selection,
}

impl Decoder {
    /// A decoder of the rows that are selected.
    ///
    /// # Errors
    /// [`RowsError::Type`] for a column that no JSON value stands for, [`RowsError::Selection`] for a selection of columns
    /// that are not those of the schema, or with a constant that does not fit.
    pub fn new(schema: SchemaRef, selection: Selection) -> Result<Self, RowsError> {
        let decoder = Self { schema, selection };
        let mut rows = Rows::new(&decoder)?;
        // A constant that does not fit is found now, not with the first row.
        let mut state = State::new(MAX_CONSTANT);
        rows.fill_constants(1, &mut state)
            .map_err(|fault| RowsError::Selection(format!("a constant does not fit its column: {fault}")))?;
        Ok(decoder)
    }

    /// The rows that it reads.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads a text: an array of rows, one row, rows one after another as in JSON lines, or nothing at all. `null` stands for
    /// no rows.
    ///
    /// # Errors
    /// [`RowsError::Json`] with row, field and byte where the text is not JSON, or a value does not fit its column, or the
    /// rows are too many; [`RowsError::TooLarge`] where they take too much; [`RowsError::NoRows`] where something else stands in their place.
    pub fn decode(&self, text: &[u8], limits: RowLimits) -> Result<RecordBatch, RowsError> {
        // The decoder is made for any text. Should it panic over one all the same, that must end here.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decode_checked(text, limits)));
        decoded.unwrap_or_else(|_| Err(RowsError::Json("the decoder can't make sense of it".into())))
    }

    fn decode_checked(&self, text: &[u8], limits: RowLimits) -> Result<RecordBatch, RowsError> {
        let text = utf8(text)?;
        let mut rows = Rows::new(self)?;
        let mut state = State::new(limits.bytes);
        let columns = rows.read(text, &self.selection, limits, &mut state);
        let columns = columns.map_err(|fault| fault.into_error())?;
        let columns = columns
            .into_iter()
            .map(Column::finish)
            .collect::<Result<Vec<ArrayRef>, _>>();
        columns
            .and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns))
            .map_err(|e| RowsError::Json(e.to_string()))
    }
}

/// Checks that a text is UTF-8, as JSON is.
pub(crate) fn utf8(text: &[u8]) -> Result<&str, RowsError> {
    simdutf8::basic::from_utf8(text).map_err(|_| {
        let at = simdutf8::compat::from_utf8(text).map_or_else(|e| e.valid_up_to(), |_| 0);
        RowsError::Json(format!("text that is not UTF-8 (byte {at})"))
    })
}

/// The rows of one text, as they grow.
struct Rows {
    root: Node,
    columns: Vec<Member>,
    constants: Vec<(usize, String)>,
    /// Rows may be arrays, whose columns are selected.
    takes_arrays: bool,
    /// What a row takes at least.
    width: usize,
    /// Rows so far.
    count: u64,
}

/// A place in a row, with what is taken there and below.
#[derive(Default)]
struct Node {
    name: String,
    feeds: Vec<Feed>,
    children: Vec<Node>,
    names: Names,
    /// The children that elements of an array are: by the element's index, with their own.
    elements: Vec<(usize, usize)>,
    /// The last row that had it.
    seen: u64,
}

/// A column that is fed from a place.
struct Feed {
    column: usize,
    /// It takes the JSON text of the value, whatever kind that is.
    as_json: bool,
}

impl Rows {
    fn new(decoder: &Decoder) -> Result<Self, RowsError> {
        let Decoder { schema, selection } = decoder;
        let columns = schema.fields().iter().map(|field| Member::new(field, 0));
        let mut columns = columns.collect::<Result<Vec<_>, RowsError>>()?;
        let mut root = Node::default();
        let mut constants = vec![];
        if selection.columns.is_empty() {
            for (index, column) in columns.iter().enumerate() {
                root.at(&Pointer::member(&column.name)).feed(index, false);
            }
        }
        let mut selected = vec![false; columns.len()];
        for (name, source) in &selection.columns {
            let wrong = |what: &str| RowsError::Selection(format!("the column {name:?} {what}"));
            let index = columns.iter().position(|column| column.name == *name);
            let index = index.ok_or_else(|| wrong("is not in the schema"))?;
            if std::mem::replace(&mut selected[index], true) {
                return Err(wrong("is selected twice"));
            }
            match source {
                ColumnSource::Value(pointer) => root.at(pointer).feed(index, false),
                ColumnSource::Json(pointer) => {
                    if !matches!(columns[index].column, Column::Utf8(_) | Column::LargeUtf8(_)) {
                        return Err(wrong("is not of text, and can't take JSON text"));
                    }
                    root.at(pointer).feed(index, true);
                }
                ColumnSource::Constant(json) => {
                    // No row is without it.
                    columns[index].seen = u64::MAX;
                    constants.push((index, json.clone()));
                }
            }
        }
        root.index_names();
        Ok(Self {
            root,
            takes_arrays: !selection.columns.is_empty(),
            width: columns.iter().map(|column| column.column.width()).sum(),
            columns,
            constants,
            count: 0,
        })
    }

    fn read(
        &mut self,
        text: &str,
        selection: &Selection,
        limits: RowLimits,
        state: &mut State,
    ) -> Result<Vec<Column>> {
        let mut scanner = Scanner::new(text);
        let mut taking = Taking {
            skip: selection.skip,
            max: selection.max.unwrap_or(u64::MAX),
            limit: limits.rows,
            passed: 0,
        };
        if !scanner.is_end() {
            let layout = selection.layout;
            let no_rows = Found::NoRows(match layout {
                Layout::Any => "array of rows, nor one row after another",
                Layout::Array => "array of rows",
                Layout::Lines => "rows one after another",
                Layout::Object => "object that is a row",
            });
            let Some(entered) = descend(&mut scanner, &selection.path)? else {
                return Err(scanner.fault(no_rows));
            };
            match scanner.kind()? {
                Kind::Array if matches!(layout, Layout::Any | Layout::Array) => {
                    scanner.open(b'[', Found::NoValue)?;
                    let mut is_first = true;
                    while scanner.element(is_first)? {
                        self.take_row(&mut scanner, state, &mut taking)?;
                        is_first = false;
                    }
                }
                Kind::Null if matches!(layout, Layout::Any | Layout::Array) => scanner.word("null")?,
                Kind::Object if layout != Layout::Array => {
                    self.take_row(&mut scanner, state, &mut taking)?;
                    let is_top = selection.path.0.is_empty();
                    while layout != Layout::Object && is_top && !scanner.is_end() {
                        self.take_row(&mut scanner, state, &mut taking)?;
                    }
                }
                _ => return Err(scanner.fault(no_rows)),
            }
            leave(&mut scanner, &selection.path, &entered)?;
            if !scanner.is_end() {
                return Err(scanner.fault(Found::MoreText));
            }
        }
        self.fill_constants(self.count, state)?;
        let columns = std::mem::take(&mut self.columns);
        Ok(columns.into_iter().map(|column| column.column).collect())
    }

    fn take_row(&mut self, scanner: &mut Scanner<'_>, state: &mut State, taking: &mut Taking) -> Result<()> {
        let row = taking.passed;
        taking.passed += 1;
        if row < taking.skip || self.count >= taking.max {
            return scanner.skip().map_err(|fault| fault.in_row(row));
        }
        if self.count >= taking.limit as u64 {
            return Err(scanner.fault(Found::TooManyRows(taking.limit)));
        }
        self.row(scanner, state).map_err(|fault| fault.in_row(row))
    }

    fn row(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        state.budget.take(self.width, scanner)?;
        self.count += 1;
        let kind = scanner.kind()?;
        let is_row = kind == Kind::Object || (kind == Kind::Array && self.takes_arrays);
        if !is_row && !self.root.children.is_empty() {
            return Err(scanner.fault(Found::Not("an object with the columns of a row")));
        }
        let start = scanner.at();
        self.root.read(self.count, scanner, &mut self.columns, state)?;
        for column in self.columns.iter_mut().filter(|column| column.seen < self.count) {
            column.leave_out(start, scanner)?;
        }
        Ok(())
    }

    fn fill_constants(&mut self, rows: u64, state: &mut State) -> Result<()> {
        for (index, json) in &self.constants {
            let Some(column) = self.columns.get_mut(*index) else {
                continue;
            };
            for _ in 0..rows {
                let mut scanner = Scanner::new(json);
                // It is read for each row, which its text alone may make long.
                state.budget.take(json.len(), &scanner)?;
                column.read(&mut scanner, state)?;
                if !scanner.is_end() {
                    return Err(scanner.fault(Found::MoreText).within(&column.name));
                }
            }
        }
        Ok(())
    }
}

/// Goes back to a value that several columns are fed from. Each further reading costs its text: a few columns could make much
/// work of a little of it.
fn again(times: &mut u32, start: usize, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
    if *times > 0 {
        state.budget.take(scanner.at() - start, scanner)?;
    }
    *times += 1;
    scanner.rewind(start);
    Ok(())
}

/// Which rows of a text are taken.
struct Taking {
    skip: u64,
    max: u64,
    /// Rows that may be taken at all.
    limit: usize,
    /// Rows that were taken or left out.
    passed: u64,
}

impl Node {
    /// The place that a pointer leads to.
    fn at(&mut self, pointer: &Pointer) -> &mut Self {
        pointer.0.iter().fold(self, |node, step| {
            let found = node.children.iter().position(|child| child.name == *step);
            let index = found.unwrap_or_else(|| {
                node.children.push(Self {
                    name: step.clone(),
                    ..Self::default()
                });
                node.children.len() - 1
            });
            &mut node.children[index]
        })
    }

    fn feed(&mut self, column: usize, as_json: bool) {
        self.feeds.push(Feed { column, as_json });
    }

    fn index_names(&mut self) {
        self.names = Names::new(self.children.iter().map(|child| child.name.as_str()));
        let children = self.children.iter().enumerate();
        self.elements = children
            .filter_map(|(own, child)| Some((pointer::index(&child.name)?, own)))
            .collect();
        self.elements.sort_unstable();
        self.children.iter_mut().for_each(Self::index_names);
    }

    /// Takes the value that is here, in row `row`, into all columns that are fed from it.
    fn read(
        &mut self,
        row: u64,
        scanner: &mut Scanner<'_>,
        columns: &mut [Member],
        state: &mut State,
    ) -> Result<()> {
        let start = scanner.at();
        let mut times = 0;
        for feed in &self.feeds {
            let Some(column) = columns.get_mut(feed.column) else {
                continue;
            };
            again(&mut times, start, scanner, state)?;
            column.seen = row;
            match feed.as_json {
                true => column.read_json(scanner, state)?,
                false => column.read(scanner, state)?,
            }
        }
        if !self.children.is_empty() {
            again(&mut times, start, scanner, state)?;
            return match scanner.kind()? {
                Kind::Object => self.read_members(row, scanner, columns, state),
                Kind::Array => self.read_elements(row, scanner, columns, state),
                _ => scanner.skip(),
            };
        }
        match times {
            0 => scanner.skip(),
            _ => Ok(()),
        }
    }

    fn read_members(
        &mut self,
        row: u64,
        scanner: &mut Scanner<'_>,
        columns: &mut [Member],
        state: &mut State,
    ) -> Result<()> {
        scanner.open(b'{', Found::NoValue)?;
        let (mut next, mut is_first) = (0, true);
        while let Some(name) = scanner.member(is_first, &mut state.scratch)? {
            is_first = false;
            let found = self
                .names
                .find(name.as_str(), next, &self.children, |child| &child.name);
            let Some(child) = found.and_then(|index| self.children.get_mut(index)) else {
                scanner.skip()?;
                continue;
            };
            if child.seen == row {
                return Err(scanner.fault(Found::Twice).within(&child.name));
            }
            child.seen = row;
            child.read(row, scanner, columns, state)?;
            next = found.map_or(0, |index| index + 1);
        }
        Ok(())
    }

    fn read_elements(
        &mut self,
        row: u64,
        scanner: &mut Scanner<'_>,
        columns: &mut [Member],
        state: &mut State,
    ) -> Result<()> {
        scanner.open(b'[', Found::NoValue)?;
        let (mut at, mut selected) = (0, self.elements.iter().peekable());
        while scanner.element(at == 0)? {
            let child = selected.next_if(|(index, _)| *index == at);
            match child.and_then(|(_, own)| self.children.get_mut(*own)) {
                Some(child) => child.read(row, scanner, columns, state)?,
                None => scanner.skip()?,
            }
            at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
