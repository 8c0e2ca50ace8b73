use std::time::Duration;

use super::{GOOD, parse};
use sandbar_policy::{LimitKey, Limits};

#[test]
fn every_limit_has_a_key() {
    let all = "memory = \"1MiB\"\ncpu = \"2s\"\ndeadline = \"3s\"\nresponse_body = \"4MiB\"\nbatch = \"5MiB\"\n\
        requests_per_second = 6\nparallelism = 7\nrequests_in_flight = 8\nlog = \"9KiB\"\nhandles = 10\n\
        stack = \"128KiB\"\nempty_batches = 12\ncomponent_size = \"13MiB\"\ncompile_time = \"14s\"\nrequests_per_batch = 15\n\
        request_timeout = \"16s\"\nresponse_headers = \"17KiB\"\n\
        request_body = \"18KiB\"\ncompile_memory = \"19MiB\"\nresponse_header_count = 20\noffset = \"21KiB\"\n";
    let some = "memory = \"512MiB\"\nrequests_per_second = 0.5\n";
    assert!(GOOD.contains(some));
    let file = parse(&GOOD.replace(some, all)).unwrap();
    let expected = Limits::default()
        .with_memory(1 << 20)
        .with_cpu(Duration::from_secs(2))
        .with_deadline(Duration::from_secs(3))
        .with_response_body(4 << 20)
        .with_batch(5 << 20)
        .with_requests_per_second(Some(6.0))
        .with_parallelism(7)
        .with_requests_in_flight(8)
        .with_log(9 << 10)
        .with_handles(10)
        .with_stack(128 << 10)
        .with_empty_batches(12)
        .with_component_size(13 << 20)
        .with_compile_time(Duration::from_secs(14))
        .with_requests_per_batch(15)
        .with_request_timeout(Duration::from_secs(16))
        .with_response_headers(17 << 10)
        .with_request_body(18 << 10)
        .with_compile_memory(19 << 20)
        .with_response_header_count(20)
        .with_offset(21 << 10);
    assert_eq!(file.config().source.limits, expected);
    let file = parse(&GOOD.replace(some, "")).unwrap();
    assert_eq!(file.config().source.limits, Limits::default());
    for key in LimitKey::ALL {
        assert!(all.contains(&format!("{key} = ")), "{key} is not tried");
        assert_ne!(expected.get(*key), Limits::default().get(*key), "{key}");
    }
}
