//! The smallest and largest values of a data file, as readers that skip files may rely on them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, StructArray};
use arrow_schema::{ArrowError, DataType};

const MIN_VALUES: &str = "minValues";
const MAX_VALUES: &str = "maxValues";

/// Makes bounds of floating-point numbers right. The kernel gives the first and the last value of IEEE 754's total order.
///
/// - A NaN lies above all numbers, for Spark and whoever follows it: a file that holds one has no upper bound. By
///   the total order one with its sign set lies below all of them: then neither bound says anything.
/// - JSON has no infinity: a bound that would be one is left out.
/// - The two zeros are equal to some readers and not to others: a lower bound of zero is the negative one, an upper
///   one the positive, as in Parquet's statistics.
pub(crate) fn sound(stats: &StructArray) -> Result<StructArray, ArrowError> {
    let (Some(min), Some(max)) = (stats.column_by_name(MIN_VALUES), stats.column_by_name(MAX_VALUES)) else {
        return Ok(stats.clone());
    };
    let (min, max) = sound_pair(min, max)?;
    let columns = stats.fields().iter().zip(stats.columns());
    let columns = columns.map(|(field, column)| match field.name().as_str() {
        MIN_VALUES => Arc::clone(&min),
        MAX_VALUES => Arc::clone(&max),
        _ => Arc::clone(column),
    });
    StructArray::try_new(stats.fields().clone(), columns.collect(), stats.nulls().cloned())
}

fn sound_pair(min: &ArrayRef, max: &ArrayRef) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    match (min.data_type(), max.data_type()) {
        (DataType::Struct(_), DataType::Struct(_)) => {
            let (min, max) = (min.as_struct(), max.as_struct());
            let pairs = min.columns().iter().zip(max.columns());
            let pairs = pairs.map(|(min, max)| sound_pair(min, max));
            let (lower, upper): (Vec<_>, Vec<_>) = pairs.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let anew = |of: &StructArray, columns| {
                let anew = StructArray::try_new(of.fields().clone(), columns, of.nulls().cloned())?;
                Ok::<_, ArrowError>(Arc::new(anew) as ArrayRef)
            };
            Ok((anew(min, lower)?, anew(max, upper)?))
        }
        (DataType::Float32, DataType::Float32) => Ok(sound_floats::<Float32Type>(min, max, f64::from)),
        (DataType::Float64, DataType::Float64) => Ok(sound_floats::<Float64Type>(min, max, f64::from)),
        _ => Ok((Arc::clone(min), Arc::clone(max))),
    }
}

