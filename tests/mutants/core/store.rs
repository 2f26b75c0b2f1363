//! As in the repository, where all of it is.

pub mod memory;
mod record;
pub mod sled;
