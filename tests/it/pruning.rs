//! Readers that skip files by their statistics find every row: tables with the wildest values that each type has, asked
//! by duckdb, which reads the log with the kernel that we write with, and by polars, which reads it with delta-rs.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema};
use sandbar_delta::{DeltaOptions, DeltaSink};
use sandbar_pipeline::{ComponentId, MicroBatch, Offset, Sink, Stage, SystemClock};
use serde_json::{Value, json};
use url::Url;

use crate::readers::{python, script};
use crate::support::{Random, say, seed, variable};

const READERS: [&str; 2] = ["duckdb", "polars"];
/// Columns to partition by, in tables of their own.
const PARTITIONS: [&str; 10] = [
    "truth", "byte", "long", "unsigned", "double", "small", "day", "time", "wall", "text",
];
const FILES: u64 = 12;
const LAST_DAY: i32 = 2_932_896;
const LAST_TIME: i64 = 253_402_300_799_999_999;
const FIRST_DAY: i32 = -719_162;
const FIRST_TIME: i64 = -62_135_596_800_000_000;

/// The rows of one file.
struct Rows<'r> {
    random: &'r mut Random,
    count: usize,
}

impl Rows<'_> {
    /// A column of values of the pool and of others, with nulls in between. Some have only one kind of value.
    fn of<T: Clone>(&mut self, pool: &[T], mut other: impl FnMut(u64) -> T) -> Vec<Option<T>> {
        let kind = self.random.below(8);
        let mut value = || {
            let picked = self.random.below(pool.len() as u64) as usize;
            match (kind, self.random.below(4)) {
                (0, _) | (1..6, 0) => None,
                (6, _) | (_, 1 | 2) => Some(pool[picked].clone()),
                _ => Some(other(self.random.next())),
            }
        };
        (0..self.count).map(|_| value()).collect()
    }

    fn doubles(&mut self) -> Vec<Option<f64>> {
        let pool = [
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            f64::MAX,
            f64::MIN,
            5e-324,
            0.1 + 0.2,
            1e16,
        ];
        self.of(&pool, |bits| (bits as i64 >> 40) as f64 / 7.0)
    }

    fn floats(&mut self) -> Vec<Option<f32>> {
        let pool = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            0.1,
            16_777_217.0,
        ];
        self.of(&pool, |bits| (bits as i32 >> 8) as f32 / 7.0)
    }

    fn decimals(&mut self, precision: u32, scale: i8) -> ArrayRef {
        let most = 10_i128.pow(precision) - 1;
        let wide = |bits: u64| i128::from(bits).wrapping_mul(bits.into()) % most;
        let values = self.of(&[most, -most, 0, 1, -1, most / 3, most - 1], wide);
        let values = Decimal128Array::from(values);
        Arc::new(values.with_precision_and_scale(precision as u8, scale).unwrap())
    }

    fn days(&mut self) -> Vec<Option<i32>> {
        self.of(&[FIRST_DAY, LAST_DAY, 0, -1, -141_428], |bits| {
            (bits % 40_000) as i32
        })
    }

    fn times(&mut self) -> Vec<Option<i64>> {
        let pool = [
            FIRST_TIME,
            LAST_TIME,
            0,
            -1,
            1,
            999,
            -999,
            1_783_007_755_298_677,
            -12_219_292_800_000_001,
        ];
        self.of(&pool, |bits| (bits >> 12) as i64)
    }

    fn texts(&mut self) -> Vec<Option<String>> {
        let a = "a".repeat(32);
        let last = '\u{10ffff}';
        let pool = [
            String::new(),
            "a".into(),
            a.clone(),
            format!("{a}a"),
            format!("{a}\u{7f}"),
            format!("{a}\u{80}"),
            format!("{a}{last}b"),
            format!("{a}{last}"),
            last.to_string().repeat(70),
            format!("{}b", last.to_string().repeat(32)),
            format!("{}\u{ffff}", "a".repeat(31)),
            format!("{}😀😀", "a".repeat(31)),
            format!("{}\u{e000}x", "😀".repeat(32)),
            format!("{}😀x", "\u{ffff}".repeat(32)),
            "ä".repeat(33),
            "\u{7f}".repeat(40),
            "\"\\\n\t\u{1}\u{2028}".into(),
            "z".repeat(100),
        ];
        let letters = ['a', 'b', 'ß', '\u{7f}', '\u{80}', '\u{ffff}', '😀', last];
        let other = |bits: u64| {
            (0..bits % 80)
                .map(|at| letters[(bits >> (at % 61)) as usize % 8])
                .collect()
        };
        self.of(&pool, other)
    }

    fn bytes(&mut self) -> ArrayRef {
        let pool = [vec![], vec![0], vec![0xff; 40], vec![0x7f; 33]];
        let values = self.of(&pool, |bits| bits.to_be_bytes()[..(bits % 8) as usize].to_vec());
        Arc::new(BinaryArray::from_iter(values))
    }
}

