use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, GenericBinaryBuilder, GenericStringBuilder,
    LargeBinaryBuilder, LargeStringBuilder, PrimitiveBuilder, StringBuilder,
};
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, GenericListArray, MapArray, OffsetSizeTrait, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::RowsError;
use crate::fault::{Found, Result};
use crate::names::Names;
use crate::number::scaled;
use crate::scanner::{Kind, Scanner, Text};

/// The deepest nesting of a schema.
const MAX_DEPTH: usize = 16;

/// What all columns share while a text is read.
pub(crate) struct State {
    /// Room for a string with escapes.
    pub(crate) scratch: String,
    pub(crate) budget: Budget,
}

/// Bytes that the columns may still take.
pub(crate) struct Budget {
    left: usize,
    max: usize,
}

impl State {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            scratch: String::new(),
            budget: Budget {
                left: max_bytes,
                max: max_bytes,
            },
        }
    }
}

impl Budget {
    /// Counts what a value takes, before it is kept.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize, scanner: &Scanner<'_>) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(scanner.fault(Found::TooManyBytes(self.max))),
        }
    }
}

/// A column as it grows.
pub(crate) enum Column {
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt8(PrimitiveBuilder<UInt8Type>),
    UInt16(PrimitiveBuilder<UInt16Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    UInt64(PrimitiveBuilder<UInt64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>, u8, i8),
    Date(PrimitiveBuilder<Date32Type>),
    Timestamp(PrimitiveBuilder<Int64Type>, TimeUnit, Option<Arc<str>>),
    Utf8(StringBuilder),
    LargeUtf8(LargeStringBuilder),
    Binary(BinaryBuilder),
    LargeBinary(LargeBinaryBuilder),
    List(Box<ListColumn<i32>>),
    LargeList(Box<ListColumn<i64>>),
    Struct(Box<StructColumn>),
    Map(Box<MapColumn>),
}

pub(crate) struct ListColumn<O> {
    element: FieldRef,
    values: Column,
    /// What an element takes at least.
    width: usize,
    offsets: Vec<O>,
    nulls: NullBufferBuilder,
}

pub(crate) struct StructColumn {
    fields: Fields,
    members: Members,
    nulls: NullBufferBuilder,
}

pub(crate) struct MapColumn {
    entries: FieldRef,
    keys: StringBuilder,
    value: FieldRef,
    values: Column,
    /// What an entry takes at least, beside its key.
    width: usize,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// Columns that are filled from the members of objects, by their names.
pub(crate) struct Members {
    members: Vec<Member>,
    names: Names,
    /// Objects so far.
    objects: u64,
}

/// A column with its name, and whether an object has had a value for it.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) column: Column,
    is_nullable: bool,
    /// The last object that had it, counted from 1.
    pub(crate) seen: u64,
}

impl Column {
    /// An empty column of a field that stands at a depth of a schema.
    ///
    /// # Errors
    /// [`RowsError::Type`] for a type that no JSON value stands for.
    fn new(field: &Field, depth: usize) -> Result<Self, RowsError> {
        let refuse = |reason| {
            Err(RowsError::Type {
                column: field.name().chars().take(200).collect(),
                data_type: field.data_type().to_string().chars().take(200).collect(),
                reason,
            })
        };
        if depth >= MAX_DEPTH {
            return refuse("types nest at most 16 levels deep");
        }
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Self::Int8(PrimitiveBuilder::new()),
            DataType::Int16 => Self::Int16(PrimitiveBuilder::new()),
            DataType::Int32 => Self::Int32(PrimitiveBuilder::new()),
            DataType::Int64 => Self::Int64(PrimitiveBuilder::new()),
            DataType::UInt8 => Self::UInt8(PrimitiveBuilder::new()),
            DataType::UInt16 => Self::UInt16(PrimitiveBuilder::new()),
            DataType::UInt32 => Self::UInt32(PrimitiveBuilder::new()),
            DataType::UInt64 => Self::UInt64(PrimitiveBuilder::new()),
            DataType::Float32 => Self::Float32(PrimitiveBuilder::new()),
            DataType::Float64 => Self::Float64(PrimitiveBuilder::new()),
            DataType::Decimal128(precision, scale) if *scale >= 0 => {
                Self::Decimal(PrimitiveBuilder::new(), *precision, *scale)
            }
            DataType::Date32 => Self::Date(PrimitiveBuilder::new()),
            DataType::Timestamp(unit, zone) => match zone.as_deref() {
                None | Some("UTC" | "+00:00") => {
                    Self::Timestamp(PrimitiveBuilder::new(), *unit, zone.clone())
                }
                Some(_) => return refuse("a timestamp is in UTC or has no zone"),
            },
            DataType::Utf8 => Self::Utf8(StringBuilder::new()),
            DataType::LargeUtf8 => Self::LargeUtf8(LargeStringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::LargeBinary => Self::LargeBinary(LargeBinaryBuilder::new()),
            DataType::List(element) => Self::List(Box::new(ListColumn::new(element, depth)?)),
            DataType::LargeList(element) => Self::LargeList(Box::new(ListColumn::new(element, depth)?)),
            DataType::Struct(fields) if !fields.is_empty() => Self::Struct(Box::new(StructColumn {
                fields: fields.clone(),
                members: Members::new(fields, depth + 1)?,
                nulls: NullBufferBuilder::new(0),
            })),
            DataType::Map(entries, false) => match entries.data_type() {
                DataType::Struct(pair) => match pair.as_ref() {
                    [key, value] if *key.data_type() == DataType::Utf8 => {
                        let values = Self::new(value, depth + 1)?;
                        Self::Map(Box::new(MapColumn {
                            entries: entries.clone(),
                            keys: StringBuilder::new(),
                            value: value.clone(),
                            width: size_of::<i32>() + values.width(),
                            values,
                            offsets: vec![0],
                            nulls: NullBufferBuilder::new(0),
                        }))
                    }
                    _ => return refuse("the keys of a map are text"),
                },
                _ => return refuse("a map has entries of a key and a value"),
            },
            _ => return refuse("no JSON value stands for it: send it as Arrow, or as another type"),
        })
    }

