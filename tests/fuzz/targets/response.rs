#![no_main]

use argospool_fuzz::fuzzed::response;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| response::holds(bytes));
