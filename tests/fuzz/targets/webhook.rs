#![no_main]

use argospool_fuzz::fuzzed::webhook;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| webhook::holds(bytes));
