//! A credential reaches its own origin, and no other place.

use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Ended, Settings, Workspace};

/// A needle that is in no other place.
const SECRET: &str = "n33dle-in-no-other-place";

/// A pipeline with a credential for the origin, from an environment variable.
fn with_credential(api: &ScriptedApi, origin: &str) -> Settings {
    Settings::of(api).and(&format!(
        "[[source.credentials]]\norigin = '{origin}'\nheader = 'authorization'\nvalue = 'Bearer ${{env:API_TOKEN}}'"
    ))
}

fn run(work: &Workspace, arguments: &[&str]) -> Ended {
    run_with(work, arguments, &[])
}

/// Runs the program with the secret, and looks for it in all that is written and said, rows included.
fn run_with(work: &Workspace, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = work.command(arguments);
    command.env("API_TOKEN", SECRET);
    command.envs(environment.iter().copied());
    let ended = crate::support::Running::start(command).end();
    if work.path("lake/comments/_delta_log").exists() {
        // Files of rows are compressed.
        let rows = format!("{:?}", work.table().rows());
        assert!(
            secrets().iter().all(|secret| !rows.contains(secret)),
            "a secret is in the rows"
        );
    }
    for secret in secrets() {
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains(secret), "{secret} is shown:\n{text}");
        }
        for file in work.files() {
            // The one place for what the host is given to keep.
            if file.parent().is_some_and(|folder| folder.ends_with("secrets")) {
                continue;
            }
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} lies in {}", file.display());
        }
    }
    ended
}

/// What a token endpoint gives.
const ACCESS: &str = "n33dle-of-access";
const REFRESH: &str = "n33dle-of-refresh";

/// The secret behind `me:`, as `basic` has it.
const ENCODED: &str = "bjMzZGxlLWluLW5vLW90aGVyLXBsYWNl";

/// Everything that must not be seen.
fn secrets() -> [&'static str; 4] {
    [SECRET, ENCODED, ACCESS, REFRESH]
}

/// A kind of credential: how it is written, and how the API sees it.
struct Kind {
    toml: String,
    seen: fn(&sandbar_harness::RecordedRequest) -> bool,
}

fn kinds(tokens: &ScriptedApi) -> Vec<Kind> {
    let given = Fault::Status {
        code: 200,
        headers: vec![],
        body: format!(
            "{{\"access_token\": \"{ACCESS}\", \"expires_in\": 3600, \"refresh_token\": \"{REFRESH}\"}}"
        ),
    };
    tokens.fault_when(|_| true, given, usize::MAX);
    let oauth2 = format!(
        "token_url = '{}/token', client_id = 'me', client_secret = '${{env:API_TOKEN}}'",
        tokens.origin()
    );
    let kind = |toml: &str, seen| Kind {
        toml: toml.to_owned(),
        seen,
    };
    vec![
        kind("header = 'x-key'\nvalue = '${env:API_TOKEN}'", |request| {
            request.header("x-key") == Some(SECRET)
        }),
        kind("query = 'key'\nvalue = '${env:API_TOKEN}'", |request| {
            request.parameter("key") == Some(SECRET)
        }),
        kind("bearer = '${env:API_TOKEN}'", |request| {
            request.header("authorization") == Some(&format!("Bearer {SECRET}"))
        }),
        kind(
            "basic = { username = 'me', password = '${env:API_TOKEN}' }",
            |request| request.header("authorization") == Some(&format!("Basic bWU6{ENCODED}")),
        ),
        kind(&format!("oauth2 = {{ {oauth2}, scope = 'read' }}"), |request| {
            request.header("authorization") == Some(&format!("Bearer {ACCESS}"))
        }),
        kind(
            &format!("oauth2 = {{ {oauth2}, refresh_token = '${{env:API_TOKEN}}' }}"),
            |request| request.header("authorization") == Some(&format!("Bearer {ACCESS}")),
        ),
    ]
}

