//! The clock that all pools share.

pub mod clock;
