use std::time::Duration;

use super::*;

/// The first times after a moment of UTC.
fn times(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    CronSchedule::parse(pattern, zone)
        .unwrap()
        .next_times(moment(after), count)
}

fn moment(text: &str) -> SystemTime {
    DateTime::parse_from_rfc3339(text).unwrap().into()
}

#[test]
fn times_are_those_of_the_zone() {
    assert_eq!(
        times("0 */2 * * *", "Europe/Berlin", "2026-11-27T12:30:00Z", 3),
        [
            "2026-11-27T14:00:00+01:00",
            "2026-11-27T16:00:00+01:00",
            "2026-11-27T18:00:00+01:00"
        ]
    );
    assert_eq!(
        times("30 6 * * MON-FRI", "UTC", "2026-11-27T06:30:00Z", 2),
        ["2026-11-30T06:30:00Z", "2026-12-01T06:30:00Z"],
        "later than the moment, and not on a weekend"
    );
    assert_eq!(
        times("@monthly", "Asia/Kathmandu", "2026-11-27T12:30:00Z", 1),
        ["2026-12-01T00:00:00+05:45"]
    );
}

#[test]
fn a_time_of_day_that_the_clock_skips_comes_right_after_the_gap() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
        [
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00"
        ]
    );
}

#[test]
fn a_time_of_day_that_the_clock_repeats_comes_once() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    );
}

#[test]
fn a_rhythm_leaves_skipped_times_out_and_keeps_on_through_repeated_ones() {
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
        [
            "2026-03-29T01:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T03:30:00+02:00"
        ]
    );
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", 4),
        [
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00"
        ]
    );
    // Two o'clock does not exist on that day, and 30 minutes is what Lord Howe Island's clock skips.
    assert_eq!(
        times("0 */2 * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", 1),
        ["2026-03-29T04:00:00+02:00"]
    );
    assert_eq!(
        times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 1),
        ["2026-10-04T02:30:00+11:00"]
    );
}

#[test]
fn a_time_within_a_second_is_not_found_again() {
    let schedule = CronSchedule::parse("0 14 * * *", "UTC").unwrap();
    let due = moment("2026-11-27T14:00:00Z");
    let day = Duration::from_secs(86_400);
    for late in [0, 1, 999] {
        let late = due + Duration::from_millis(late);
        assert_eq!(schedule.next_after(late), Some(due + day));
    }
    assert_eq!(schedule.next_after(due - Duration::from_millis(1)), Some(due));
}

#[test]
fn rare_days_are_found_and_impossible_ones_refused() {
    assert_eq!(
        times("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1),
        ["2104-02-29T00:00:00Z"]
    );
    for pattern in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", ", , , , ,"] {
        let error = CronSchedule::parse(pattern, "UTC").unwrap_err();
        assert!(matches!(error, ScheduleError::Never { .. }), "{error}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    let long = format!("{} * * * *", "0,".repeat(200));
    let wrong = [
        "",
        "* * * *",
        "0 0 0 2 * *",
        "0 0 0 2 * * 2026",
        "@fortnightly",
        "@daily * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 1 13 *",
        "0 0 * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "-1 * * * *",
        "0 0 * * MOO",
        "99999999999999999999 * * * *",
        "é * * * *",
        "0 0 1# * *",
        "0 0 W * *",
        "0 0 * * L#",
        "+ + + + +",
        &long,
    ];
    for pattern in wrong {
        let error = CronSchedule::parse(pattern, "UTC").expect_err(pattern);
        let told = error.to_string();
        assert!(told.starts_with("not a cron pattern: "), "{pattern}: {told}");
        assert!(!told.ends_with('.') && told.len() < 300, "{told}");
    }
}

#[test]
fn the_zone_that_was_meant_is_named() {
    for (written, meant) in [
        ("europe/berlin", Some("Europe/Berlin")),
        ("Berlin", Some("Europe/Berlin")),
        ("new york", Some("America/New_York")),
        ("Europe/Berlín", Some("Europe/Berlin")),
        ("zzz", None),
    ] {
        let error = CronSchedule::parse("@daily", written).unwrap_err();
        let ScheduleError::TimeZone { nearest, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(nearest, meant, "{written}");
    }
}

#[test]
fn clocks_that_are_far_off_find_nothing() {
    let schedule = CronSchedule::parse("* * * * *", "Europe/Berlin").unwrap();
    let far = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(schedule.next_after(far(1 << 40)), None);
    assert_eq!(schedule.next_after(far(1 << 62)), None);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 40);
    assert!(schedule.next_after(before).is_some());
}
