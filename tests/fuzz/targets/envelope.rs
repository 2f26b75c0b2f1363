#![no_main]

use argospool_fuzz::fuzzed::envelope;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| envelope::holds(bytes));
