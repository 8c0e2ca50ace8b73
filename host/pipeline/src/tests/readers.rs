//! A reader alone, without a pipeline.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use super::fakes::{Call, FakeSource, Step, World, part, settle, unavailable};
use crate::{Batch, Offset, PipelineError, ReadLimit, Reader, ReaderOptions, SourceError};

fn options(max_rows: u64) -> ReaderOptions {
    ReaderOptions::default().with_limit(ReadLimit {
        max_rows: Some(max_rows),
        max_bytes: None,
    })
}

async fn open(world: &World, start: &Offset, options: ReaderOptions) -> Reader<FakeSource> {
    let source = Arc::new(world.source(&world.checkpoint));
    Reader::open(source, start, None, options).await.unwrap()
}

fn ids(batch: &Batch) -> Vec<i64> {
    let rows = batch.rows.iter();
    rows.flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

/// All rows by one reader after the other.
async fn read_all(world: &World, options: ReaderOptions) -> Vec<i64> {
    let (mut position, mut all) = (world.offset(0), vec![]);
    loop {
        let mut reader = open(world, &position, options).await;
        while let Some(batch) = reader.next().await.unwrap() {
            all.extend(ids(&batch));
        }
        if *reader.position() == position {
            return all;
        }
        position = reader.position().clone();
    }
}

#[tokio::test]
async fn readers_one_after_the_other_read_every_row_once() {
    for sequential in [false, true] {
        for (parallelism, read_ahead) in [(1, 0), (1, 2), (3, 0), (3, 1)] {
            let world = World::of(sequential, true, 25);
            let options = options(10)
                .with_parallelism(parallelism)
                .with_read_ahead(read_ahead);
            let mut ids = read_all(&world, options).await;
            if parallelism == 1 || read_ahead == 0 {
                assert!(ids.is_sorted(), "partitions come in their order");
            }
            ids.sort_unstable();
            assert_eq!(ids, (1..=25).collect::<Vec<_>>(), "{sequential} {options:?}");
        }
    }
}

#[tokio::test]
async fn the_position_of_a_range_moves_at_its_end_and_that_of_a_sequential_read_with_each_batch() {
    for (sequential, after_one) in [(false, 0), (true, 5)] {
        let world = World::of(sequential, true, 10);
        let mut reader = open(&world, &world.offset(0), options(10)).await;
        reader.next().await.unwrap().unwrap();
        assert_eq!(*reader.position(), world.offset(after_one));
        while reader.next().await.unwrap().is_some() {}
        assert_eq!((reader.position(), reader.rows()), (&world.offset(10), 10));
        assert!(reader.next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn without_read_ahead_nothing_is_read_before_it_is_asked_for() {
    let world = World::new(25);
    let mut reader = open(&world, &world.offset(0), options(20).with_read_ahead(0)).await;
    settle().await;
    assert_eq!((world.count("Read"), world.remote().produced), (0, 0));
    reader.next().await.unwrap();
    settle().await;
    assert_eq!((world.count("Read"), world.remote().produced), (1, 1));
}

#[tokio::test]
async fn a_reader_that_is_dropped_ends_its_readings() {
    for sequential in [false, true] {
        let world = World::of(sequential, true, 25);
        let mut reader = open(&world, &world.offset(0), options(20).with_parallelism(2)).await;
        reader.next().await.unwrap();
        drop(reader);
        settle().await;
        assert_eq!(world.remote().open, 0, "readings left");
    }
}

#[tokio::test]
async fn a_part_without_a_batch_is_seen_as_one_without_rows() {
    for read_ahead in [0, 2] {
        let world = World::new(25);
        world
            .remote()
            .partitions
            .push_back(vec![part(0, 0), part(0, 0), part(0, 3)]);
        let mut reader = open(&world, &world.offset(0), options(10).with_read_ahead(read_ahead)).await;
        let mut rows = vec![];
        while let Some(batch) = reader.next().await.unwrap() {
            rows.push(batch.num_rows());
        }
        assert_eq!(rows, [0, 0, 3], "{read_ahead}");
    }
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_and_ends_the_reader() {
    for read_ahead in [0, 2] {
        let world = World::new(25);
        world.remote().partitions.push_back(vec![part(0, 11)]);
        let mut reader = open(&world, &world.offset(0), options(10).with_read_ahead(read_ahead)).await;
        let error = loop {
            match reader.next().await {
                Ok(batch) => assert!(batch.is_some(), "the rows are too many"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, PipelineError::Contract(_)), "{error}");
        assert!(reader.next().await.unwrap().is_none());
        assert_eq!(*reader.position(), world.offset(0));
    }
}

#[tokio::test]
async fn an_error_of_the_source_comes_as_it_is_and_is_not_tried_again() {
    for call in [Call::Read, Call::Next] {
        for read_ahead in [0, 2] {
            let world = World::new(25);
            world.at_call(call, [Step::Fail(unavailable())]);
            let mut reader = open(&world, &world.offset(0), options(10).with_read_ahead(read_ahead)).await;
            let error = reader.next().await.unwrap_err();
            assert!(
                matches!(error, PipelineError::Source(SourceError::Unavailable { .. })),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_caller_that_only_wants_the_first_rows_may_allow_more_than_the_limit() {
    let world = World::new(25);
    world.remote().partitions.push_back(vec![part(0, 11)]);
    let options = options(10).with_read_ahead(0).allowing_more_rows();
    let mut reader = open(&world, &world.offset(0), options).await;
    while reader.next().await.unwrap().is_some() {}
    assert_eq!(reader.rows(), 11);
}
