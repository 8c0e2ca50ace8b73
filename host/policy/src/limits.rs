use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::PolicyError;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The kind of a limit's value, and with it its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Bytes.
    Size,
    /// A time span.
    Time,
    /// A whole number.
    Count,
    /// A number for each second.
    Rate,
}

/// A limit's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitValue {
    /// Bytes.
    Size(u64),
    /// A time span.
    Time(Duration),
    /// A whole number.
    Count(u64),
    /// A number for each second.
    Rate(f64),
}

impl LimitValue {
    fn kind(self) -> LimitKind {
        match self {
            Self::Size(_) => LimitKind::Size,
            Self::Time(_) => LimitKind::Time,
            Self::Count(_) => LimitKind::Count,
            Self::Rate(_) => LimitKind::Rate,
        }
    }
}

/// The Rust type of a limit's field.
trait Field: Copy {
    fn to_value(self, kind: LimitKind) -> Option<LimitValue>;
    fn from_value(value: LimitValue) -> Option<Self>;
}

impl Field for u64 {
    fn to_value(self, kind: LimitKind) -> Option<LimitValue> {
        Some(match kind {
            LimitKind::Size => LimitValue::Size(self),
            _ => LimitValue::Count(self),
        })
    }

    fn from_value(value: LimitValue) -> Option<Self> {
        match value {
            LimitValue::Size(number) | LimitValue::Count(number) => Some(number),
            _ => None,
        }
    }
}

impl Field for u32 {
    fn to_value(self, _: LimitKind) -> Option<LimitValue> {
        Some(LimitValue::Count(self.into()))
    }

    fn from_value(value: LimitValue) -> Option<Self> {
        match value {
            LimitValue::Count(number) => number.try_into().ok(),
            _ => None,
        }
    }
}

impl Field for Duration {
    fn to_value(self, _: LimitKind) -> Option<LimitValue> {
        Some(LimitValue::Time(self))
    }

    fn from_value(value: LimitValue) -> Option<Self> {
        match value {
            LimitValue::Time(span) => Some(span),
            _ => None,
        }
    }
}

impl Field for Option<f64> {
    fn to_value(self, _: LimitKind) -> Option<LimitValue> {
        self.map(LimitValue::Rate)
    }

    fn from_value(value: LimitValue) -> Option<Self> {
        match value {
            LimitValue::Rate(number) if number.is_finite() && number > 0.0 => Some(Some(number)),
            _ => None,
        }
    }
}

/// The one table of limits. Each row becomes a field of [`Limits`] with its setter, a [`LimitKey`], a key of
/// `[source.limits]` and an entry of the reference.
macro_rules! limits {
    ($($variant:ident $field:ident $setter:ident: $type:ty as $kind:ident = $default:expr, $bounds:expr, $doc:literal;)+) => {
        /// What a connector may use. Each read of a partition has an instance of its own.
        ///
        /// ```
        /// let limits = sandbar_policy::Limits::default().with_memory(64 << 20);
        /// assert_eq!(limits.memory, 64 << 20);
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct Limits {
            $(#[doc = $doc] pub $field: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Limits {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`: ", $doc)]
                #[must_use]
                pub fn $setter(mut self, value: $type) -> Self {
                    self.$field = value;
                    self
                }
            )+

            /// The value of a limit; `None` for a rate without a limit.
            pub fn get(&self, key: LimitKey) -> Option<LimitValue> {
                match key {
                    $(LimitKey::$variant => Field::to_value(self.$field, LimitKind::$kind),)+
                }
            }

            fn put(&mut self, key: LimitKey, value: LimitValue) -> bool {
                match key {
                    $(LimitKey::$variant => match Field::from_value(value) {
                        Some(value) => self.$field = value,
                        None => return false,
                    },)+
                }
                true
            }
        }

        /// Names a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum LimitKey {
            $(#[doc = $doc] $variant,)+
        }

        impl LimitKey {
            /// All limits, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The key as it stands in a pipeline file.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field),)+ }
            }

            /// What is limited: one sentence.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }

            /// The kind of its value.
            pub const fn kind(self) -> LimitKind {
                match self { $(Self::$variant => LimitKind::$kind,)+ }
            }

            /// The smallest and the largest value of a size or a count.
            pub fn bounds(self) -> RangeInclusive<u64> {
                match self { $(Self::$variant => $bounds,)+ }
            }
        }
    };
}

