//! As in the repository, where all of it is.

mod backup;
pub mod memory;
mod record;
pub mod sled;
