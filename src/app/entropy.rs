//! The operating system's randomness.

use rand::{TryRng as _, rngs::SysRng};

use crate::domain::entropy::Entropy;

/// Bytes from the operating system, as fresh as they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        SysRng
            .try_fill_bytes(bytes)
            .expect("a system without randomness cannot mint tokens that nobody can guess");
    }
}
