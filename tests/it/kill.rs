//! The program is killed at random moments, again and again, while the API grows. In the end every row is in the
//! table once. `SANDBAR_KILLS` sets how often (50), `SANDBAR_SEED` repeats a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbar_harness::ScriptedApi;

use crate::support::{Settings, Workspace};

/// About as long as a run takes that finds a few rows.
const WHOLE_RUN: Duration = Duration::from_millis(60);
/// About as long as two micro-batches take.
const MICRO_BATCH: Duration = Duration::from_millis(15);

#[test]
fn killed_anywhere_with_progress_in_the_table() {
    kill_again_and_again("'table'");
}

#[test]
fn killed_anywhere_with_progress_in_the_offset_log() {
    kill_again_and_again("'checkpoint'");
}

fn kill_again_and_again(progress: &str) {
    let kills = variable("SANDBAR_KILLS").unwrap_or(50);
    let seed = variable("SANDBAR_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    println!("SANDBAR_SEED={seed} SANDBAR_KILLS={kills}");
    let mut random = Random(seed);

    let api = ScriptedApi::start(20);
    let settings = Settings::of(&api)
        .set("source.options.rows_per_batch", "3")
        .set("source.options.page_size", "2")
        .set("sink.progress", progress);
    let work = Workspace::with(&settings);
    let (mut rows, mut at_work, mut advanced) = (20, 0, 0);
    let mut versions = 0;
    for kill in 0..kills {
        let mut running = work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"]);
        // Every other time somewhere in the start, or else somewhere in or between the micro-batches: how fast this
        // machine is must not decide what is met.
        let latest = match kill % 2 {
            0 => WHOLE_RUN,
            _ => {
                running.until_batches(1 + random.next() % 3);
                MICRO_BATCH
            }
        };
        std::thread::sleep(random.below(latest));
        at_work += u64::from(running.kill());
        let now = work.table().versions.len();
        advanced += u64::from(now > versions);
        versions = now;
        let more = 10 + random.next() % 20;
        api.add_rows(more);
        rows += more;
    }
    println!("{at_work} of {kills} kills met the program at work, {advanced} runs brought something before");
    work.read_available();
    let table = work.table();
    table.assert_once_allowing(1..=i32::try_from(rows).unwrap(), progress == "'checkpoint'");
    assert!(at_work * 2 >= kills, "most kills came too late to prove anything");
    assert!(
        advanced >= kills / 2,
        "most kills came too early to prove anything"
    );
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap();
        Duration::from_micros(self.next() % most)
    }
}
