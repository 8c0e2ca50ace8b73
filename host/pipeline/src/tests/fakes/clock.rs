use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::script::{PATIENCE, yield_once};
use crate::{BatchId, BatchReport, Clock, Offset, PipelineObserver, SwapEvent};

/// A clock that moves only when someone sleeps or the test says so.
#[derive(Default)]
pub(crate) struct FakeClock(Mutex<Time>);

/// Everything that a pipeline told.
#[derive(Default)]
pub(crate) struct RecordingProgress(Mutex<Vec<Event>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Started(BatchId, Offset),
    Staged(u64),
    Committed(Box<BatchReport>),
    Nothing(Offset),
    Retrying(u32, Duration, String),
    Swapped(SwapEvent),
}

#[derive(Default)]
struct Time {
    elapsed: Duration,
    /// The time of day at the beginning, since the epoch, as the clock is set by now.
    set_to: Duration,
    slept: Vec<Duration>,
    acts: HashMap<usize, Box<dyn FnOnce() + Send>>,
    endless_from: Option<usize>,
}

impl FakeClock {
    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.time().slept.clone()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.time().elapsed += by;
    }

    /// Sets the time of day, as somebody does who sets the machine's clock.
    pub(crate) fn set(&self, now: SystemTime) {
        let mut time = self.time();
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        time.set_to = since_epoch.checked_sub(time.elapsed).unwrap();
    }

    /// Does something during the n-th sleep, counted from 1.
    pub(crate) fn during_sleep(&self, n: usize, act: impl FnOnce() + Send + 'static) {
        self.time().acts.insert(n, Box::new(act));
    }

    /// From the n-th sleep on nobody wakes up.
    pub(crate) fn never_wake_from(&self, n: usize) {
        self.time().endless_from = Some(n);
    }

    fn time(&self) -> std::sync::MutexGuard<'_, Time> {
        self.0.lock().unwrap()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        let time = self.time();
        SystemTime::UNIX_EPOCH + time.set_to + time.elapsed
    }

    fn elapsed(&self) -> Duration {
        self.time().elapsed
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (act, endless) = {
                let mut time = self.time();
                time.elapsed += duration;
                time.slept.push(duration);
                let n = time.slept.len();
                (
                    time.acts.remove(&n),
                    time.endless_from.is_some_and(|from| n >= from),
                )
            };
            if let Some(act) = act {
                act();
            }
            let turns = if endless { PATIENCE } else { 1 };
            for _ in 0..turns {
                yield_once().await;
            }
            assert!(!endless, "nobody ended this sleep");
        })
    }
}

impl RecordingProgress {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn reports(&self) -> Vec<BatchReport> {
        let report = |event| match event {
            Event::Committed(report) => Some(*report),
            _ => None,
        };
        self.events().into_iter().filter_map(report).collect()
    }

    fn push(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl PipelineObserver for RecordingProgress {
    fn started(&self, last: BatchId, offset: &Offset) {
        self.push(Event::Started(last, offset.clone()));
    }

    fn rows_staged(&self, rows: u64) {
        self.push(Event::Staged(rows));
    }

    fn committed(&self, report: &BatchReport) {
        self.push(Event::Committed(Box::new(report.clone())));
    }

    fn nothing_new(&self, offset: &Offset) {
        self.push(Event::Nothing(offset.clone()));
    }

    fn swapped(&self, event: &SwapEvent) {
        self.push(Event::Swapped(event.clone()));
    }

    fn retrying(&self, failures: u32, pause: Duration, message: &str) {
        self.push(Event::Retrying(failures, pause, message.into()));
    }
}
