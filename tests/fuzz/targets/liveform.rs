#![no_main]

use argospool_fuzz::fuzzed::liveform;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| liveform::holds(bytes));