    /// The bytes that a null takes, and any value at least.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Boolean(_) | Self::Int8(_) | Self::UInt8(_) => 1,
            Self::Int16(_) | Self::UInt16(_) => 2,
            Self::Int32(_) | Self::UInt32(_) | Self::Float32(_) | Self::Date(_) => 4,
            Self::Int64(_) | Self::UInt64(_) | Self::Float64(_) | Self::Timestamp(..) => 8,
            Self::Decimal(..) => 16,
            Self::Utf8(_) | Self::Binary(_) | Self::List(_) | Self::Map(_) => 4,
            Self::LargeUtf8(_) | Self::LargeBinary(_) | Self::LargeList(_) => 8,
            Self::Struct(column) => 1 + column.members.width(),
        }
    }

    /// Takes the value that is here: a null too, where the column may have one.
    #[inline]
    pub(crate) fn read(
        &mut self,
        is_nullable: bool,
        scanner: &mut Scanner<'_>,
        state: &mut State,
    ) -> Result<()> {
        let kind = scanner.kind()?;
        if kind == Kind::Null {
            if !is_nullable {
                return Err(scanner.fault(Found::Missing));
            }
            scanner.word("null")?;
            self.append_null();
            return Ok(());
        }
        let start = scanner.at();
        match self {
            Self::Boolean(builder) => match kind {
                Kind::True => scanner.word("true").map(|()| builder.append_value(true)),
                Kind::False => scanner.word("false").map(|()| builder.append_value(false)),
                _ => Err(scanner.fault(Found::Not("true or false"))),
            },
            Self::Int8(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::Int16(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::Int32(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::Int64(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::UInt8(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::UInt16(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::UInt32(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::UInt64(builder) => integer(scanner, kind).map(|value| builder.append_value(value)),
            Self::Float32(builder) => {
                let value: f32 = float(scanner, kind, f32::is_finite)?;
                builder.append_value(value);
                Ok(())
            }
            Self::Float64(builder) => {
                let value: f64 = float(scanner, kind, f64::is_finite)?;
                builder.append_value(value);
                Ok(())
            }
            Self::Decimal(builder, precision, scale) => {
                let value = match kind {
                    Kind::Number => decimal(scanner.number()?, *precision, *scale),
                    Kind::String => {
                        let text = scanner.string(&mut state.scratch)?;
                        let mut inner = Scanner::new(text.as_str());
                        let number = inner.number().ok().filter(|_| inner.is_end());
                        number.and_then(|number| decimal(number, *precision, *scale))
                    }
                    _ => return Err(scanner.fault(Found::Not("a number, or text with one,"))),
                };
                let unfit = Found::Unfit("the number has more digits than the column");
                let value = value.ok_or_else(|| scanner.fault_at(start, unfit))?;
                builder.append_value(value);
                Ok(())
            }
            Self::Date(builder) => {
                let text = string(scanner, kind, &mut state.scratch, "a date as text")?;
                let date = text.as_str().parse::<NaiveDate>().ok();
                let unfit = Found::Unfit("the text is no date such as 2026-01-31");
                let date = date.ok_or_else(|| scanner.fault_at(start, unfit))?;
                builder.append_value(Date32Type::from_naive_date(date));
                Ok(())
            }
            Self::Timestamp(builder, unit, zone) => {
                let text = string(scanner, kind, &mut state.scratch, "a time as text")?;
                let (time, unfit) = match zone {
                    Some(_) => (
                        DateTime::parse_from_rfc3339(text.as_str())
                            .ok()
                            .map(|time| time.naive_utc()),
                        "the text is no time with a zone such as 2026-01-31T12:00:00Z, or out of range",
                    ),
                    None => (
                        text.as_str().parse::<NaiveDateTime>().ok(),
                        "the text is no time without a zone such as 2026-01-31T12:00:00, or out of range",
                    ),
                };
                let time = time.and_then(|time| in_unit(time, *unit));
                builder.append_value(time.ok_or_else(|| scanner.fault_at(start, Found::Unfit(unfit)))?);
                Ok(())
            }
            Self::Utf8(builder) => append_text(builder, scanner, kind, state),
            Self::LargeUtf8(builder) => append_text(builder, scanner, kind, state),
            Self::Binary(builder) => append_bytes(builder, scanner, kind, state),
            Self::LargeBinary(builder) => append_bytes(builder, scanner, kind, state),
            Self::List(column) => column.read(scanner, state),
            Self::LargeList(column) => column.read(scanner, state),
            Self::Struct(column) => {
                column.members.read(scanner, state)?;
                column.nulls.append_non_null();
                Ok(())
            }
            Self::Map(column) => column.read(scanner, state),
        }
    }

    /// Takes any value that is here into a column of text: its JSON text.
    pub(crate) fn read_json(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        scanner.kind()?;
        let start = scanner.at();
        scanner.skip()?;
        let text = scanner.since(start);
        state.budget.take(text.len(), scanner)?;
        match self {
            Self::Utf8(builder) => builder.append_value(text),
            Self::LargeUtf8(builder) => builder.append_value(text),
            _ => return Err(scanner.fault_at(start, Found::Not("a value of this column's type"))),
        }
        Ok(())
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) | Self::Timestamp(builder, ..) => builder.append_null(),
            Self::UInt8(builder) => builder.append_null(),
            Self::UInt16(builder) => builder.append_null(),
            Self::UInt32(builder) => builder.append_null(),
            Self::UInt64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Utf8(builder) => builder.append_null(),
            Self::LargeUtf8(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
            Self::LargeBinary(builder) => builder.append_null(),
            Self::List(column) => column.append_null(),
            Self::LargeList(column) => column.append_null(),
            Self::Struct(column) => {
                column.members.append_nulls();
                column.nulls.append_null();
            }
            Self::Map(column) => {
                column
                    .offsets
                    .push(column.offsets.last().copied().unwrap_or_default());
                column.nulls.append_null();
            }
        }
    }

    /// The values so far.
    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Int8(mut builder) => Arc::new(builder.finish()),
            Self::Int16(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::UInt8(mut builder) => Arc::new(builder.finish()),
            Self::UInt16(mut builder) => Arc::new(builder.finish()),
            Self::UInt32(mut builder) => Arc::new(builder.finish()),
            Self::UInt64(mut builder) => Arc::new(builder.finish()),
            Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(mut builder, precision, scale) => {
                Arc::new(builder.finish().with_precision_and_scale(precision, scale)?)
            }
            Self::Date(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder, unit, zone) => {
                let times = builder.finish();
                match unit {
                    TimeUnit::Second => Arc::new(
                        times
                            .reinterpret_cast::<TimestampSecondType>()
                            .with_timezone_opt(zone),
                    ),
                    TimeUnit::Millisecond => Arc::new(
                        times
                            .reinterpret_cast::<TimestampMillisecondType>()
                            .with_timezone_opt(zone),
                    ),
                    TimeUnit::Microsecond => Arc::new(
                        times
                            .reinterpret_cast::<TimestampMicrosecondType>()
                            .with_timezone_opt(zone),
                    ),
                    TimeUnit::Nanosecond => Arc::new(
                        times
                            .reinterpret_cast::<TimestampNanosecondType>()
                            .with_timezone_opt(zone),
                    ),
                }
            }
            Self::Utf8(mut builder) => Arc::new(builder.finish()),
            Self::LargeUtf8(mut builder) => Arc::new(builder.finish()),
            Self::Binary(mut builder) => Arc::new(builder.finish()),
            Self::LargeBinary(mut builder) => Arc::new(builder.finish()),
            Self::List(column) => column.finish()?,
            Self::LargeList(column) => column.finish()?,
            Self::Struct(column) => {
                let StructColumn {
                    fields,
                    members,
                    mut nulls,
                } = *column;
                Arc::new(StructArray::try_new(fields, members.finish()?, nulls.finish())?)
            }
            Self::Map(column) => column.finish()?,
        })
    }
}

impl Member {
    /// An empty column of a field that stands at a depth of a schema.
    pub(crate) fn new(field: &Field, depth: usize) -> Result<Self, RowsError> {
        Ok(Self {
            name: field.name().clone(),
            column: Column::new(field, depth)?,
            is_nullable: field.is_nullable(),
            seen: 0,
        })
    }

    /// Takes the value that is here.
    #[inline]
    pub(crate) fn read(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        let read = self.column.read(self.is_nullable, scanner, state);
        read.map_err(|fault| fault.within(&self.name))
    }

    /// Takes any value that is here, as its JSON text.
    pub(crate) fn read_json(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        let read = self.column.read_json(scanner, state);
        read.map_err(|fault| fault.within(&self.name))
    }

    /// Appends what stands for a value that an object does not have. The object began at `start`.
    pub(crate) fn leave_out(&mut self, start: usize, scanner: &Scanner<'_>) -> Result<()> {
        if !self.is_nullable {
            return Err(scanner.fault_at(start, Found::Missing).within(&self.name));
        }
        self.column.append_null();
        Ok(())
    }
}

impl Members {
    /// Columns for these fields, which stand at a depth of a schema.
    fn new(fields: &Fields, depth: usize) -> Result<Self, RowsError> {
        let members = fields.iter().map(|field| Member::new(field, depth));
        Ok(Self {
            members: members.collect::<Result<_, _>>()?,
            names: Names::new(fields.iter().map(|field| field.name().as_str())),
            objects: 0,
        })
    }

    /// The bytes that an object takes at least.
    fn width(&self) -> usize {
        self.members.iter().map(|member| member.column.width()).sum()
    }

    /// Takes an object. Members that no column is named after are left out.
    fn read(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        let start = scanner.at();
        scanner.open(b'{', Found::Not("an object"))?;
        self.objects += 1;
        let (mut next, mut missing, mut is_first) = (0, self.members.len(), true);
        while let Some(name) = scanner.member(is_first, &mut state.scratch)? {
            is_first = false;
            let found = self
                .names
                .find(name.as_str(), next, &self.members, |member| &member.name);
            let Some(index) = found else {
                scanner.skip()?;
                continue;
            };
            let Some(member) = self.members.get_mut(index) else {
                continue;
            };
            if member.seen == self.objects {
                return Err(scanner.fault(Found::Twice).within(&member.name));
            }
            member.seen = self.objects;
            member.read(scanner, state)?;
            missing -= 1;
            next = index + 1;
        }
        if missing > 0 {
            let absent = self
                .members
                .iter_mut()
                .filter(|member| member.seen < self.objects);
            for member in absent {
                member.leave_out(start, scanner)?;
            }
        }
        Ok(())
    }

    /// Appends what stands for no object.
    fn append_nulls(&mut self) {
        for member in &mut self.members {
            member.column.append_null();
        }
    }

    fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.members
            .into_iter()
            .map(|member| member.column.finish())
            .collect()
    }
}

impl<O: OffsetSizeTrait> ListColumn<O> {
    fn new(element: &FieldRef, depth: usize) -> Result<Self, RowsError> {
        let values = Column::new(element, depth + 1)?;
        Ok(Self {
            element: element.clone(),
            width: values.width(),
            values,
            offsets: vec![O::zero()],
            nulls: NullBufferBuilder::new(0),
        })
    }

    fn read(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        scanner.open(b'[', Found::Not("an array"))?;
        let is_nullable = self.element.is_nullable();
        let mut length = self.offsets.last().copied().unwrap_or_default();
        let mut is_first = true;
        while scanner.element(is_first)? {
            state.budget.take(self.width, scanner)?;
            self.values.read(is_nullable, scanner, state)?;
            length += O::one();
            is_first = false;
        }
        self.offsets.push(length);
        self.nulls.append_non_null();
        Ok(())
    }

    fn append_null(&mut self) {
        self.offsets
            .push(self.offsets.last().copied().unwrap_or_default());
        self.nulls.append_null();
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let values = self.values.finish()?;
        Ok(Arc::new(GenericListArray::try_new(
            self.element,
            offsets,
            values,
            self.nulls.finish(),
        )?))
    }
}

impl MapColumn {
    fn read(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        scanner.open(b'{', Found::Not("an object"))?;
        let is_nullable = self.value.is_nullable();
        let (start, first_key) = (scanner.at(), self.keys.len());
        let mut is_first = true;
        while let Some(name) = scanner.member(is_first, &mut state.scratch)? {
            let name = name.as_str();
            state.budget.take(self.width + name.len(), scanner)?;
            self.keys.append_value(name);
            self.values.read(is_nullable, scanner, state)?;
            is_first = false;
        }
        if self.has_twins(first_key) {
            return Err(scanner.fault_at(start, Found::Twice));
        }
        self.offsets
            .push(i32::try_from(self.keys.len()).unwrap_or(i32::MAX));
        self.nulls.append_non_null();
        Ok(())
    }

    /// Whether two keys from this one on are the same.
    fn has_twins(&self, first: usize) -> bool {
        let offsets = self.keys.offsets_slice().get(first..).unwrap_or_default();
        let key = |pair: &[i32]| self.keys.values_slice().get(pair[0] as usize..pair[1] as usize);
        let mut keys: Vec<_> = offsets.windows(2).map(key).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let DataType::Struct(fields) = self.entries.data_type() else {
            return Err(ArrowError::SchemaError("a map without entries".into()));
        };
        let columns = vec![Arc::new(self.keys.finish()) as ArrayRef, self.values.finish()?];
        let entries = StructArray::try_new(fields.clone(), columns, None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Ok(Arc::new(MapArray::try_new(
            self.entries,
            offsets,
            entries,
            self.nulls.finish(),
            false,
        )?))
    }
}

#[inline]
fn integer<T: FromStr + TryFrom<i128>>(scanner: &mut Scanner<'_>, kind: Kind) -> Result<T> {
    if kind != Kind::Number {
        return Err(scanner.fault(Found::Not("an integer")));
    }
    let start = scanner.at();
    let text = scanner.number()?;
    // Another spelling of an integer, such as 1.0 or 1e3, is rare.
    let value = text.parse().ok();
    let value = value.or_else(|| scaled(text, 0).and_then(|value| T::try_from(value).ok()));
    let unfit = Found::Unfit("the number is no integer, or too large for the column");
    value.ok_or_else(|| scanner.fault_at(start, unfit))
}

fn float<T: FromStr + Copy>(scanner: &mut Scanner<'_>, kind: Kind, is_finite: fn(T) -> bool) -> Result<T> {
    if kind != Kind::Number {
        return Err(scanner.fault(Found::Not("a number")));
    }
    let start = scanner.at();
    let value = scanner.number()?.parse().ok().filter(|value| is_finite(*value));
    value.ok_or_else(|| scanner.fault_at(start, Found::Unfit("the number is too large for the column")))
}

fn decimal(number: &str, precision: u8, scale: i8) -> Option<i128> {
    let bound = 10_i128.checked_pow(u32::from(precision))?;
    scaled(number, i32::from(scale)).filter(|value| value.unsigned_abs() < bound.unsigned_abs())
}

/// What is finer than the unit is cut off, as Spark does.
fn in_unit(time: NaiveDateTime, unit: TimeUnit) -> Option<i64> {
    let time = time.and_utc();
    match unit {
        TimeUnit::Second => Some(time.timestamp()),
        TimeUnit::Millisecond => Some(time.timestamp_millis()),
        TimeUnit::Microsecond => Some(time.timestamp_micros()),
        TimeUnit::Nanosecond => time.timestamp_nanos_opt(),
    }
}

#[inline]
fn string<'a, 'b>(
    scanner: &mut Scanner<'a>,
    kind: Kind,
    scratch: &'b mut String,
    expected: &'static str,
) -> Result<Text<'a, 'b>> {
    match kind {
        Kind::String => scanner.string(scratch),
        _ => Err(scanner.fault(Found::Not(expected))),
    }
}

#[inline]
fn append_text<O: OffsetSizeTrait>(
    builder: &mut GenericStringBuilder<O>,
    scanner: &mut Scanner<'_>,
    kind: Kind,
    state: &mut State,
) -> Result<()> {
    if kind != Kind::String {
        return Err(scanner.fault(Found::Not("text")));
    }
    let mut length = 0;
    scanner.string_parts(|part| {
        length += part.len();
        // It can't fail: the builder is memory.
        let _ = builder.write_str(part);
    })?;
    builder.append_value("");
    state.budget.take(length, scanner)
}

fn append_bytes<O: OffsetSizeTrait>(
    builder: &mut GenericBinaryBuilder<O>,
    scanner: &mut Scanner<'_>,
    kind: Kind,
    state: &mut State,
) -> Result<()> {
    let start = scanner.at();
    let text = string(scanner, kind, &mut state.scratch, "bytes as text in base64")?;
    let bytes = BASE64.decode(text.as_str());
    let bytes =
        bytes.map_err(|_| scanner.fault_at(start, Found::Unfit("the text is no base64 with padding")))?;
    state.budget.take(bytes.len(), scanner)?;
    builder.append_value(bytes);
    Ok(())
}
