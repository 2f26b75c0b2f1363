//! Where a project's tokens come from. A single node asks ARGOS itself.

use std::sync::Arc;

use crate::argos::{Argos, ArgosOptions, Surroundings, UnusableOptions};

/// A supplier that talks to ARGOS without anybody in between. The caller sees a
/// [`crate::port::Supplier`] in it, and besides what only a direct one can tell: keys, dates, listings.
pub fn direct(
    options: ArgosOptions,
    surroundings: Surroundings,
) -> Result<Arc<Argos>, UnusableOptions> {
    Argos::new(options, surroundings).map(Arc::new)
}
