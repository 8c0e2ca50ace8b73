use super::*;
use crate::arrow::scan::{MAX_BATCHES, MAX_ROWS};
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, NullArray, StringArray,
    StringViewArray, StructArray,
};
use arrow_ipc::writer::StreamWriter;

fn ipc(batches: &[RecordBatch], schema: &Schema) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(vec![], schema).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

fn rows() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("name", names, true)]).unwrap()
}

#[test]
fn honest_rows_come_through() {
    let rows = rows();
    let declared = decode_schema(ipc(&[], &rows.schema())).unwrap();
    let decoded = decode_rows(ipc(&[rows.clone(), rows.clone()], &rows.schema()), &declared).unwrap();
    assert_eq!(decoded, [rows.clone(), rows]);
}

#[test]
fn another_schema_than_the_declared_one_is_refused_with_both() {
    let declared: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    let error = decode_rows(ipc(&[rows()], &rows().schema()), &declared).unwrap_err();
    assert!(
        error.contains("id Int32") && error.contains("id Int64"),
        "{error}"
    );
}

#[test]
fn bytes_behind_the_end_a_cut_and_garbage_are_refused() {
    let rows = rows();
    let declared = rows.schema();
    let whole = ipc(&[rows], &declared);
    let mut trailing = whole.clone();
    trailing.extend([0; 8]);
    assert!(
        decode_rows(trailing, &declared)
            .unwrap_err()
            .contains("follow the end")
    );
    for cut in 0..whole.len() - 8 {
        let result = decode_rows(whole[..cut].to_vec(), &declared);
        let message_border = result.as_ref().is_ok_and(Vec::is_empty);
        assert!(result.is_err() || message_border, "cut at {cut}");
    }
    assert!(decode_rows(b"<html>502</html>".to_vec(), &declared).is_err());
}

/// Streams with columns of every kind that is decoded in a way of its own.
fn streams() -> Vec<RecordBatch> {
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some("a"),
        None,
        Some("longer than twelve bytes"),
    ]));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
    let mut lists = ListBuilder::new(StringBuilder::new());
    for words in [vec!["a", "b"], vec![], vec!["c"]] {
        lists.append_value(words.into_iter().map(Some));
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let fields = vec![Arc::new(Field::new("flag", DataType::Boolean, true))];
    let both: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![flags.clone()], None));
    let fixed: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8; 3]; 3].iter()).unwrap());
    let nested = [("name", names), ("list", lists), ("both", both), ("fixed", fixed)];
    vec![
        rows(),
        RecordBatch::try_from_iter_with_nullable(nested.map(|(name, array)| (name, array, true))).unwrap(),
    ]
}

/// What came through is what was promised, and whole: every value of it can be used.
fn assert_sound(batches: &[RecordBatch], declared: &SchemaRef, what: &str) {
    for batch in batches {
        assert_eq!(batch.schema_ref(), declared, "{what}");
        assert!(batch.num_rows() as i64 <= MAX_ROWS, "{what}");
        for column in batch.columns() {
            assert_eq!(column.len(), batch.num_rows(), "{what}");
            column
                .to_data()
                .validate_full()
                .unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    }
}

#[test]
fn no_byte_of_a_stream_makes_it_panic_or_get_through_as_what_it_is_not() {
    let (mut tried, mut refused, mut caught) = (0_u32, 0_u32, 0_u32);
    for batch in streams() {
        let declared = batch.schema();
        let whole = ipc(&[batch], &declared);
        for at in 0..whole.len() {
            let was = whole[at];
            for value in [
                0,
                1,
                2,
                0x7f,
                0x80,
                0xff,
                was ^ 1,
                was ^ 0x10,
                was.wrapping_add(4),
            ] {
                if value == was {
                    continue;
                }
                let mut changed = whole.clone();
                changed[at] = value;
                tried += 1;
                match decode_rows(changed.clone(), &declared) {
                    Ok(batches) => assert_sound(&batches, &declared, &format!("{value} at {at}")),
                    Err(reason) => {
                        refused += 1;
                        caught += u32::from(reason == PANICKED);
                    }
                }
                if let Ok(schema) = decode_schema(changed) {
                    assert!(!schema.fields().is_empty(), "{value} at {at}");
                }
            }
        }
    }
    println!("{tried} changed streams, {refused} refused, {caught} of them where the decoder panicked");
    assert!(tried > 10_000 && refused > tried / 4, "{refused} of {tried}");
}

#[test]
fn streams_put_together_at_random_are_refused_or_sound() {
    // A generator of its own (xorshift), so that a run can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let seeds: Vec<_> = streams()
        .into_iter()
        .map(|batch| {
            (
                batch.schema(),
                ipc(&[batch.clone(), batch.clone()], &batch.schema()),
            )
        })
        .collect();
    let mut taken = 0;
    for round in 0..30_000 {
        let (declared, seed) = &seeds[random(seeds.len())];
        let mut bytes = seed.clone();
        for _ in 0..=random(4) {
            let (at, to) = (random(bytes.len()), random(bytes.len()));
            match random(5) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.copy_within(at.min(to)..at.max(to), random(at.min(to) + 1)),
                3 => bytes.extend_from_within(at.min(to)..at.max(to)),
                _ => {
                    let word = [0_u32, 1, u32::MAX, i32::MAX as u32, 1 << 24][random(5)].to_le_bytes();
                    let at = at.min(bytes.len().saturating_sub(4)) & !3;
                    bytes.splice(at..(at + 4).min(bytes.len()), word);
                }
            }
        }
        if let Ok(batches) = decode_rows(bytes, declared) {
            assert_sound(&batches, declared, &format!("round {round}"));
            taken += 1;
        }
    }
    println!("30000 streams, {taken} taken");
}

