#![no_main]

use argospool_fuzz::fuzzed::config;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::holds(bytes));