/// A column for each type that a table has.
fn columns(rows: &mut Rows<'_>, first: i64) -> Vec<(&'static str, ArrayRef)> {
    let utc = TimestampMicrosecondArray::from(rows.times()).with_timezone("UTC");
    let inside = StructArray::from(vec![
        (
            Arc::new(Field::new("float", DataType::Float64, true)),
            Arc::new(Float64Array::from(rows.doubles())) as ArrayRef,
        ),
        (
            Arc::new(Field::new("text", DataType::Utf8, true)),
            Arc::new(StringArray::from(rows.texts())) as ArrayRef,
        ),
        (
            Arc::new(Field::new("day", DataType::Date32, true)),
            Arc::new(Date32Array::from(rows.days())) as ArrayRef,
        ),
    ]);
    let mut list = ListBuilder::new(Float64Builder::new());
    for value in rows.doubles() {
        list.append_value([value, None]);
    }
    vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(first..first + rows.count as i64)),
        ),
        (
            "truth",
            Arc::new(BooleanArray::from(rows.of(&[true, false], |bits| bits % 2 == 0))),
        ),
        (
            "byte",
            Arc::new(Int8Array::from(
                rows.of(&[i8::MIN, i8::MAX, 0], |bits| bits as i8),
            )),
        ),
        (
            "short",
            Arc::new(Int16Array::from(
                rows.of(&[i16::MIN, i16::MAX, 0], |bits| bits as i16),
            )),
        ),
        (
            "int",
            Arc::new(Int32Array::from(
                rows.of(&[i32::MIN, i32::MAX, 0], |bits| bits as i32),
            )),
        ),
        (
            "long",
            Arc::new(Int64Array::from(
                rows.of(&[i64::MIN, i64::MAX, 0], |bits| bits as i64),
            )),
        ),
        (
            "unsigned",
            Arc::new(UInt64Array::from(rows.of(&[0, u64::MAX], |bits| bits))),
        ),
        ("float", Arc::new(Float32Array::from(rows.floats()))),
        ("double", Arc::new(Float64Array::from(rows.doubles()))),
        ("small", rows.decimals(5, 2)),
        ("large", rows.decimals(38, 0)),
        ("fine", rows.decimals(38, 30)),
        ("day", Arc::new(Date32Array::from(rows.days()))),
        ("time", Arc::new(utc)),
        ("wall", Arc::new(TimestampMicrosecondArray::from(rows.times()))),
        ("text", Arc::new(StringArray::from(rows.texts()))),
        ("bytes", rows.bytes()),
        ("inside", Arc::new(inside)),
        ("list", Arc::new(list.finish())),
    ]
}

