use super::fakes::{World, rows};
use crate::{Batch, Offset, SourceUsage};

fn empty(end: Offset) -> Option<Batch> {
    Some(Batch {
        rows: vec![rows(0, 0)],
        end: Some(end),
        usage: SourceUsage::default(),
    })
}

#[tokio::test]
async fn a_range_without_rows_moves_the_offset_without_a_stage() {
    for carries_offset in [true, false] {
        let world = World::of(false, carries_offset, 10);
        world.remote().partitions.push_back(vec![]);
        let summary = world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 0, 10)]);
        assert_eq!((summary.batches, summary.rows), (1, 0));
        assert_eq!((world.count("Stage"), world.ids()), (0, vec![]));
        assert_eq!(world.remote().acknowledged, [world.offset(10)]);
        assert_eq!(world.progress.reports()[0].files, 0);

        world.remote().rows = 12;
        world.run().await.unwrap();
        assert_eq!(world.ids(), [11, 12]);
    }
}

#[tokio::test]
async fn a_part_without_rows_is_no_matter() {
    let world = World::new(1);
    world.remote().parts = 5;
    world.run().await.unwrap();
    world.assert_exactly_once(1);
}

#[tokio::test]
async fn a_sequential_read_without_rows_moves_the_offset_without_a_stage() {
    for world in World::every(0).filter(|world| world.sequential) {
        let replies = [empty(world.offset(3)), empty(world.offset(7)), None];
        world.remote().batches.extend(replies);
        let summary = world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 0, 7)]);
        assert_eq!((summary.batches, summary.rows), (1, 0));
        assert_eq!(world.count("Stage"), 0);
        world.remote().rows = 9;
        world.run().await.unwrap();
        assert_eq!(world.ids(), [8, 9]);
    }
}

#[tokio::test]
async fn a_sequential_read_without_rows_that_does_not_move_commits_nothing() {
    for world in World::every(0).filter(|world| world.sequential) {
        let replies = [empty(world.offset(0)), empty(world.offset(0)), None];
        world.remote().batches.extend(replies);
        let summary = world.run().await.unwrap();
        assert_eq!(summary.batches, 0);
        assert_eq!((world.count("Stage"), world.count("Commit")), (0, 0));
    }
}

#[tokio::test]
async fn an_empty_batch_behind_rows_moves_their_end() {
    let world = World::sequential(0);
    let found = Some(Batch {
        rows: vec![rows(0, 2), rows(2, 2), rows(2, 3)],
        end: Some(world.offset(3)),
        usage: SourceUsage::default(),
    });
    world
        .remote()
        .batches
        .extend([found, empty(world.offset(6)), None]);
    world.run().await.unwrap();
    assert_eq!(world.batches(), [(1, 0, 6)]);
    assert_eq!(world.ids(), [1, 2, 3]);
}
