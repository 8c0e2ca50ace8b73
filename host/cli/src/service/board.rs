//! How each pipeline of the process is, by what it reports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandbar_runtime::{BatchId, BatchReport, Clock, Offset, PipelineObserver};
use tokio::sync::Notify;

use super::health::{HealthReport, PastError, PipelineHealth, PipelineState};
use crate::output::plain;

/// The most characters of an error that are shown.
const MAX_ERROR: usize = 500;

/// What is known of the pipelines of this process, in the order in which they came.
pub(crate) struct Board {
    clock: Arc<dyn Clock>,
    pipelines: Mutex<Vec<PipelineHealth>>,
    changes: Notify,
}

impl Board {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            pipelines: Mutex::default(),
            changes: Notify::new(),
        }
    }

    /// An observer that writes on the board what a pipeline does, and hands it on. A pipeline that is there already is
    /// starting anew.
    pub(crate) fn observer(
        self: &Arc<Self>,
        name: &str,
        next: Arc<dyn PipelineObserver>,
    ) -> Arc<dyn PipelineObserver> {
        self.update(name, |pipeline| pipeline.state = PipelineState::Starting);
        Arc::new(BoardObserver {
            board: self.clone(),
            name: name.to_owned(),
            next,
        })
    }

    /// Notes that a pipeline ended, with the error that ended it.
    pub(crate) fn ended(&self, name: &str, error: Option<&str>) {
        self.update(name, |pipeline| match error {
            Some(error) => {
                pipeline.state = PipelineState::Failed;
                pipeline.last_error = Some(self.past_error(error));
            }
            None => pipeline.state = PipelineState::Ended,
        });
    }

    /// Notes that somebody told a pipeline to wait.
    pub(crate) fn paused(&self, name: &str) {
        self.update(name, |pipeline| pipeline.state = PipelineState::Paused);
    }

    /// Forgets a pipeline.
    pub(crate) fn forget(&self, name: &str) {
        self.pipelines().retain(|pipeline| pipeline.name != name);
        self.changes.notify_one();
    }

    /// How all of them are.
    pub(crate) fn report(&self) -> HealthReport {
        HealthReport {
            alive: true,
            pipelines: self.pipelines().clone(),
        }
    }

    /// Waits until something changed since the last time.
    pub(crate) async fn changed(&self) {
        self.changes.notified().await;
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut PipelineHealth)) {
        let now = self.clock.now();
        {
            let mut pipelines = self.pipelines();
            let place = pipelines.iter().position(|pipeline| pipeline.name == name);
            let place = place.unwrap_or_else(|| {
                pipelines.push(PipelineHealth::new(name, now));
                pipelines.len() - 1
            });
            if let Some(pipeline) = pipelines.get_mut(place) {
                let before = pipeline.state;
                change(pipeline);
                if pipeline.state != before {
                    pipeline.since = now;
                }
            }
        }
        self.changes.notify_one();
    }

    fn past_error(&self, message: &str) -> PastError {
        let message = plain(message).replace('\n', " ");
        PastError {
            at: self.clock.now(),
            message: message.chars().take(MAX_ERROR).collect(),
        }
    }

    fn pipelines(&self) -> MutexGuard<'_, Vec<PipelineHealth>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct BoardObserver {
    board: Arc<Board>,
    name: String,
    next: Arc<dyn PipelineObserver>,
}

impl PipelineObserver for BoardObserver {
    fn started(&self, last: BatchId, offset: &Offset) {
        self.board.update(&self.name, |pipeline| {
            pipeline.state = PipelineState::Running;
            pipeline.started = true;
            pipeline.last_batch = Some(last);
        });
        self.next.started(last, offset);
    }

    fn rows_staged(&self, rows: u64) {
        self.next.rows_staged(rows);
    }

    fn committed(&self, report: &BatchReport) {
        self.board.update(&self.name, |pipeline| {
            pipeline.state = PipelineState::Running;
            pipeline.last_batch = Some(report.batch);
        });
        self.next.committed(report);
    }

    fn nothing_new(&self, offset: &Offset) {
        self.board
            .update(&self.name, |pipeline| pipeline.state = PipelineState::Running);
        self.next.nothing_new(offset);
    }

    fn retrying(&self, failures: u32, pause: Duration, message: &str) {
        let error = self.board.past_error(message);
        self.board.update(&self.name, |pipeline| {
            pipeline.state = PipelineState::Retrying;
            pipeline.last_error = Some(error);
        });
        self.next.retrying(failures, pause, message);
    }
}
