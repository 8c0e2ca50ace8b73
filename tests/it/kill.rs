//! The program is killed at random moments, again and again, while the API grows; and stopped likewise. In the end
//! every row is in the table once, for other programs too. `SANDBAR_KILLS` sets how often (50), `SANDBAR_SEED` repeats
//! a run, `SANDBAR_KILL_SECONDS` bounds it (600).

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sandbar_harness::ScriptedApi;
use serde_json::Value;

#[cfg(target_os = "linux")]
use crate::file_steps::assert_clean;
use crate::readers::others_see;
use crate::support::{Random, Running, Settings, Workspace, current, say, seed, variable};

/// About as long as a run takes that finds a few rows.
const WHOLE_RUN: Duration = Duration::from_millis(60);
/// About as long as two micro-batches take.
const MICRO_BATCH: Duration = Duration::from_millis(15);
/// Rows that wait for the next run.
const ENOUGH: u64 = 30;

#[test]
fn killed_anywhere_with_progress_in_the_table() {
    kill_again_and_again("table");
}

#[test]
fn killed_anywhere_with_progress_in_the_offset_log() {
    kill_again_and_again("checkpoint");
}

fn kill_again_and_again(progress: &str) {
    let began = Instant::now();
    let wanted = variable("SANDBAR_KILLS").unwrap_or(50);
    let bound = Duration::from_secs(variable("SANDBAR_KILL_SECONDS").unwrap_or(600));
    let mut random = Random(seed());
    println!("SANDBAR_SEED={} SANDBAR_KILLS={wanted}", random.0);
    let (api, work) = three_rows_a_batch(progress);
    let (mut rows, mut kills, mut at_work, mut advanced) = (20, 0, 0, 0);
    let mut versions = 0;
    while kills < wanted && began.elapsed() < bound {
        let mut running = spawn(&work);
        running_somewhere(&mut running, &mut random, kills);
        at_work += u64::from(running.kill());
        kills += 1;
        let now = versions_of(&work);
        advanced += u64::from(now > versions);
        versions = now;
        // There is always something to do, and never more than the last run can do within its bound.
        let more = 5 + random.next() % 10;
        if rows < committed_rows(&work) + ENOUGH {
            api.add_rows(more);
            rows += more;
        }
    }
    work.read_available();
    let ids = 1..=i32::try_from(rows).unwrap();
    work.table()
        .assert_once_allowing(ids.clone(), progress == "checkpoint");
    others_see(&work, ids);
    say(&format!(
        "progress in the {progress}: {at_work} of {kills} kills met the program at work, {advanced} runs brought \
         something before; {rows} rows in {} versions, once each; {} s",
        versions_of(&work),
        began.elapsed().as_secs()
    ));
    assert!(
        kills == wanted || kills >= 50,
        "{bound:?} allow {kills} kills only"
    );
    assert!(at_work * 2 >= kills, "most kills came too late to prove anything");
    assert!(
        advanced * 2 >= kills,
        "most kills came too early to prove anything"
    );
}

#[test]
fn stopped_anywhere_it_ends_well_and_leaves_nothing_half_done() {
    for progress in ["table", "checkpoint"] {
        let mut random = Random(seed());
        println!("SANDBAR_SEED={}", random.0);
        let (api, work) = three_rows_a_batch(progress);
        let (mut rows, mut in_the_middle) = (20, 0);
        let stops = variable("SANDBAR_KILLS").unwrap_or(50) / 2;
        for stop in 0..stops {
            let mut running = spawn(&work);
            // Before that a signal has its usual effect, and there is nothing to be ended well.
            #[cfg(target_os = "linux")]
            running.until_caught(Signal::TERM);
            running_somewhere(&mut running, &mut random, stop);
            if running.is_running() {
                running.signal(Signal::TERM);
            }
            let ended = running.end().ok();
            in_the_middle += u64::from(ended.stderr.contains("comments: stopped: "));
            #[cfg(target_os = "linux")]
            assert_clean(&work);
            let more = 5 + random.next() % 10;
            api.add_rows(more);
            rows += more;
        }
        work.read_available();
        work.table().assert_once(1..=i32::try_from(rows).unwrap());
        say(&format!(
            "progress in the {progress}: {in_the_middle} of {stops} stops came in the middle of a run"
        ));
        assert!(in_the_middle * 3 >= stops, "most stops came too late");
    }
}

fn three_rows_a_batch(progress: &str) -> (ScriptedApi, Workspace) {
    let api = ScriptedApi::start(20);
    let settings = Settings::of(&api)
        .set("source.options.rows_per_batch", "3")
        .set("source.options.page_size", "2")
        .set("sink.progress", &format!("'{progress}'"));
    let work = Workspace::with(&settings);
    (api, work)
}

fn spawn(work: &Workspace) -> Running {
    work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"])
}

/// Waits: every other time somewhere in the start, or else somewhere in or between the micro-batches. How fast this
/// machine is must not decide what is met.
fn running_somewhere(running: &mut Running, random: &mut Random, number: u64) {
    let latest = match number % 2 {
        0 => WHOLE_RUN,
        _ => {
            running.until_batches(1 + random.next() % 3);
            MICRO_BATCH
        }
    };
    std::thread::sleep(moment(random, latest));
}

/// By the names of the log's files: to read them all after each kill would take longer than the kills.
fn versions_of(work: &Workspace) -> usize {
    let log = std::fs::read_dir(work.path("lake/comments/_delta_log"));
    let names = log.into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().ends_with(".json"))
        .count()
}

/// By the newest commit alone.
fn committed_rows(work: &Workspace) -> u64 {
    let Some(version) = versions_of(work).checked_sub(1) else {
        return 0;
    };
    let text = work.read(&format!("lake/comments/_delta_log/{version:020}.json"));
    let info = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find_map(|action| Some(action.get("commitInfo")?["sandbar"].as_str()?.to_owned()));
    let batch: Value = serde_json::from_str(&info.unwrap()).unwrap();
    current(&batch["end"])
}

/// A moment before `latest`.
fn moment(random: &mut Random, latest: Duration) -> Duration {
    let latest = u64::try_from(latest.as_micros()).unwrap();
    Duration::from_micros(random.below(latest))
}
