//! Randomness, as the core asks for it.

/// A source of unpredictable bytes. The daemon passes in the operating system's, a simulation one
/// that can be repeated.
pub trait Entropy: Send {
    /// Fills `bytes` whole.
    fn fill(&mut self, bytes: &mut [u8]);
}
