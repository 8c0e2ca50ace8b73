use std::path::Path;
use std::time::Duration;

use sandbar_delta::OffsetStorage;
use sandbar_pipeline::RetryPolicy;
use sandbar_policy::{Grants, Limits};
use serde_json::json;

use super::super::*;
use super::{GOOD, parse, rendered};
use crate::CronSchedule;

#[test]
fn a_full_file_is_typed() {
    let file = parse(GOOD).unwrap();
    let config = file.config();
    assert_eq!(config.name, "comments");
    assert_eq!(config.source.stream.as_deref(), Some("comments"));
    assert_eq!(config.source.options["page_size"], json!(10));
    assert_eq!(config.source.grants.http().len(), 2);
    let CredentialKind::Header { name, .. } = &config.source.credentials[0].kind else {
        panic!("{:?}", config.source.credentials);
    };
    assert_eq!(name, "authorization");
    assert_eq!(
        config.source.limits,
        Limits::default()
            .with_memory(512 << 20)
            .with_requests_per_second(Some(0.5))
    );
    assert_eq!(config.sink.progress, OffsetStorage::Checkpoint);
    assert_eq!(
        config.trigger,
        TriggerConfig {
            interval: Some(Duration::from_secs(90)),
            ..TriggerConfig::default()
        }
    );
    assert_eq!(config.retry, RetryPolicy::new(3));
    assert_eq!(file.table_location(), "/lakes/lake/comments");
    assert_eq!(file.checkpoint_location(), "s3://bucket/checkpoints");
    assert!(file.check_options(&json!({"required": ["api_url"]})).is_ok());
}

#[test]
fn defaults_are_the_documented_ones() {
    let text = "name='a'\n[source]\ncomponent='./my.wasm'\n[sink]\ntable='/t'\n[checkpoint]\nlocation='dbfs:/Volumes/a/b/c'";
    let file = parse(text).unwrap();
    let config = file.config();
    let limits = &config.source.limits;
    assert_eq!(
        (limits.memory, limits.response_body, limits.batch),
        (256 << 20, 64 << 20, 64 << 20)
    );
    assert_eq!(
        (
            limits.cpu.as_secs(),
            limits.deadline.as_secs(),
            limits.parallelism
        ),
        (10, 60, 4)
    );
    assert_eq!(limits.requests_per_second, None);
    assert_eq!(
        (config.trigger.interval, config.trigger.max_rows_per_batch),
        (None, 100_000)
    );
    assert_eq!(config.trigger.max_bytes_per_batch, 4 << 30);
    let text = format!("{text}\n[trigger]\nmax_bytes_per_batch = '5MiB'");
    assert_eq!(
        parse(&text).unwrap().config().trigger.max_bytes_per_batch,
        5 << 20
    );
    assert_eq!(
        (
            config.retry.attempts,
            config.retry.base.as_millis(),
            config.retry.max.as_secs()
        ),
        (5, 200, 30)
    );
    assert_eq!(config.source.grants, Grants::default());
    assert_eq!(config.sink.progress, OffsetStorage::Table);
    assert!(!config.sink.single_writer);
    assert!(!config.sink.evolve);
    assert_eq!(file.table_location(), "/t");
    assert_eq!(file.checkpoint_location(), "dbfs:/Volumes/a/b/c");
    assert_eq!(file.config().source.component, "./my.wasm");
}

#[test]
fn a_schedule_is_in_utc_unless_another_zone_is_named() {
    let with = |lines: &str| {
        let file = parse(&GOOD.replace("interval = \"1m 30s\"", lines)).unwrap();
        file.config().trigger.schedule.clone().unwrap()
    };
    let zone = |zone| CronSchedule::parse("0 */2 * * *", zone).unwrap();
    assert_eq!(with("cron = \"0 */2 * * *\""), zone("UTC"));
    assert_ne!(zone("UTC"), zone("Europe/Berlin"));
    let lines = "time_zone = \"Europe/Berlin\"\ncron = \"0 */2 * * *\"";
    assert_eq!(with(lines), zone("Europe/Berlin"));
}