#[test]
fn every_kind_of_credential_reaches_the_server_and_no_other_place() {
    let tokens = ScriptedApi::start(0);
    let mut met = 0;
    for Kind { toml, seen } in kinds(&tokens) {
        let api = ScriptedApi::start(25);
        let credential = format!("[[source.credentials]]\norigin = '{}'\n{toml}", api.origin());
        let work = Workspace::with(&Settings::of(&api).and(&credential));
        let options = ["--available-now", "--progress", "json", "-vv"];
        run(&work, &[&["run", "comments.toml"][..], &options].concat()).ok();
        let checked = run(&work, &["check", "comments.toml", "-vv"]).ok();
        let lines = [
            format!("GET, HEAD to {}", api.origin()),
            format!("for {}", api.origin()),
        ];
        lines
            .iter()
            .for_each(|line| assert!(checked.stdout.contains(line), "{}", checked.stdout));
        run(&work, &["status", "comments.toml"]).ok();
        run(&work, &["preview", "comments.toml", "-vv"]).ok();
        assert!(
            api.requests().len() > 6 && api.requests().iter().all(seen),
            "{toml}"
        );
        work.table().assert_once(1..=25);

        // Everything that the libraries below have to say, and a cache that is looked through too.
        let cache = work.path("cache");
        let environment = [("RUST_LOG", "trace"), ("XDG_CACHE_HOME", cache.to_str().unwrap())];
        let traced = run_with(&work, &["check", "comments.toml"], &environment).ok();
        assert!(traced.stderr.contains("TRACE"), "{}", traced.stderr);
        assert!(!work.files_in("cache").is_empty());
        for arguments in [
            &["inspect", "comments", "-vv"][..],
            &["status", "comments.toml", "--json"],
            &["check", "comments.toml", "--json"],
            &["preview", "comments.toml", "--format", "csv"],
            &["preview", "comments.toml", "--format", "json"],
            &[
                "reset",
                "comments.toml",
                "--to-offset",
                "{\"current\": 25}",
                "--yes",
            ],
        ] {
            run(&work, arguments).ok();
        }
        // An API that writes what it was sent into the rows.
        api.add_rows(5);
        let header = if toml.contains("x-key") {
            "x-key"
        } else {
            "authorization"
        };
        for number in 1..=20 {
            api.fault_at(api.requests().len() + number, Fault::EchoHeader(header.into()));
        }
        run(&work, &["run", "comments.toml", "--available-now"]).ok();
        assert_eq!(work.table().rows().len(), 30, "{toml}");

        // An API that repeats what it was sent, where the component shows it: in an error, and in its log.
        for code in [200, 401, 403, 404, 500] {
            let echo = secrets().join(" and ");
            let echoing = Fault::Status {
                code,
                headers: vec![("x-echo".into(), echo.clone())],
                body: format!("{{\"error\": \"{echo} is bad\"}}"),
            };
            api.add_rows(1);
            api.clear_requests();
            (1..=3).for_each(|number| api.fault_at(number, echoing.clone()));
            let ended = run(&work, &["run", "comments.toml", "--available-now", "-vv"]).with_code(1);
            met += usize::from(ended.stderr.contains("***"));
        }
    }
    assert!(
        met >= 6,
        "the echo was shown, and the secret was not: {met} times"
    );
}

#[test]
fn the_newest_refresh_token_lies_in_a_file_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (api, tokens) = (ScriptedApi::start(25), ScriptedApi::start(0));
    let toml = kinds(&tokens).pop().unwrap().toml;
    let credential = format!("[[source.credentials]]\norigin = '{}'\n{toml}", api.origin());
    let work = Workspace::with(&Settings::of(&api).and(&credential));
    run(&work, &["run", "comments.toml", "--available-now"]).ok();
    let mut files = work.files_in("lake/_checkpoints/comments/secrets");
    files.retain(|file| file.extension() != Some("lock".as_ref()));
    let [file] = files.try_into().unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains(REFRESH));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    run(&work, &["run", "comments.toml", "--available-now"]).ok();
    assert_eq!(tokens.requests().len(), 2, "one token for each run");
}