/// Writes a table of many small files, partitioned by this column if one is named, and gives the number of its rows.
async fn table(folder: &Path, random: &mut Random, partition: Option<&str>) -> usize {
    let url = Url::from_directory_path(folder).unwrap();
    let mut options = DeltaOptions::new(url, "p", Arc::new(SystemClock::default()));
    options.partition_by = partition.iter().map(|name| (*name).to_owned()).collect();
    let (mut sink, mut total) = (None, 0);
    for file in 1..=FILES {
        let count = 1 + random.below(4) as usize;
        total += count;
        let columns = columns(
            &mut Rows {
                random: &mut *random,
                count,
            },
            file as i64 * 10,
        );
        // Texts that are empty or too long for a folder are refused there.
        let held = |(name, values): (&'static str, ArrayRef)| match (name, partition) {
            ("text", Some("text")) => (name, for_folders(&values), true),
            _ => (name, values, true),
        };
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(held)).unwrap();
        let schema: &Schema = rows.schema_ref();
        let sink = match &mut sink {
            Some(sink) => sink,
            none => none.insert(DeltaSink::open(options.clone(), schema).await.unwrap()),
        };
        let mut stage = sink.stage().await.unwrap();
        stage.write(rows).await.unwrap();
        let (staged, _) = stage.finish().await.unwrap();
        let at = |file: u64| Offset::from(json!(file));
        let batch = MicroBatch {
            pipeline: "p".into(),
            batch: file,
            start: at(file - 1),
            end: at(file),
            rows: count as u64,
            component: ComponentId {
                name: "c".into(),
                version: "1.0.0".into(),
                digest: "sha256:00".into(),
            },
            source: None,
            swap: None,
        };
        let _ = sink.commit(Some(staged), &batch).await.unwrap();
    }
    total
}

fn for_folders(values: &ArrayRef) -> ArrayRef {
    let texts = values.as_string::<i32>().iter();
    let fits = |text: &&str| (1..=20).contains(&text.chars().count());
    Arc::new(texts.map(|text| text.filter(fits)).collect::<StringArray>())
}

/// Asks each reader for these columns, and gives how many comparisons were counted.
#[track_caller]
fn assert_nothing_is_hidden(python: &Path, folder: &Path, rows: usize, seed: u64, columns: &str) -> u64 {
    let seeded = seed.to_string();
    let arguments = [&[folder.to_str().unwrap(), &seeded, columns][..], &READERS].concat();
    let answers = script(python, "prune.py", &arguments);
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), READERS.len());
    for (answer, reader) in answers.iter().zip(READERS) {
        assert_eq!(
            (&answer["reader"], &answer["rows"]),
            (&json!(reader), &json!(rows))
        );
        assert_eq!(
            answer["wrong"],
            json!([]),
            "{reader}, {columns} (SANDBAR_SEED={seed})"
        );
        assert_eq!(answer["skips"], true, "{reader} reads every file");
    }
    answers
        .iter()
        .map(|answer| answer["counted"].as_u64().unwrap())
        .sum()
}

#[tokio::test]
async fn no_reader_misses_a_row_for_statistics() {
    let Some(python) = python() else { return };
    let seed = seed();
    let mut random = Random(seed);
    let tables = variable("SANDBAR_TABLES").unwrap_or(1);
    let mut counted = 0;
    for _ in 0..tables {
        let folder = tempfile::tempdir().unwrap();
        let rows = table(folder.path(), &mut random, None).await;
        counted += assert_nothing_is_hidden(&python, folder.path(), rows, seed, "all");
    }
    say(&format!(
        "pruning: {counted} comparisons on {tables} tables, none hides a row (SANDBAR_SEED={seed})"
    ));
}

#[tokio::test]
async fn no_reader_misses_a_row_for_partition_values() {
    let Some(python) = python() else { return };
    let seed = seed();
    let mut random = Random(seed);
    let mut counted = 0;
    for column in PARTITIONS {
        let folder = tempfile::tempdir().unwrap();
        let rows = table(folder.path(), &mut random, Some(column)).await;
        let columns = format!("id,{column}");
        counted += assert_nothing_is_hidden(&python, folder.path(), rows, seed, &columns);
    }
    say(&format!(
        "pruning: {counted} comparisons on tables with partitions, none hides a row (SANDBAR_SEED={seed})"
    ));
}