#[test]
fn what_no_table_needs_is_refused_by_name() {
    let int = || Field::new("n", DataType::Int32, true);
    let list = |field| DataType::List(Arc::new(field));
    let mut deep = int();
    for _ in 0..MAX_DEPTH {
        deep = Field::new("n", list(deep), true);
    }
    let wide = (0..=MAX_COLUMNS).map(|i| Field::new(format!("c{i}"), DataType::Int8, true));
    let one = |name: &str, kind| Schema::new(vec![Field::new(name, kind, true)]);
    let views = DataType::ListView(Arc::new(int()));
    let cases = [
        (Schema::empty(), "no columns"),
        (Schema::new(vec![deep]), "deeper than 16 levels"),
        (Schema::new(wide.collect::<Vec<_>>()), "more than 4096 columns"),
        (one("n", views), "is not taken"),
        (one(&"x".repeat(1_025), DataType::Int8), "1024 are allowed"),
        (one("a\u{1b}[31m", DataType::Int8), "no control characters"),
    ];
    for (schema, reason) in cases {
        let error = decode_schema(ipc(&[], &schema)).unwrap_err();
        assert!(
            error.contains(reason) || error.contains("damaged"),
            "{reason}: {error}"
        );
    }
    assert!(
        decode_schema(ipc(&[rows()], &rows().schema()))
            .unwrap_err()
            .contains("comes with rows")
    );
}

#[test]
fn as_many_columns_and_levels_as_are_allowed_are_taken() {
    let wide = (0..MAX_COLUMNS).map(|i| Field::new(format!("column {i}"), DataType::Int8, true));
    let wide = Schema::new(wide.collect::<Vec<_>>());
    assert_eq!(
        decode_schema(ipc(&[], &wide)).unwrap().fields().len(),
        MAX_COLUMNS
    );
    let mut deep = Field::new("n", DataType::Int32, true);
    for _ in 1..MAX_DEPTH {
        deep = Field::new("n", DataType::Struct(vec![deep].into()), true);
    }
    let deep = Schema::new(vec![deep]);
    assert_eq!(decode_schema(ipc(&[], &deep)).unwrap().fields(), deep.fields());
}

#[test]
fn views_of_the_same_bytes_count_each_time() {
    let long = "x".repeat(100_000);
    let one = StringViewArray::from(vec![long.as_str()]);
    let of = |rows: usize| {
        let views = vec![one.views()[0]; rows].into();
        let all = StringViewArray::new(views, one.data_buffers().to_vec(), None);
        RecordBatch::try_from_iter([("text", Arc::new(all) as ArrayRef)]).unwrap()
    };
    let few = of(1_000);
    assert!(decode_rows(ipc(std::slice::from_ref(&few), &few.schema()), &few.schema()).is_ok());
    let many = of(3_000);
    let stream = ipc(std::slice::from_ref(&many), &many.schema());
    assert!(stream.len() < 200_000);
    let error = decode_rows(stream, &many.schema()).unwrap_err();
    assert!(error.contains("its views show 300000000 bytes"), "{error}");
}

#[test]
fn rows_without_bytes_are_counted() {
    let none = |rows| {
        let column: ArrayRef = Arc::new(NullArray::new(rows));
        RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
    };
    let all = none(MAX_ROWS as usize);
    assert!(decode_rows(ipc(std::slice::from_ref(&all), &all.schema()), &all.schema()).is_ok());
    let error = decode_rows(ipc(&[all.clone(), none(1)], &all.schema()), &all.schema()).unwrap_err();
    assert!(error.contains("4194305 rows in 2 record batches"), "{error}");
    let batches = vec![none(0); MAX_BATCHES + 1];
    let error = decode_rows(ipc(&batches, &all.schema()), &all.schema()).unwrap_err();
    assert!(error.contains("0 rows in 4097 record batches"), "{error}");
}

#[test]
fn dictionaries_are_refused() {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef)]).unwrap();
    let error = decode_schema(ipc(&[], &batch.schema())).unwrap_err();
    assert!(error.contains("word"), "{error}");
    let error = decode_rows(
        ipc(std::slice::from_ref(&batch), &batch.schema()),
        &batch.schema(),
    );
    assert!(error.unwrap_err().contains("dictionaries"));
}

#[test]
fn columns_without_width_are_refused() {
    let inner = Arc::new(Field::new("n", DataType::Int32, true));
    for kind in [
        DataType::FixedSizeBinary(0),
        DataType::FixedSizeList(inner.clone(), 0),
        DataType::FixedSizeList(inner, -1),
    ] {
        let schema = Schema::new(vec![Field::new("none", kind.clone(), true)]);
        let error = decode_schema(ipc(&[], &schema)).unwrap_err();
        assert!(error.contains("width"), "{kind}: {error}");
    }
}

#[test]
fn the_values_of_all_columns_are_bounded_together() {
    let nulls: ArrayRef = Arc::new(NullArray::new(MAX_ROWS as usize));
    let wide = |columns: usize| {
        let named = (0..columns).map(|number| (format!("c{number}"), nulls.clone(), true));
        RecordBatch::try_from_iter_with_nullable(named).unwrap()
    };
    let max = wide(16);
    assert!(decode_rows(ipc(std::slice::from_ref(&max), &max.schema()), &max.schema()).is_ok());
    let more = wide(17);
    let error = decode_rows(ipc(std::slice::from_ref(&more), &more.schema()), &more.schema()).unwrap_err();
    assert!(
        error.contains("71303168 values in all columns; 67108864 are allowed"),
        "{error}"
    );
}

#[test]
fn a_panic_of_the_decoder_is_an_error() {
    let panicking: fn() -> Result<(), String> = || panic!("an offset that nobody checked");
    assert_eq!(catch_decoder_panic(panicking), Err(PANICKED.to_owned()));
}
