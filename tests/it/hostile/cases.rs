//! What each mode of the hostile component is given, and how it ends.

use sandbar_harness::ScriptedApi;
use sandbar_hostile::{Asked, Call, Mode};

use super::ipc::{self, Header};
use super::lengths::wrong_lengths;
use super::world::{CALLS, End, hex, hostile, toml};
use crate::support::Settings;

/// One run of a mode.
pub(super) struct Case {
    pub(super) settings: Settings,
    pub(super) end: End,
    pub(super) says: String,
    /// Rows that are in the table nevertheless.
    pub(super) rows: u64,
}

/// The cases of a mode. A new mode does not compile until it has some.
pub(super) fn cases(mode: Mode, api: &ScriptedApi, other: &ScriptedApi) -> Vec<Case> {
    let case = |at: Call, end: End, says: &str| Case {
        settings: hostile(api, mode, at),
        end,
        says: says.to_owned(),
        rows: 0,
    };
    let everywhere = |end: End, says: &str| {
        let cases = CALLS.map(|at| case(at, end.clone(), says)).into_iter();
        // By then the rows are in the table for good.
        let commit = case(Call::Commit, end.clone(), says);
        cases.chain([Case { rows: 3, ..commit }]).collect()
    };
    let one = |end: End, says: &str| vec![case(Call::LatestOffset, end, says)];
    let rows = |bytes: Vec<u8>, says: &str| {
        let mut case = case(Call::Next, End::Contract, says);
        case.set("source.options.rows", &format!("[{}]", hex(&bytes)));
        case
    };
    let text = |bytes: Vec<u8>, says: &str| {
        let mut case = rows(bytes, says);
        case.set("source.options.schema", &hex(&ipc::schema(&ipc::text_schema())));
        case
    };
    let schema = |bytes: Vec<u8>, says: &str| {
        let mut case = case(Call::Schema, End::Contract, says);
        case.set("source.options.schema", &hex(&bytes));
        vec![case]
    };
    let empty = || {
        let none = ipc::rows().slice(0, 0);
        format!("[{}]", hex(&ipc::stream(&none)))
    };
    let asks = |asked: Asked, end: End, says: &str| {
        let mut case = case(Call::LatestOffset, end, says);
        case.set("source.options.request", &toml(&asked));
        case
    };
    let host = |api: &ScriptedApi| api.origin().trim_start_matches("http://").to_owned();
    let get = |path: &str| Asked {
        authority: host(api),
        path: path.to_owned(),
        ..Asked::default()
    };
    let whole = ipc::stream(&ipc::rows());
    match mode {
        // What it does in a second look is a test of its own.
        Mode::Healthy | Mode::OffsetCircle => {
            let reads = case(Call::Next, End::Done, "");
            let other = case(
                Call::Next,
                End::Contract,
                "it was to open the stream \"mine\" and says that it opened \"all\"",
            );
            vec![Case { rows: 3, ..reads }, other.with("source.stream", "'mine'")]
        }
        Mode::Spin => everywhere(End::Limit("cpu"), "it computed for more than 150ms"),
        Mode::WatchClock => one(End::Limit("cpu"), "it computed for more than 150ms"),
        Mode::FineClock => one(End::Answer, "0 finer nanoseconds, steps of (1000000, 1000000)"),
        Mode::Sleep => one(End::Limit("deadline"), "it took longer than 300ms")
            .into_iter()
            .map(|case| case.with("source.limits.deadline", "'300ms'"))
            .collect(),
        Mode::Allocate => everywhere(End::Limit("memory"), "bytes of memory and may have 33554432"),
        Mode::Recurse => everywhere(End::Limit("stack"), "it ran out of its stack of 524288 bytes"),
        Mode::Panic => {
            let calls = [
                (Call::Open, "open", 0),
                (Call::Schema, "schema", 0),
                (Call::InitialOffset, "initial-offset", 0),
                (Call::LatestOffset, "latest-offset", 0),
                (Call::Partitions, "partitions", 0),
                (Call::Read, "read", 0),
                (Call::Next, "next", 0),
                // By then the rows are in the table for good.
                (Call::Commit, "commit", 3),
            ];
            let trap = |(at, name, rows)| Case {
                rows,
                ..case(
                    at,
                    End::Trap,
                    &format!("failed in {name}: it aborted, as a panic does"),
                )
            };
            calls.map(trap).into()
        }
        Mode::Exit => everywhere(End::Trap, "failed in "),
        Mode::Environment => one(End::Answer, "0 variables, 0 arguments, 0 bytes of input"),
        Mode::HostHandles | Mode::OwnHandles => one(End::Limit("handles"), "it holds more than 256 handles"),
        Mode::Random => one(End::Trap, "failed in latest-offset"),
        Mode::Log | Mode::Print => one(End::Limit("cpu"), "it computed for more than"),
        Mode::HugeOffset => {
            let sized = |size: &str, end, says| case(Call::Next, end, says).with("source.options.size", size);
            vec![
                sized(
                    "65_537",
                    End::Limit("offset"),
                    "it gave an offset of 65539 bytes and may give 65536",
                ),
                sized("2_000_000", End::Limit("offset"), "may give 65536"),
                sized(
                    "5_000_000",
                    End::Limit("batch"),
                    "it handed over more than 4194304 bytes at once",
                ),
            ]
        }
        Mode::HugeError => {
            let sized =
                |size: &str, end, says| case(Call::LatestOffset, end, says).with("source.options.size", size);
            vec![
                sized("1_000_000", End::Answer, "xxxx…"),
                sized(
                    "5_000_000",
                    End::Limit("batch"),
                    "it handed over more than 4194304 bytes at once",
                ),
            ]
        }
        Mode::ForgedError => one(
            End::Answer,
            "\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}2026-01-01T00:00:00Z",
        ),
        Mode::ManyPartitions => {
            let sized = |size: &str, end, says| {
                let case = case(Call::Next, end, says).with("source.options.size", size);
                case.with("source.limits.batch", "'64MiB'")
            };
            vec![sized(
                "100_001",
                End::Contract,
                "100000 of 16777216 bytes together are allowed",
            )]
        }
        Mode::HugePartitions => {
            let case = case(Call::Next, End::Contract, "it gave 32 partitions of");
            let case = case.with("source.options.size", "1_000_000");
            vec![
                case.with("source.limits.batch", "'64MiB'")
                    .with("source.limits.memory", "'256MiB'"),
            ]
        }
        // Nothing but `inspect` asks for streams: see the test of its own.
        Mode::ManyStreams => vec![],
        Mode::Unavailable => one(End::Answer, "later (gave up after 3 attempts)"),
        Mode::OffsetNoJson => one(End::Contract, "initial-offset: offset is not JSON"),
        Mode::OffsetDeep => one(End::Contract, "101 nested levels; 100 are allowed"),
        Mode::PartitionNoJson => one(End::Contract, "partitions: partition is not JSON"),
        Mode::OffsetBack => {
            let case = case(Call::Next, End::Protocol, "it goes back: after 1 comes 0");
            vec![Case { rows: 3, ..case }]
        }
        Mode::OffsetStays => one(End::Protocol, "stays at 0, although it gave 1 before"),
        Mode::EmptyBatches | Mode::EmptySteps => {
            let case = case(
                Call::Commit,
                End::Limit("empty_batches"),
                "it gave 51 batches in a row that hold nothing",
            );
            vec![case.with("source.options.rows", &empty())]
        }
        Mode::StuckSteps => one(
            End::Protocol,
            "it read 3 rows but its end offset is the start offset 0",
        )
        .into_iter()
        .map(Case::in_steps)
        .collect(),
        Mode::NoEnd => one(End::Protocol, "a batch of read-from has no end offset")
            .into_iter()
            .map(Case::in_steps)
            .collect(),
        Mode::EndlessRows => vec![case(Call::Commit, End::Protocol, "has more than the 10 rows")],
        Mode::OtherSchema => vec![rows(
            ipc::stream(&ipc::views().slice(0, 1)),
            "the batch has the columns (text Utf8View not null), but the declared schema is (id Int32 not null, name Utf8",
        )],
        Mode::Compressed => {
            let header = Header {
                compressed: true,
                ..Header::honest()
            };
            vec![text(
                ipc::crafted(&header, &ipc::BODY),
                "compressed bodies are not taken",
            )]
        }
        Mode::WrongOffsets => {
            let honest = Header::honest();
            let wrong = [[0, 200, 2], [2, 1, 0], [0, 1, 3]];
            wrong
                .map(|offsets| text(ipc::crafted(&honest, &ipc::body(offsets)), "next: "))
                .into()
        }
        Mode::WrongLengths => wrong_lengths()
            .into_iter()
            .map(|(bytes, says)| text(bytes, says))
            .collect(),
        Mode::Dictionary => vec![rows(ipc::stream(&ipc::words()), "dictionaries are not taken")],
        Mode::DictionarySchema => schema(
            ipc::schema(&ipc::words().schema()),
            "which is not taken; send plain values",
        ),
        Mode::DeepSchema => {
            let levels = |levels| schema(ipc::schema(&ipc::nested(levels)), "schema: ").remove(0);
            vec![levels(16), levels(40)]
        }
        Mode::WideSchema => schema(ipc::schema(&ipc::wide(5_000)), "schema: "),
        Mode::SharedSchema => schema(ipc::shared_schema(), "a message is damaged"),
        Mode::TrailingBytes => {
            let mut trailing = whole;
            trailing.extend(*b"trailing");
            vec![rows(trailing, "8 bytes follow the end of the stream")]
        }
        Mode::CutRows => {
            let cuts = [4, whole.len() / 2, whole.len() - 12];
            cuts.map(|cut| rows(whole[..cut].to_vec(), "next: ")).into()
        }
        Mode::NoArrow => vec![
            rows(
                b"<html>502 Bad Gateway</html>".to_vec(),
                "it is not an Arrow IPC stream",
            ),
            rows(vec![], "it is cut off"),
        ],
        Mode::Views => {
            let mut case = rows(ipc::stream(&ipc::views()), "its views show 1000000000 bytes");
            case.set(
                "source.options.schema",
                &hex(&ipc::schema(&ipc::views().schema())),
            );
            vec![case]
        }
        Mode::OtherHost => {
            let to = |authority: String, end, says| {
                let path = "/comments".to_owned();
                let asked = Asked {
                    authority,
                    path,
                    ..Asked::default()
                };
                asks(asked, end, says)
            };
            vec![
                to(host(other), End::Refused, "was refused GET http://127.0.0.1:"),
                // Text that the host would keep for each request.
                to(
                    "a".repeat(1_025),
                    End::Contract,
                    "the authority of a request has 1025 bytes; 1024 are allowed",
                ),
            ]
        }
        Mode::OddAddress => {
            let port = host(other).rsplit(':').next().unwrap().to_owned();
            let spelled = [
                "0x7f.1",
                "2130706433",
                "127.1",
                "0177.0.0.1",
                "[::ffff:127.0.0.1]",
                "[::ffff:7f00:1]",
                "127.0.0.1.",
            ];
            let to = |address: &str| {
                let asked = Asked {
                    authority: format!("{address}:{port}"),
                    path: "/comments".into(),
                    ..Asked::default()
                };
                asks(asked, End::Refused, "was refused GET ")
            };
            spelled.map(to).into()
        }
        Mode::OtherPath => {
            let below = format!("['{}']", api.url());
            let to = |path: &str, end, says| asks(get(path), end, says).with("source.grants.http", &below);
            vec![
                to("/admin", End::Refused, "/admin"),
                to("/comments/../admin", End::Refused, "/admin"),
                to("/comments/%2e%2e/admin", End::Refused, "/admin"),
                to("/commentsandmore", End::Refused, "/commentsandmore"),
                to("//evil.example/comments", End::Refused, "was refused GET "),
                to(
                    &format!("/{}", "a".repeat(65_536)),
                    End::Contract,
                    "the path of a request has 65537 bytes; 65536 are allowed",
                ),
            ]
        }
        Mode::OtherMethod => {
            let by = |method: &str, end, says: &str| {
                let method = method.to_owned();
                asks(
                    Asked {
                        method,
                        ..get("/comments")
                    },
                    end,
                    says,
                )
            };
            let long = "the method of a request has 65 bytes; 64 are allowed";
            let refused = |method: &&str| by(method, End::Refused, &format!("was refused {method} "));
            let never = |method: &&str| by(method, End::Forbidden, "no grant allows this method");
            let long = [by(&"A".repeat(65), End::Contract, long)];
            let granted = ["POST", "DELETE"].iter().map(refused);
            let others = ["CONNECT", "TRACE", "PROPFIND"].iter().map(never);
            granted.chain(others).chain(long).collect()
        }
        Mode::HeaderInjection => ["1\r\nx-evil: 1", "1\nx-evil: 1", "1\0"]
            .map(|value| {
                let headers = vec![("x-a".to_owned(), value.to_owned())];
                asks(
                    Asked {
                        headers,
                        ..get("/comments?_limit=1")
                    },
                    End::Answer,
                    "InvalidSyntax",
                )
            })
            .into(),
        Mode::Smuggling => [
            "host",
            "transfer-encoding",
            "content-length",
            "connection",
            "upgrade",
            "te",
            "trailer",
            "expect",
            "content_length",
            "x-http-method-override",
            "X_Original_URL",
        ]
        .map(|name| {
            let headers = vec![(name.to_owned(), "5".to_owned())];
            let says = format!("header {name:?}: HeaderError::Forbidden");
            asks(
                Asked {
                    headers,
                    ..get("/comments?_limit=1")
                },
                End::Answer,
                &says,
            )
        })
        .into(),
        Mode::JsonRows => {
            let json = |text: &str, says: &str| {
                let mut case = case(Call::Commit, End::Answer, says);
                case.set(
                    "source.options.schema_text",
                    "'id int, name string, at timestamp, price decimal(10, 2), n array<int>'",
                );
                case.set("source.options.json", &toml(&[text]));
                case
            };
            let deep = format!("[{{\"id\": 1, \"other\": {}", "[".repeat(100_000));
            vec![
                json(&deep, "row 0: values nest deeper than 128 levels"),
                json(
                    "[{\"id\": 1e999999999}]",
                    "row 0, field id: the number is no integer, or too large",
                ),
                json(
                    "[{\"id\": 99999999999}]",
                    "row 0, field id: the number is no integer, or too large",
                ),
                json(
                    "[{\"price\": 0.001}]",
                    "row 0, field price: the number has more digits than the column",
                ),
                json(
                    "[{\"price\": 123456789}]",
                    "row 0, field price: the number has more digits than the column",
                ),
                json(
                    "[{\"id\": 1, \"id\": 2}]",
                    "row 0, field id: the object has this name twice",
                ),
                json(
                    "[{}, {\"name\": \"\\ud800\"}]",
                    "row 1, field name: a string has half of a surrogate pair",
                ),
                json("[{\"name\": NaN}]", "row 0, field name: no JSON value is here"),
                json(
                    "[{\"at\": \"yesterday\"}]",
                    "row 0, field at: the text is no time with a zone",
                ),
                json(
                    "[{\"n\": [1, null, \"x\"]}]",
                    "row 0, field n: an integer is expected",
                ),
                json("[{\"id\": 1}", "the text is cut off"),
                json("[{\"id\": 1}] []", "text follows the end of the value"),
                json("<html>502 Bad Gateway</html>", "no JSON value is here"),
                json("42", "no array of rows, nor one row after another"),
                // A row of three bytes takes more once it is columns.
                Case {
                    end: End::Limit("batch"),
                    ..json(&"{}\n".repeat(300_000), "its rows take more than 4194304 bytes")
                },
            ]
        }
        Mode::SchemaText => {
            let text = |text: &str, says: &str| {
                let mut case = case(Call::Commit, End::Contract, says);
                case.set("source.options.schema_text", &toml(&text));
                case
            };
            let deep = format!("a {}int{}", "array<".repeat(100), ">".repeat(100));
            let wide: Vec<_> = (0..5_000).map(|n| format!("c{n} int")).collect();
            vec![
                text(
                    "id number",
                    "schema: the schema is wrong at character 4: there is no type \"number\"",
                ),
                text("id int, ID int", "the name \"ID\" is there twice"),
                text(" ", "the name of a column is expected"),
                text(&deep, "types nest deeper than 16 levels"),
                text(&wide.join(", "), "it has more than 4096 columns"),
                text("`a\u{7}b` int", "no control characters"),
            ]
        }
        Mode::Direct => {
            let with = |headers: &[(&str, &str)]| Asked {
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect(),
                ..get("/comments?_limit=1")
            };
            let to = |authority: String| Asked {
                authority,
                ..get("/comments")
            };
            let by = |method: &str| Asked {
                method: method.to_owned(),
                ..get("/comments")
            };
            let port = host(other).rsplit(':').next().unwrap().to_owned();
            let own = |name: &'static str| {
                let says = format!("the host does not take the header {name:?} from a component");
                asks(with(&[(name, "5")]), End::Answer, &says)
            };
            let mut cases = vec![
                asks(get("/comments?_limit=1"), End::Answer, "answered with 200"),
                asks(to(host(other)), End::Refused, "was refused GET http://127.0.0.1:"),
                asks(to(format!("2130706433:{port}")), End::Refused, "was refused GET "),
                asks(
                    to(format!("me:secret@{}", host(other))),
                    End::Forbidden,
                    "a URL with a user name is never sent",
                ),
                asks(
                    to("a".repeat(70_000)),
                    End::Answer,
                    "a request has a URL and headers of 70",
                ),
                asks(to("a b".to_owned()), End::Answer, "can't be requested"),
                asks(by("POST"), End::Refused, "was refused POST "),
                asks(by("TRACE"), End::Forbidden, "no grant allows this method"),
                asks(by("G ET"), End::Answer, "its method is no word"),
                asks(
                    by(&"A".repeat(1_000)),
                    End::Answer,
                    "the method of a request has 1000 bytes; 32 are allowed",
                ),
                asks(
                    with(&[("x-a", "1\r\nx-evil: 1")]),
                    End::Answer,
                    "the header \"x-a\" is not well-formed",
                ),
                asks(with(&[("x\r\nevil", "1")]), End::Answer, "is not well-formed"),
                asks(
                    with(&[("x-a", &"a".repeat(70_000))]),
                    End::Answer,
                    "a request has a URL and headers of 70",
                ),
            ];
            cases.extend(
                [
                    "host",
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "X_Original_URL",
                ]
                .map(own),
            );
            cases
        }
        Mode::BeginFlood => vec![asks(
            get("/comments?_limit=1"),
            End::Limit("handles"),
            "it holds more than 256 handles",
        )],
        Mode::SendFlood => {
            let mut case = asks(
                get("/comments?_limit=1"),
                End::Limit("requests_per_batch"),
                "HTTP requests for one batch",
            );
            case.set("source.limits.requests_per_batch", "500");
            case.set("source.limits.handles", "10_000");
            case.set("source.limits.cpu", "'10s'");
            case.set("source.limits.deadline", "'20s'");
            vec![case]
        }
        Mode::SendTooMany => vec![asks(
            get("/comments?_limit=1"),
            End::Answer,
            "more than 64 requests are sent at once",
        )],
        Mode::KeepResponses => {
            let keeps = |end, says| asks(get("/comments?_limit=1"), end, says);
            let held = keeps(End::Limit("memory"), "bytes of memory and may have 3000000");
            vec![
                keeps(End::Limit("handles"), "it holds more than 256 handles"),
                held.with("source.limits.memory", "'3MB'")
                    .with("source.limits.handles", "10_000")
                    .with("source.limits.cpu", "'10s'")
                    .with("source.limits.deadline", "'20s'"),
            ]
        }
        Mode::OddSelections => vec![
            case(
                Call::InitialOffset,
                End::Answer,
                "the column \"nobody\" is not in the schema",
            ),
            case(
                Call::InitialOffset,
                End::Answer,
                "\"no pointer\" is no JSON Pointer: it begins with no slash",
            ),
            case(Call::InitialOffset, End::Answer, "it has more than 32 steps"),
            case(
                Call::InitialOffset,
                End::Answer,
                "a constant does not fit its column",
            ),
            case(
                Call::InitialOffset,
                End::Answer,
                "is not of text, and can't take JSON text",
            ),
            case(
                Call::Schema,
                End::Answer,
                "rows are read before the schema is known",
            ),
        ],
        Mode::SaveOutside => one(End::Contract, "progress-note.save is allowed inside commit only"),
        // That a note can't be kept is no failure: the table knows.
        Mode::SaveHuge | Mode::SaveNoJson => {
            let case = case(Call::Next, End::Done, "").with("source.limits.batch", "'64MiB'");
            let case = case.with("source.options.size", "10_000_000");
            let case = case.with("source.limits.memory", "'256MiB'");
            vec![Case { rows: 3, ..case }]
        }
        Mode::SaveForever => {
            let case = case(
                Call::Next,
                End::Contract,
                "it saved more than 16 notes in one commit",
            );
            vec![Case { rows: 3, ..case }]
        }
    }
}

impl Case {
    fn set(&mut self, key: &str, value: &str) {
        self.settings = self.settings.clone().set(key, value);
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// For modes without ranges, where `latest-offset` has nothing to do.
    fn in_steps(self) -> Self {
        self.with("source.options.at", "'commit'")
    }
}
