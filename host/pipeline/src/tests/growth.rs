use super::fakes::{Event, World};

#[tokio::test]
async fn one_micro_batch_goes_its_whole_way_in_this_order() {
    let world = World::new(6);
    world.remote().parts = 1;
    world.run().await.unwrap();
    let journal = [
        "LastCommitted",
        "InitialOffset",
        "LatestOffset",
        "LatestOffset",
        "Partitions 0..6",
        "Read [0,6]",
        "Stage",
        "Commit 1",
        "Acknowledge 6",
    ];
    assert_eq!(world.journal(), journal);
}

#[tokio::test]
async fn a_first_run_brings_everything() {
    for world in World::every(25) {
        let summary = world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 0, 10), (2, 10, 20), (3, 20, 25)]);
        world.assert_exactly_once(25);
        assert_eq!((summary.batches, summary.rows, summary.last_batch), (3, 25, 3));
        assert_eq!(summary.revision, Some(2));
        assert_eq!(summary.offset, Some(world.offset(25)));
        assert!(!summary.stopped);
    }
}

#[tokio::test]
async fn a_second_run_brings_new_rows_only() {
    for world in World::every(20) {
        world.run().await.unwrap();
        world.remote().rows = 35;
        let summary = world.run().await.unwrap();
        assert_eq!((summary.batches, summary.rows, summary.last_batch), (2, 15, 4));
        assert_eq!(world.batches()[2..], [(3, 20, 30), (4, 30, 35)]);
        world.assert_exactly_once(35);
    }
}

#[tokio::test]
async fn a_run_that_finds_nothing_new_makes_no_stage_and_no_commit() {
    for world in World::every(20) {
        world.run().await.unwrap();
        let (stages, commits) = (world.count("Stage"), world.count("Commit"));
        let next = world.beside();
        let summary = next.run().await.unwrap();
        assert_eq!((world.count("Stage"), world.count("Commit")), (stages, commits));
        assert_eq!((next.count("Stage"), next.count("Commit")), (0, 0));
        assert_eq!((summary.batches, summary.rows, summary.last_batch), (0, 0, 2));
        assert_eq!(summary.revision, None);
        assert_eq!(summary.offset, Some(world.offset(20)));
        let offset = world.offset(20);
        assert_eq!(
            next.progress.events(),
            [Event::Started(2, offset.clone()), Event::Nothing(offset)]
        );
    }
}

#[tokio::test]
async fn a_run_that_found_something_does_not_say_that_there_was_nothing() {
    for world in World::every(25) {
        world.run().await.unwrap();
        let nothing = |e: &Event| matches!(e, Event::Nothing(_));
        assert!(!world.progress.events().iter().any(nothing));
    }
}

#[tokio::test]
async fn an_empty_remote_leaves_no_trace() {
    for world in World::every(0) {
        let summary = world.run().await.unwrap();
        assert_eq!((summary.batches, summary.last_batch), (0, 0));
        assert_eq!(summary.offset, Some(world.offset(0)));
        assert_eq!(world.batches(), []);
    }
}

#[tokio::test]
async fn growth_between_runs_arrives_whatever_its_size() {
    for world in World::every(0) {
        let mut total = 0;
        for growth in [1, 0, 9, 10, 11, 0, 30, 7] {
            total += growth;
            world.remote().rows = total;
            let summary = world.run().await.unwrap();
            assert_eq!(summary.rows, growth);
        }
        world.assert_exactly_once(total);
    }
}

#[tokio::test]
async fn five_hundred_rows_by_ten_are_fifty_contiguous_batches() {
    for world in World::every(500) {
        let summary = world.run().await.unwrap();
        let expected: Vec<_> = (1..=50).map(|n| (n, 10 * (n - 1), 10 * n)).collect();
        assert_eq!(world.batches(), expected);
        assert_eq!((summary.batches, summary.rows), (50, 500));
        world.assert_exactly_once(500);
    }
}

#[tokio::test]
async fn without_a_limit_one_micro_batch_takes_all() {
    for mut world in World::every(95) {
        world.options.limit.max_rows = None;
        world.run().await.unwrap();
        assert_eq!(world.batches(), [(1, 0, 95)]);
        world.assert_exactly_once(95);
    }
}

#[tokio::test]
async fn a_report_tells_what_is_in_the_table() {
    let world = World::new(13);
    world.run().await.unwrap();
    let reports = world.progress.reports();
    let shown: Vec<_> = reports
        .iter()
        .map(|r| (r.batch, r.rows, r.files, r.bytes, r.revision, r.usage.requests))
        .collect();
    // Ten rows are two parts of two pages each, three rows two parts of one.
    assert_eq!(shown, [(1, 10, 1, 80, 0, 4), (2, 3, 1, 24, 1, 2)]);
    for report in &reports {
        assert_eq!(report.latest, Some(world.offset(13)));
    }
    let staged = |e: &Event| match e {
        Event::Staged(rows) => *rows,
        _ => 0,
    };
    assert_eq!(world.progress.events().iter().map(staged).sum::<u64>(), 13);
}