fn sound_floats<T: ArrowPrimitiveType>(
    min: &ArrayRef,
    max: &ArrayRef,
    wide: fn(T::Native) -> f64,
) -> (ArrayRef, ArrayRef)
where
    T::Native: std::ops::Neg<Output = T::Native>,
{
    let first = |bound: &ArrayRef| bound.as_primitive::<T>().iter().next().flatten();
    let (min, max) = (first(min), first(max));
    let is_nan = |bound: Option<T::Native>| bound.is_some_and(|bound| wide(bound).is_nan());
    let finite = |bound: &T::Native| wide(*bound).is_finite();
    let zero = |bound: T::Native, negative: bool| {
        let turned = wide(bound) == 0.0 && wide(bound).is_sign_negative() != negative;
        if turned { -bound } else { bound }
    };
    let lower = min.filter(finite).map(|bound| zero(bound, true));
    let upper = max
        .filter(finite)
        .filter(|_| !is_nan(min))
        .map(|bound| zero(bound, false));
    let array = |bound| Arc::new(PrimitiveArray::<T>::from_iter([bound])) as ArrayRef;
    (array(lower), array(upper))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float32Array, Float64Array, RecordBatch};
    use arrow_schema::{Field, Schema};
    use delta_kernel::engine::arrow_conversion::TryFromArrow;
    use delta_kernel::expressions::ColumnName;
    use delta_kernel::schema::StructType;
    use delta_kernel_default_engine::stats::FileStatsAccumulator;

    use super::*;

    const POOL: [Option<f64>; 11] = [
        None,
        Some(f64::NAN),
        Some(-f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(0.0),
        Some(-0.0),
        Some(1.5),
        Some(-1.5),
        Some(f64::MAX),
        Some(f64::MIN_POSITIVE),
    ];

    /// The bounds that a file gets whose row groups hold these values, plain and inside of a struct.
    fn bounds(groups: &[ArrayRef]) -> [Option<f64>; 2] {
        let batch = |values: &ArrayRef| {
            let field = Field::new("x", values.data_type().clone(), true);
            let nested = StructArray::from(vec![(Arc::new(field), Arc::clone(values))]);
            RecordBatch::try_from_iter_with_nullable([
                ("x", Arc::clone(values), true),
                ("s", Arc::new(nested) as ArrayRef, true),
            ])
            .unwrap()
        };
        let schema: Schema = batch(&groups[0]).schema().as_ref().clone();
        let columns = [ColumnName::new(["x"]), ColumnName::new(["s", "x"])];
        let mut stats = FileStatsAccumulator::new(&columns, &StructType::try_from_arrow(&schema).unwrap());
        groups
            .iter()
            .for_each(|group| stats.merge(&batch(group)).unwrap());
        let stats = sound(&stats.finish().unwrap().unwrap()).unwrap();
        ["minValues", "maxValues"].map(|name| {
            let all = stats.column_by_name(name).unwrap().as_struct();
            let plain = all.column_by_name("x").unwrap();
            let nested = all.column_by_name("s").unwrap().as_struct().column(0);
            assert_eq!(format!("{plain:?}"), format!("{nested:?}"));
            match plain.as_primitive_opt::<Float64Type>() {
                Some(bound) => bound.iter().next().unwrap(),
                None => plain
                    .as_primitive::<Float32Type>()
                    .iter()
                    .next()
                    .unwrap()
                    .map(f64::from),
            }
        })
    }

    /// Every reader may rely on them: those to whom a NaN is above all numbers, and those who follow the total order.
    fn assert_sound([lower, upper]: [Option<f64>; 2], values: &[Option<f64>]) {
        let case = format!("{lower:?} to {upper:?} for {values:?}");
        let values: Vec<f64> = values.iter().copied().flatten().collect();
        assert!(
            [lower, upper].iter().flatten().all(|bound| bound.is_finite()),
            "{case}"
        );
        if let Some(lower) = lower {
            let holds = |value: &f64| lower.total_cmp(value).is_le();
            assert!(values.iter().all(holds), "{case}");
        }
        if let Some(upper) = upper {
            let holds = |value: &f64| !value.is_nan() && upper.total_cmp(value).is_ge();
            assert!(values.iter().all(holds), "{case}");
        }
        if !values.is_empty() && values.iter().all(|value| value.is_finite()) {
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!((lower, upper), (Some(min), Some(max)), "{case}");
        }
    }

    #[test]
    fn bounds_of_floats_hold_for_every_reader() {
        let mut tried = 0;
        for a in POOL {
            for b in POOL {
                for c in POOL {
                    let values = [a, b, c];
                    let one: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
                    assert_sound(bounds(&[Arc::clone(&one)]), &values);
                    assert_sound(bounds(&[one.slice(0, 1), one.slice(1, 2)]), &values);
                    // Those of the pool that are another number in 32 bits become it.
                    let narrow = values.map(|value| value.map(|value| value as f32));
                    let wide = narrow.map(|value| value.map(f64::from));
                    assert_sound(bounds(&[Arc::new(Float32Array::from(narrow.to_vec()))]), &wide);
                    tried += 3;
                }
            }
        }
        assert_eq!(tried, 3993);
    }

    #[test]
    fn other_bounds_stay_as_they_are() {
        let rows = RecordBatch::try_from_iter([(
            "n",
            Arc::new(arrow_array::Int64Array::from(vec![Some(3), None, Some(-4)])) as ArrayRef,
        )])
        .unwrap();
        let schema = StructType::try_from_arrow(rows.schema().as_ref()).unwrap();
        let mut stats = FileStatsAccumulator::new(&[ColumnName::new(["n"])], &schema);
        stats.merge(&rows).unwrap();
        let stats = stats.finish().unwrap().unwrap();
        assert_eq!(sound(&stats).unwrap(), stats);
        // A table may keep no statistics at all.
        let mut none = FileStatsAccumulator::new(&[], &schema);
        none.merge(&rows).unwrap();
        let none = none.finish().unwrap().unwrap();
        assert_eq!(sound(&none).unwrap(), none);
    }
}
