#![no_main]

libfuzzer_sys::fuzz_target!(
    init: sandbar_fuzz::only_escaped_panics(),
    |bytes: &[u8]| sandbar_fuzz::run("rows", bytes)
);
