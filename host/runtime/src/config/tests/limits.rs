use std::time::Duration;

use super::super::LimitsConfig;
use super::{GOOD, parse};

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
    let expected = LimitsConfig {
        memory: 1 << 20,
        cpu: Duration::from_secs(2),
        deadline: Duration::from_secs(3),
        response_body: 4 << 20,
        batch: 5 << 20,
        requests_per_second: Some(6.0),
        parallelism: 7,
        requests_in_flight: 8,
        log: 9 << 10,
        handles: 10,
        stack: 128 << 10,
        empty_batches: 12,
        component_size: 13 << 20,
        compile_time: Duration::from_secs(14),
        requests_per_batch: 15,
        request_timeout: Duration::from_secs(16),
        response_headers: 17 << 10,
        request_body: 18 << 10,
        compile_memory: 19 << 20,
        response_header_count: 20,
        offset: 21 << 10,
    };
    assert_eq!(file.config().source.limits, expected);
    // What is left out is what the sandbox takes by itself.
    let file = parse(&GOOD.replace(some, "")).unwrap();
    let limits = crate::source_options::limits(&file.config().source.limits);
    assert_eq!(limits, sandbar_sandbox::Limits::default());
}