#[test]
fn that_there_is_one_writer_is_said_in_so_many_words() {
    let with = |line: &str| parse(&GOOD.replace("progress = \"checkpoint\"", line));
    assert!(with("single_writer = true").unwrap().config().sink.single_writer);
    let message = with("single_writer = \"yes\"").unwrap_err().to_string();
    assert!(message.contains("`single_writer` in [sink]"), "{message}");
    let message = with("single_writers = true").unwrap_err();
    assert!(rendered(message).contains("did you mean `single_writer`?"));
}

#[test]
fn a_table_evolves_if_the_file_says_so() {
    let with = |line: &str| parse(&GOOD.replace("progress = \"checkpoint\"", line));
    assert!(with("evolve = true").unwrap().config().sink.evolve);
    let message = with("evolve = 1").unwrap_err().to_string();
    assert!(message.contains("`evolve` in [sink]"), "{message}");
}

#[test]
fn errors_of_others_find_their_place() {
    let file = parse(GOOD).unwrap();
    assert_eq!(
        file.error_at("sink.table", "x", None).to_string(),
        "/lakes/pipeline.toml:24: x"
    );
    assert_eq!(
        file.error_at("sink.partition_by", "x", None).problems()[0].line(),
        Some(23)
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = PipelineFile::load(Path::new("/nowhere/pipeline.toml")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("can't read the pipeline file /nowhere/pipeline.toml: "),
        "{error}"
    );
    assert!(rendered(error).contains("/nowhere/pipeline.toml"));
}

#[test]
fn secrets_are_resolved_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
    let secret = SecretRef::parse("Bearer ${file:token}!", folder.path())
        .unwrap()
        .resolve()
        .unwrap();
    assert_eq!(secret.expose(), "Bearer s3cret!");
    assert_eq!(format!("{secret} {secret:?}"), "*** ***");

    std::fs::write(folder.path().join("lines"), "a\nb").unwrap();
    let resolve = |text: &str| {
        SecretRef::parse(text, folder.path())
            .unwrap()
            .resolve()
            .unwrap_err()
            .to_string()
    };
    assert!(resolve("${file:lines}").contains("no header may hold"));
    for (name, content) in [
        ("utf8-mark", &b"\xef\xbb\xbfs3cret"[..]),
        ("utf16-mark", b"\xff\xfes\x003\x00"),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
        let told = resolve(&format!("${{file:{name}}}"));
        let wanted = format!("{name} begins with a byte order mark");
        assert!(told.contains(&wanted) && !told.contains("s3cret"), "{told}");
    }
    assert!(resolve("${file:none}").contains("can't read the secret file"));
    assert!(resolve("${env:SANDBAR_NO_SUCH_VARIABLE}").contains("SANDBAR_NO_SUCH_VARIABLE is not set"));
    assert!(SecretRef::parse("${env:9X}", folder.path()).is_err());
    assert!(SecretRef::parse("a\nb ${env:X}", folder.path()).is_err());
}

#[test]
fn a_file_that_names_another_component_alone_is_known_as_such() {
    let file = |source: &str, interval: &str| {
        let text = format!(
            "name = 'a'\n[source]\n{source}\n[sink]\ntable = 't'\n[checkpoint]\nlocation = 'l'\n\
             [trigger]\ninterval = '{interval}'\n"
        );
        PipelineFile::parse(&text, Path::new("/lakes/a.toml")).unwrap()
    };
    let digest = format!("digest = 'sha256:{}'", "0".repeat(64));
    let before = file("component = 'c@1.0.0'", "1s");
    assert!(before.differs_by_component_only(&file(&format!("component = 'c@2.0.0'\n{digest}"), "1s")));
    assert!(!before.differs_by_component_only(&before.clone()));
    assert!(!before.differs_by_component_only(&file("component = 'c@2.0.0'", "2s")));
    assert!(before.is_same_as(&before.clone()) && !before.is_same_as(&file("component = 'c@1.0.0'", "2s")));
}
