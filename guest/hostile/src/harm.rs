//! What can be done in any function.

use std::hint::black_box;

use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::http::types::Fields;

use crate::bindings::generated::sandbar::connector::values::{Error, Unavailable};
use crate::bindings::generated::sandbar::connector::{http, log, rows};
use crate::{Mode, Options, request};

const HOUR: u64 = 3_600_000_000_000;

/// Misbehaves, if the mode is one of those that can anywhere.
pub(crate) fn harm(mode: Mode, options: Option<&Options>) -> Result<(), Error> {
    let size = options.map_or(0, |options| options.size) as usize;
    let asked = || request::direct(&options.map(|options| options.request.clone()).unwrap_or_default());
    match mode {
        Mode::Spin => {
            let mut round = 0_u64;
            loop {
                round = black_box(round.wrapping_add(1));
            }
        }
        Mode::WatchClock => {
            let began = monotonic_clock::now();
            while monotonic_clock::now() - began < HOUR {
                black_box(wall_clock::now());
            }
        }
        Mode::FineClock => {
            let rest = |nanoseconds: u64| nanoseconds % 1_000_000;
            // Many of them: one may be a whole millisecond by chance.
            let reads = (0..1_000)
                .map(|_| rest(monotonic_clock::now()) + rest(u64::from(wall_clock::now().nanoseconds)));
            let steps = (
                monotonic_clock::resolution(),
                wall_clock::resolution().nanoseconds,
            );
            let told = format!("{} finer nanoseconds, steps of {steps:?}", reads.sum::<u64>());
            return Err(Error::Internal(told));
        }
        Mode::Sleep => monotonic_clock::subscribe_duration(HOUR).block(),
        Mode::Allocate => {
            let mut kept = vec![];
            loop {
                kept.push(vec![1_u8; 1 << 20]);
                black_box(&kept);
            }
        }
        Mode::Recurse => {
            black_box(deeper(0));
        }
        #[allow(clippy::panic)]
        Mode::Panic => panic!("its last words"),
        Mode::Exit => std::process::exit(0),
        Mode::Environment => {
            let (variables, arguments) = (std::env::vars().count(), std::env::args().count());
            let mut input = String::new();
            let read = std::io::stdin().read_line(&mut input).unwrap_or_default();
            let found = format!("{variables} variables, {arguments} arguments, {read} bytes of input");
            return Err(Error::Internal(found));
        }
        Mode::HostHandles => {
            let mut kept = vec![];
            loop {
                kept.push(Fields::new());
            }
        }
        Mode::Random => {
            black_box(wasip2::random::random::get_random_bytes(u64::MAX));
        }
        Mode::Log => loop {
            log::log(log::Level::Error, &"spam ".repeat(100));
        },
        Mode::Print => loop {
            println!("{}", "spam ".repeat(100));
            eprintln!("{}", "spam ".repeat(100));
        },
        Mode::HugeError => return Err(Error::Internal("x".repeat(size))),
        Mode::ForgedError => {
            let text = "\u{1b}[2J\u{9b}31m\r\n2026-01-01T00:00:00Z  INFO all is well\n";
            return Err(Error::Internal(text.to_owned()));
        }
        Mode::Unavailable => {
            return Err(Error::Unavailable(Unavailable {
                message: "later".to_owned(),
                retry_after_ms: Some(u64::MAX),
            }));
        }
        Mode::OtherHost
        | Mode::OddAddress
        | Mode::OtherPath
        | Mode::OtherMethod
        | Mode::HeaderInjection
        | Mode::Smuggling => {
            if let Some(options) = options {
                return request::send(&options.request).map_err(Error::Internal);
            }
        }
        Mode::Direct => {
            if let Some(options) = options {
                let response = http::send(&request::direct(&options.request))?;
                return Err(Error::Internal(format!("answered with {}", response.status())));
            }
        }
        Mode::SendFlood | Mode::SendTooMany => {
            let request = asked();
            let at_once = if mode == Mode::SendFlood { 64 } else { 65 };
            loop {
                let responses = http::send_all(&vec![request.clone(); at_once]);
                if mode == Mode::SendTooMany {
                    responses.into_iter().collect::<Result<Vec<_>, _>>()?;
                }
            }
        }
        Mode::KeepResponses => {
            let request = asked();
            let mut kept = vec![];
            loop {
                kept.push(http::send(&request)?);
            }
        }
        Mode::BeginFlood => {
            let request = asked();
            let mut kept = vec![];
            loop {
                kept.push(http::begin(&request)?);
            }
        }
        Mode::OddSelections => return Err(Error::Internal(odd_selections())),
        _ => {}
    }
    Ok(())
}

/// What the host says to each.
fn odd_selections() -> String {
    let selection = |path: &str, name: &str, source: rows::ColumnSource| rows::Selection {
        path: path.to_owned(),
        layout: rows::Layout::Array,
        columns: vec![rows::Column {
            name: name.to_owned(),
            source,
        }],
        skip: 0,
        max_rows: None,
    };
    let value = |pointer: &str| rows::ColumnSource::Value(pointer.to_owned());
    let odd = [
        selection("", "nobody", value("/id")),
        selection("no pointer", "id", value("/id")),
        selection(&"/a".repeat(1_000), "id", value("/id")),
        selection("", "id", rows::ColumnSource::Constant("{".to_owned())),
        selection("", "id", rows::ColumnSource::Constant("\"x\"".to_owned())),
        selection("", "id", rows::ColumnSource::JsonText("/id".to_owned())),
    ];
    let said = odd
        .iter()
        .map(|selection| match rows::read_json("[{\"id\": 1}]", selection) {
            Ok(rows) => format!("{} rows", rows.count()),
            Err(Error::Internal(reason) | Error::Malformed(reason)) => reason,
            Err(other) => format!("{other:?}"),
        });
    said.collect::<Vec<_>>().join("; ")
}

fn deeper(depth: u64) -> u64 {
    match depth {
        u64::MAX => 0,
        _ => black_box(deeper(black_box(depth + 1))).wrapping_add(1),
    }
}
