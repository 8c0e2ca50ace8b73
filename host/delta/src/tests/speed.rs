use std::sync::Arc;

use arrow_array::{Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use sandbar_pipeline::{Sink, Stage};

use super::support::*;
use crate::DeltaSink;

/// Not a test: `cargo test --release -p sandbar-delta -- --ignored --nocapture speed`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints numbers"]
async fn speed() {
    let lake = Lake::new();
    let clock = lake.options().clock;
    let mut sink = lake.open().await;
    let start = clock.elapsed();
    for number in 1..=1000 {
        append(&mut sink, number).await.unwrap();
    }
    println!("commit of 10 rows: {:?}", (clock.elapsed() - start) / 1000);

    let names = ["id", "name", "email", "body"];
    let kinds = [DataType::Int32, DataType::Utf8, DataType::Utf8, DataType::Utf8];
    let fields: Vec<_> = names
        .iter()
        .zip(kinds)
        .map(|(name, kind)| Field::new(*name, kind, true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let mut seed = 1u64;
    let mut word = |length: usize| -> String {
        (0..length)
            .map(|i| {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                if i % 7 == 6 {
                    ' '
                } else {
                    char::from(b'a' + ((seed >> 33) % 26) as u8)
                }
            })
            .collect()
    };
    let words: Vec<String> = (0..180).map(|i| word(3 + i % 9)).collect();
    let mut pick = 0usize;
    let mut text = |count: usize| {
        (0..count)
            .map(|_| {
                pick = pick.wrapping_mul(1103515245).wrapping_add(12345) & 0x7fff_ffff;
                words[(pick >> 8) % words.len()].as_str()
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    for size in [1_000, 8_192, 65_536] {
        let lake = Lake::new();
        let mut batches = Vec::new();
        let mut id = 0;
        while id < 1_000_000 {
            let rows = size.min(1_000_000 - id);
            let ids = Int32Array::from_iter_values(id..id + rows);
            let column = |text: &mut dyn FnMut(usize) -> String, words| {
                StringArray::from_iter_values((0..rows).map(|_| text(words)))
            };
            let columns = (column(&mut text, 5), column(&mut text, 3), column(&mut text, 23));
            let columns: Vec<arrow_array::ArrayRef> = vec![
                Arc::new(ids),
                Arc::new(columns.0),
                Arc::new(columns.1),
                Arc::new(columns.2),
            ];
            batches.push(RecordBatch::try_new(Arc::clone(&schema), columns).unwrap());
            id += rows;
        }
        let raw: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let mut sink = DeltaSink::open(lake.options(), &schema).await.unwrap();
        let start = clock.elapsed();
        let mut stage = sink.stage().await.unwrap();
        for rows in batches {
            stage.write(rows).await.unwrap();
        }
        let (staged, summary) = stage.finish().await.unwrap();
        let staging = clock.elapsed() - start;
        let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();
        println!("batches of {size}: 1,000,000 rows, {raw} bytes in {staging:?}; {summary:?}");
    }
}
