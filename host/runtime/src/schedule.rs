//! Polls at times of day: cron patterns in a time zone.

use std::fmt;
use std::time::SystemTime;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use sandbar_pipeline::Schedule;

use crate::nearest::nearest;

/// The longest cron pattern, in bytes.
const MAX_PATTERN: usize = 256;

/// Clocks that show a year outside of these are wrong, and are not worth a search through the calendar.
/// The epoch is in 1969 west of Greenwich.
const YEARS: std::ops::Range<i32> = 1969..4000;

/// A schedule in cron's words, such as `0 */2 * * *`: minute, hour, day of the month, month, day of the week.
///
/// It follows the wall clock of its time zone. A pattern with one minute and one hour is a time of day: when the clock skips
/// it in spring it comes right after the gap, and when the clock repeats it in autumn it comes once. Any other pattern is a
/// rhythm: skipped times are left out, and repeated ones come twice.
#[derive(Clone, PartialEq, Eq)]
pub struct CronSchedule {
    pattern: String,
    cron: Cron,
    zone: Tz,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It is not five fields, or one of the names that stand for them.
    #[error("not a cron pattern: {pattern:?}")]
    Fields {
        /// The pattern, shortened.
        pattern: String,
    },
    /// A field holds something else than it may.
    #[error("not a cron pattern: {reason}")]
    Pattern {
        /// Which one, and why.
        reason: String,
    },
    /// The calendar has no such day.
    #[error("a time that never comes: {pattern:?}")]
    Never {
        /// The pattern.
        pattern: String,
    },
    /// The IANA database has no such time zone.
    #[error("not a time zone: {name:?}")]
    TimeZone {
        /// The name, shortened.
        name: String,
        /// The known name that is most like it.
        nearest: Option<&'static str>,
    },
}

impl CronSchedule {
    /// Reads a cron pattern of five fields and the name of a time zone in the IANA database, such as `Europe/Berlin`. That
    /// database comes with the program: version 2025b or later, whatever the machine has.
    ///
    /// # Errors
    /// [`ScheduleError`], also when the pattern names days that no calendar has.
    pub fn parse(pattern: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        Self::in_zone(pattern, time_zone_named(time_zone)?)
    }

    /// The next times after a moment, in the time zone of the schedule: `2026-11-27T14:00:00+01:00`.
    pub fn next_times(&self, after: SystemTime, count: usize) -> Vec<String> {
        let times = std::iter::successors(self.next(after), |time| self.next((*time).into()));
        let shown = |time: DateTime<Tz>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        times.take(count).map(shown).collect()
    }

    pub(crate) fn in_zone(pattern: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let pattern = pattern.trim();
        let fields = pattern.split_whitespace().count();
        if pattern.len() > MAX_PATTERN || !(fields == 5 || (fields == 1 && pattern.starts_with('@'))) {
            let pattern = shortened(pattern);
            return Err(ScheduleError::Fields { pattern });
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(pattern).map_err(|e| match e {
            CronError::ComponentError(reason) | CronError::IllegalCharacters(reason) => {
                ScheduleError::Pattern {
                    reason: in_our_style(&reason),
                }
            }
            _ => ScheduleError::Fields {
                pattern: pattern.to_owned(),
            },
        })?;
        let schedule = Self {
            pattern: pattern.to_owned(),
            cron,
            zone,
        };
        match schedule.next(SystemTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never {
                pattern: schedule.pattern,
            }),
        }
    }

    fn next(&self, after: SystemTime) -> Option<DateTime<Tz>> {
        // `DateTime::from` panics where the year has no place in it.
        let since_epoch = after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since_epoch.as_secs()).ok()?;
        let after = DateTime::<Utc>::from_timestamp(seconds, 0)?.with_timezone(&self.zone);
        if !YEARS.contains(&after.year()) {
            return None;
        }
        self.cron.find_next_occurrence(&after, false).ok()
    }
}

impl Schedule for CronSchedule {
    fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        self.next(after).map(SystemTime::from)
    }
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", self.pattern, self.zone)
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronSchedule({self})")
    }
}

pub(crate) fn time_zone_named(name: &str) -> Result<Tz, ScheduleError> {
    name.parse().map_err(|_| ScheduleError::TimeZone {
        name: shortened(name),
        nearest: nearest_zone(name),
    })
}

/// Names are often typed in lower case, or by the city alone.
fn nearest_zone(name: &str) -> Option<&'static str> {
    let name = shortened(name).replace(' ', "_");
    let city = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone);
    let zones = || TZ_VARIANTS.iter().map(|zone| zone.name());
    zones()
        .find(|zone| zone.eq_ignore_ascii_case(&name) || city(zone).eq_ignore_ascii_case(&name))
        .or_else(|| nearest(&name, zones()))
}

/// Lower case, and no full stop at the end.
fn in_our_style(sentence: &str) -> String {
    let mut text = sentence.trim_end_matches('.').to_owned();
    // All but an abbreviation, such as the `L` of a last day.
    if let Some(first) = text.get_mut(..1)
        && sentence.chars().nth(1).is_some_and(char::is_lowercase)
    {
        first.make_ascii_lowercase();
    }
    text
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