#[test]
fn a_run_says_once_what_it_may_do() {
    let api = ScriptedApi::start(25);
    let grants = format!("[{{ origin = '{}', methods = ['GET', 'POST'] }}]", api.origin());
    let work = Workspace::with(&with_credential(&api, &api.origin()).set("source.grants.http", &grants));
    let ended = run(&work, &["run", "comments.toml", "--available-now", "-v"]).ok();
    let wanted = format!(
        "may=[\"GET, POST to {0}\", \"with header authorization for {0}\"]",
        api.origin()
    );
    assert_eq!(ended.stderr.matches(&wanted).count(), 1, "{}", ended.stderr);
}

#[test]
fn a_token_that_is_refused_stops_the_run_with_a_word_about_it() {
    let (api, tokens) = (ScriptedApi::start(25), ScriptedApi::start(0));
    let toml = kinds(&tokens).pop().unwrap().toml;
    let invalid = Fault::Status {
        code: 400,
        headers: vec![],
        body: "{\"error\": \"invalid_grant\"}".into(),
    };
    tokens.fault_at(1, invalid);
    let credential = format!("[[source.credentials]]\norigin = '{}'\n{toml}", api.origin());
    let work = Workspace::with(&Settings::of(&api).and(&credential));
    let ended = run(&work, &["run", "comments.toml", "--available-now"]).with_code(1);
    ended.saying(&[
        "invalid_grant",
        "check client_id, client_secret and refresh_token",
    ]);
    assert!(api.requests().is_empty());
    assert_eq!(tokens.requests().len(), 1, "and is not asked again");
}

#[test]
fn a_credential_reaches_the_server_and_no_other_place() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&with_credential(&api, &api.origin()));
    let wanted = format!("Bearer {SECRET}");
    run(
        &work,
        &[
            "run",
            "comments.toml",
            "--available-now",
            "--progress",
            "json",
            "-vv",
        ],
    )
    .ok();
    for command in [
        &["check"][..],
        &["status"],
        &["preview"],
        &["status", "--json"],
        &["check", "--json"],
    ] {
        run(
            &work,
            &[&command[..1], &["comments.toml", "-vv"], &command[1..]].concat(),
        )
        .ok();
    }
    assert!(api.requests().len() > 6);
    for request in api.requests() {
        assert_eq!(
            request.header("authorization"),
            Some(wanted.as_str()),
            "{request:?}"
        );
    }
    work.table().assert_once(1..=25);
}

#[test]
fn a_credential_shows_in_no_error() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&with_credential(&api, &api.origin()));
    let faults = [
        Fault::status(401),
        Fault::HtmlErrorPage,
        Fault::DropConnection,
        Fault::NotJson,
    ];
    for fault in faults {
        let echoing = Fault::Status {
            code: 403,
            headers: vec![],
            body: format!("token {SECRET} is bad"),
        };
        api.fault_when(|_| true, fault, 3);
        run(&work, &["run", "comments.toml", "--available-now", "-vv"]).with_code(1);
        // Not even when the server says it.
        api.fault_next(echoing);
        run(&work, &["run", "comments.toml", "--available-now", "-vv"]);
    }
}

#[test]
fn a_credential_that_is_not_set_or_written_into_the_file_is_refused_before_any_request() {
    let api = ScriptedApi::start(25);
    let settings = with_credential(&api, &api.origin());
    let work = Workspace::with(&settings);
    let unset = work.run_available("comments").with_code(2);
    unset.saying(&["the environment variable API_TOKEN is not set"]);
    work.write(
        "comments.toml",
        &settings.to_toml().replace("${env:API_TOKEN}", SECRET),
    );
    let literal = work
        .run_available("comments")
        .with_code(2)
        .saying(&["holds no reference to a secret"]);
    assert!(!literal.stderr.contains(SECRET), "{}", literal.stderr);
    assert!(api.requests().is_empty());
}

