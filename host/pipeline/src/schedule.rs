use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::Clock;

/// Times of day at which a pipeline polls.
pub trait Schedule: Debug + Send + Sync + 'static {
    /// The first time that is later than `after`, or nothing when none comes.
    fn next_after(&self, after: SystemTime) -> Option<SystemTime>;
}

/// The longest time without a look at the clock, which somebody may set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A clock that goes back by no more than this is being corrected: what was done is not done again.
const CORRECTION: Duration = Duration::from_secs(60);

/// The wait of one pipeline for the times of its schedule.
pub(crate) struct Appointments {
    schedule: Arc<dyn Schedule>,
    /// The last time that was kept.
    kept: Option<SystemTime>,
}

/// What to do while waiting for a time of a schedule.
pub(crate) enum Wait {
    /// It has come.
    Due,
    /// Sleep, then ask again.
    Sleep(Duration),
    /// There is none.
    Never,
}

/// One time that is waited for.
pub(crate) struct Appointment {
    /// What the clock said at the last look.
    seen: SystemTime,
    due: Option<SystemTime>,
}

impl Appointments {
    pub(crate) fn new(schedule: Arc<dyn Schedule>) -> Self {
        Self { schedule, kept: None }
    }

    /// The first time that is still to come.
    pub(crate) fn next(&self, clock: &dyn Clock) -> Appointment {
        let seen = clock.now();
        let due = self.due_after(seen);
        Appointment { seen, due }
    }

    /// Looks at the clock. Where it was set back the appointment is made anew; where it was set beyond the
    /// appointment, that is due.
    pub(crate) fn look(&mut self, appointment: &mut Appointment, clock: &dyn Clock) -> Wait {
        let now = clock.now();
        if now < appointment.seen {
            appointment.due = self.due_after(now);
        }
        appointment.seen = now;
        let Some(due) = appointment.due else {
            return Wait::Never;
        };
        match due.duration_since(now) {
            Ok(rest) if !rest.is_zero() => Wait::Sleep(rest.min(LONGEST_SLEEP)),
            _ => {
                self.kept = Some(due);
                Wait::Due
            }
        }
    }

    fn due_after(&self, now: SystemTime) -> Option<SystemTime> {
        let corrected = |kept: &SystemTime| kept.duration_since(now).is_ok_and(|back| back <= CORRECTION);
        self.schedule
            .next_after(self.kept.filter(corrected).unwrap_or(now))
    }
}