limits! {
    Memory memory with_memory: u64 as Size = 256 * MIB, 1..=u64::MAX,
        "Memory of one instance: its linear memories and tables, and the responses and rows that the host holds for it.";
    Cpu cpu with_cpu: Duration as Time = Duration::from_secs(10), 0..=0,
        "Processor time of one call.";
    Deadline deadline with_deadline: Duration as Time = Duration::from_secs(60), 0..=0,
        "Wall-clock time of one call, waiting included.";
    Batch batch with_batch: u64 as Size = 64 * MIB, 1..=u64::MAX,
        "Bytes that cross the wall in one call; with it the size of one record batch.";
    ResponseBody response_body with_response_body: u64 as Size = 64 * MIB, 1..=u64::MAX,
        "The body of one HTTP response, decoded.";
    RequestBody request_body with_request_body: u64 as Size = 16 * MIB, 1..=u64::MAX,
        "The body of one HTTP request.";
    RequestsPerSecond requests_per_second with_requests_per_second: Option<f64> as Rate = None, 0..=0,
        "HTTP requests in a second, over all partitions.";
    Parallelism parallelism with_parallelism: u32 as Count = 4, 1..=u32::MAX.into(),
        "Partitions that are read at once.";
    RequestsInFlight requests_in_flight with_requests_in_flight: u32 as Count = 32, 1..=u32::MAX.into(),
        "HTTP requests in flight at once, over all partitions.";
    Log log with_log: u64 as Size = MIB, 1..=u64::MAX,
        "Log messages of a pipeline in one minute; further ones are dropped.";
    Handles handles with_handles: u32 as Count = 256, 1..=u32::MAX.into(),
        "Handles that one instance may hold, resources of the host included.";
    Stack stack with_stack: u64 as Size = 512 * KIB, 64 * KIB..=64 * MIB,
        "The stack of one instance.";
    EmptyBatches empty_batches with_empty_batches: u32 as Count = 1_000, 1..=u32::MAX.into(),
        "Record batches without a row, one after the other.";
    ComponentSize component_size with_component_size: u64 as Size = 64 * MIB, 1..=u64::MAX,
        "The component itself, before it is compiled.";
    CompileTime compile_time with_compile_time: Duration as Time = Duration::from_secs(120), 0..=0,
        "Time for compiling the component.";
    CompileMemory compile_memory with_compile_memory: u64 as Size = 4 * GIB, 1..=u64::MAX,
        "Memory for compiling the component, where a process of its own does that.";
    RequestsPerBatch requests_per_batch with_requests_per_batch: u64 as Count = 10_000, 1..=u64::MAX,
        "HTTP requests for one record batch or one other call, redirects and retries included.";
    RequestTimeout request_timeout with_request_timeout: Duration as Time = Duration::from_secs(60), 0..=0,
        "Time of one HTTP request, from its turn to the end of the response's body.";
    ResponseHeaders response_headers with_response_headers: u64 as Size = 64 * KIB, 1..=u64::MAX,
        "The headers of one HTTP response.";
    ResponseHeaderCount response_header_count with_response_header_count: u32 as Count = 100, 1..=u32::MAX.into(),
        "Headers of one HTTP response.";
    Offset offset with_offset: u64 as Size = 64 * KIB, 1..=MIB,
        "An offset; each commit holds up to three of them.";
}

impl Limits {
    /// Sets a limit by its key.
    ///
    /// # Errors
    /// [`PolicyError::Limit`] when the value is of another kind, zero, or outside of [`LimitKey::bounds`].
    pub fn set(&mut self, key: LimitKey, value: LimitValue) -> Result<(), PolicyError> {
        let refused = |reason: String| {
            Err(PolicyError::Limit {
                key: key.as_str(),
                reason,
            })
        };
        if value.kind() != key.kind() {
            return refused(format!("it is a {:?}, not a {:?}", key.kind(), value.kind()));
        }
        match value {
            LimitValue::Size(number) | LimitValue::Count(number) if !key.bounds().contains(&number) => {
                let (least, greatest) = key.bounds().into_inner();
                return refused(format!("{number} is not between {least} and {greatest}"));
            }
            LimitValue::Time(Duration::ZERO) => return refused("it is no time at all".into()),
            _ => {}
        }
        match self.put(key, value) {
            true => Ok(()),
            false => refused(format!("{value:?} is not possible")),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_reached_by_its_key() {
        let mut limits = Limits::default();
        for key in LimitKey::ALL {
            let value = match key.kind() {
                LimitKind::Size => LimitValue::Size(*key.bounds().start()),
                LimitKind::Count => LimitValue::Count(*key.bounds().start()),
                LimitKind::Time => LimitValue::Time(Duration::from_millis(7)),
                LimitKind::Rate => LimitValue::Rate(0.5),
            };
            assert_ne!(limits.get(*key), Some(value), "{key} has this value by default");
            limits.set(*key, value).unwrap();
            assert_eq!(limits.get(*key), Some(value), "{key}");
        }
        assert_ne!(limits, Limits::default());
        assert_eq!(Limits::default().with_stack(MIB).stack, MIB);
    }

    #[test]
    fn a_value_of_another_kind_or_outside_of_its_bounds_is_refused() {
        let mut limits = Limits::default();
        for (key, value) in [
            (LimitKey::Memory, LimitValue::Count(1)),
            (LimitKey::Memory, LimitValue::Size(0)),
            (LimitKey::Cpu, LimitValue::Time(Duration::ZERO)),
            (LimitKey::Stack, LimitValue::Size(1)),
            (LimitKey::Offset, LimitValue::Size(MIB + 1)),
            (LimitKey::Handles, LimitValue::Count(u64::MAX)),
            (LimitKey::RequestsPerSecond, LimitValue::Rate(f64::NAN)),
            (LimitKey::RequestsPerSecond, LimitValue::Rate(0.0)),
        ] {
            let error = limits.set(key, value).unwrap_err().to_string();
            assert!(error.contains(key.as_str()), "{error}");
        }
        assert_eq!(limits, Limits::default());
    }
}