#[test]
fn a_credential_for_another_origin_is_not_sent() {
    let (api, other) = (ScriptedApi::start(25), ScriptedApi::start(25));
    let both = format!("['{}', '{}']", api.origin(), other.origin());
    let settings = with_credential(&api, &other.origin()).set("source.grants.http", &both);
    let work = Workspace::with(&settings);
    run(&work, &["run", "comments.toml", "--available-now"]).ok();
    assert!(
        api.requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert!(other.requests().is_empty());
}

/// The value is in a file beside the pipeline's, and a new value counts from the next start on.
#[test]
fn a_secret_in_a_file_reaches_the_server_and_no_other_place() {
    let api = ScriptedApi::start(15);
    let credential = format!(
        "[[source.credentials]]\norigin = '{}'\nbearer = '${{file:keys/token}}'",
        api.origin()
    );
    let work = Workspace::with(&Settings::of(&api).and(&credential));
    let run_it = || run(&work, &["run", "comments.toml", "--available-now", "-vv"]);
    let missing = run_it().with_code(2);
    assert!(missing.stderr.contains("keys/token"), "{}", missing.stderr);
    assert!(api.requests().is_empty());

    std::fs::create_dir(work.path("keys")).unwrap();
    for (token, rows) in [(SECRET, 15), (ACCESS, 20)] {
        api.set_rows(rows);
        api.clear_requests();
        // Outside of what is looked through for secrets while the program runs.
        let file = work.path("keys/token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let mut command = work.command(&["run", "comments.toml", "--available-now", "-vv"]);
        command.env("RUST_LOG", "trace");
        let ended = crate::support::Running::start(command).end().ok();
        assert!(!ended.stderr.contains(token) && !ended.stdout.contains(token));
        let wanted = format!("Bearer {token}");
        let requests = api.requests();
        assert!(!requests.is_empty());
        assert!(
            requests
                .iter()
                .all(|request| request.header("authorization") == Some(&*wanted))
        );
        std::fs::remove_file(&file).unwrap();
        let leaked = work.files().into_iter().find(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes
                .windows(token.len())
                .any(|window| window == token.as_bytes())
        });
        assert_eq!(leaked, None);
    }
    work.table().assert_once(1..=20);
}

#[test]
#[cfg(target_os = "linux")]
fn a_new_refresh_token_is_durable_before_the_old_one_is_given_up() {
    let (api, tokens) = (ScriptedApi::start(5), ScriptedApi::start(0));
    let toml = kinds(&tokens).pop().unwrap().toml;
    let credential = format!("[[source.credentials]]\norigin = '{}'\n{toml}", api.origin());
    let credential = credential.replace("${env:API_TOKEN}", "${file:token}");
    let work = Workspace::with(&Settings::of(&api).and(&credential));
    std::fs::write(work.path("token"), SECRET).unwrap();
    let watched = crate::support::Watched::new(&work, "token");
    watched.spawn(None).end().ok();
    let folder = "_checkpoints/comments/secrets";
    let steps: Vec<_> = watched
        .journal()
        .steps
        .into_iter()
        .filter(|step| step.path.starts_with(folder) && !step.failed && !step.path.ends_with(".lock"))
        .collect();
    let at = |call: &str, is: &dyn Fn(&str) -> bool| {
        let found = steps.iter().position(|step| step.call == call && is(&step.path));
        found.unwrap_or_else(|| panic!("no {call}: {steps:#?}"))
    };
    let is_file = |path: &str| path.len() > folder.len();
    let is_folder = |path: &str| path == folder;
    // The rename between the last two is a system call without the C library, which nobody sees here.
    let [written, synced, kept] = [
        at("write", &is_file),
        at("sync", &is_file),
        at("sync", &is_folder),
    ];
    assert!(written < synced && synced < kept, "{steps:#?}");
}
