#![no_main]

use argospool_fuzz::fuzzed::record;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| record::holds(bytes));
