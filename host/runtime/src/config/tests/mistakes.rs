use super::super::Problem;
use super::{GOOD, parse, rendered};

/// What is replaced in the good file, by what, the line that the report must name, and what it must say.
pub(super) type Case = (&'static str, &'static str, usize, &'static [&'static str]);

const MISTAKES: &[Case] = &[
    (
        "name = \"comments\"\n",
        "nam = \"comments\"\n",
        1,
        &["unknown key `nam` at the top level", "did you mean `name`?"],
    ),
    (
        "name = \"comments\"\n",
        "\n",
        1,
        &["the pipeline file has no `name`", "add name ="],
    ),
    (
        "name = \"comments\"\n",
        "name = \"Comments\"\n",
        1,
        &["not a pipeline name: \"Comments\"", "1 to 64 of a-z"],
    ),
    (
        "name = \"comments\"\n",
        "name = \"-x\"\n",
        1,
        &["not a pipeline name"],
    ),
    ("name = \"comments\"\n", "name = \"comments\n", 1, &["not TOML"]),
    (
        "stream = \"comments\"",
        "steam = \"comments\"",
        5,
        &["unknown key `steam` in [source]", "did you mean `stream`?"],
    ),
    (
        "stream = \"comments\"",
        "stream = 5",
        5,
        &["`stream` in [source] must be a string, not an integer"],
    ),
    (
        "stream = \"comments\"",
        "stream = \" \"",
        5,
        &["`stream` in [source] is empty"],
    ),
    (
        "stream = \"comments\"",
        "digest = \"sha256:12\"",
        5,
        &["is not a digest", "sandbar inspect"],
    ),
    (
        "component = \"comments\"",
        "",
        3,
        &["[source] has no `component`", "add component = \"comments\""],
    ),
    (
        "page_size = 10",
        "page_size = 1979-05-27",
        9,
        &["option `page_size` is a date", "write it in quotes"],
    ),
    ("page_size = 10", "page_size = inf", 9, &["JSON does not have"]),
    (
        "page_size = 10",
        "page_size = 99999999999999999999",
        9,
        &["does not fit into 64 bits"],
    ),
    (
        "[source.limits]",
        "[source.limit]",
        19,
        &["unknown key `limit` in [source]", "did you mean `limits`?"],
    ),
    (
        "\"512MiB\"",
        "\"12 apples\"",
        20,
        &[
            "`memory` in [source.limits] is not a size: \"12 apples\"",
            "such as \"256MiB\"",
        ],
    ),
    ("\"512MiB\"", "512", 20, &["must be a size, not an integer"]),
    ("\"512MiB\"", "\"0B\"", 20, &["can't be 0 bytes"]),
    (
        "memory = \"512MiB\"",
        "cpus = \"1s\"",
        20,
        &["unknown key `cpus` in [source.limits]", "did you mean `cpu`?"],
    ),
    (
        "memory = \"512MiB\"",
        "cpu = \"0s\"",
        20,
        &["can't be no time at all"],
    ),
    (
        "memory = \"512MiB\"",
        "parallelism = 0",
        20,
        &["`parallelism` in [source.limits] can't be 0"],
    ),
    ("memory = \"512MiB\"", "parallelism = -4", 20, &["can't be -4"]),
    (
        "requests_per_second = 0.5",
        "requests_per_second = 0",
        21,
        &["can't be 0", "at least 1"],
    ),
    (
        "requests_per_second = 0.5",
        "requests_per_second = -0.5",
        21,
        &["can't be -0.5"],
    ),
    (
        "table = \"lake/comments\"",
        "tabel = \"lake/comments\"",
        24,
        &["unknown key `tabel` in [sink]", "did you mean `table`?"],
    ),
    (
        "progress = \"checkpoint\"",
        "progress = \"tabel\"",
        25,
        &["can't be \"tabel\"", "\"table\" or \"checkpoint\""],
    ),
    (
        "[sink]\n",
        "[sinc]\n",
        23,
        &["unknown key `sinc` at the top level", "did you mean `sink`?"],
    ),
    (
        "[checkpoint]\nlocation = \"s3://bucket/checkpoints\"",
        "",
        1,
        &["has no [checkpoint]", "add [checkpoint] with location"],
    ),
    (
        "s3://bucket/checkpoints",
        "lake/comments",
        28,
        &["is the table's own folder"],
    ),
    (
        "\"1m 30s\"",
        "\"10 parsecs\"",
        31,
        &["`interval` in [trigger] is not a duration: \"10 parsecs\""],
    ),
    (
        "interval = \"1m 30s\"",
        "max_rows_per_batch = 0",
        31,
        &["can't be 0"],
    ),
    (
        "interval = \"1m 30s\"",
        "cron = \"0 2 * *\"",
        31,
        &[
            "`cron` in [trigger] is not a cron pattern: \"0 2 * *\"",
            "write minute, hour",
        ],
    ),
    (
        "interval = \"1m 30s\"",
        "cron = \"0 25 * * *\"",
        31,
        &["`cron` in [trigger] is not a cron pattern: ", "out of bounds"],
    ),
    (
        "interval = \"1m 30s\"",
        "cron = \"0 0 30 2 *\"",
        31,
        &["is a time that never comes: \"0 0 30 2 *\"", "a day that exists"],
    ),
    (
        "interval = \"1m 30s\"",
        "interval = \"1m 30s\"\ncron = \"@daily\"",
        32,
        &[
            "`cron` in [trigger] can't stand beside `interval`",
            "leave out this key",
        ],
    ),
    (
        "interval = \"1m 30s\"",
        "cron = \"@daily\"\ntime_zone = \"europe/berlin\"",
        32,
        &[
            "`time_zone` in [trigger] is not a time zone: \"europe/berlin\"",
            "did you mean \"Europe/Berlin\"?",
        ],
    ),
    (
        "interval = \"1m 30s\"",
        "cron = \"@daily\"\ntime_zone = \"zzz\"",
        32,
        &["is not a time zone: \"zzz\"", "a name of the IANA database"],
    ),
    (
        "interval = \"1m 30s\"",
        "interval = \"1m 30s\"\ntime_zone = \"Europe/Berlin\"",
        32,
        &["`time_zone` in [trigger] is for `cron`, which is missing"],
    ),
    ("attempts = 3", "attempts = 99999999999", 34, &["is too large"]),
    (
        "attempts = 3",
        "attempts = \"3\"",
        34,
        &["must be a whole number, not a string"],
    ),
    (
        "attempts = 3",
        "base = \"1m\"\nmax = \"30s\"",
        35,
        &["is shorter than `base`: 30s", "write 1m or more"],
    ),
    (
        "[retry]",
        "[zzz]",
        33,
        &[
            "unknown key `zzz` at the top level",
            "not a key of this table",
            "known keys",
        ],
    ),
];

#[test]
fn every_mistake_is_shown_where_it_is() {
    check(MISTAKES);
}

pub(super) fn check(cases: &[Case]) {
    for (good, bad, line, wanted) in cases {
        assert!(GOOD.contains(good), "{good}");
        let error = parse(&GOOD.replacen(good, bad, 1)).expect_err(bad);
        assert_eq!(error.problems().len(), 1, "{bad}: {error}");
        assert_eq!(error.problems()[0].line(), Some(*line), "{bad}: {error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("/lakes/pipeline.toml:{line}: ")),
            "{error}"
        );
        let shown = rendered(error);
        assert!(
            shown.contains(&format!("[/lakes/pipeline.toml:{line}:")),
            "{shown}"
        );
        for text in *wanted {
            assert!(shown.contains(text), "{text:?} is not in:\n{shown}");
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("[sink]", "[sinks]")
        .replace("512MiB", "much")
        .replace("attempts", "attempt");
    let error = parse(&text).unwrap_err();
    let lines: Vec<_> = error.problems().iter().filter_map(Problem::line).collect();
    assert_eq!(lines, [20, 23, 34]);
    assert!(rendered(error).contains("/lakes/pipeline.toml has 3 mistakes"));
}
