//! The targets of the fuzzer: the very code that `cargo test --test it fuzzed` runs over the corpus.
#![allow(clippy::unwrap_used, reason = "a target that cannot go on says where")]

pub use it::fuzzed;

#[path = "../it"]
mod it {
    pub mod fuzzed;
}
