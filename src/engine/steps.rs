//! Where a caller's letter is on its way through the engine, as spans below that of its request, so that a
//! trace tells what a caller waited for: its turn, a token, or the disk.

use tracing::{Level, Span, level_filters::LevelFilter};

/// Nothing while nobody looks.
#[derive(Default)]
pub(super) struct Steps(Option<Box<Way>>);

struct Way {
    request: Span,
    /// It ends when the next one stands in its place.
    step: Span,
}

impl Steps {
    /// Of a letter that is put into the mailbox.
    #[inline]
    pub(super) fn begin() -> Self {
        // All that a call pays while nobody looks: one load and a branch.
        if Level::DEBUG > LevelFilter::current() { Self(None) } else { Self::look() }
    }

    #[cold]
    fn look() -> Self {
        let request = Span::current();
        let seen = !request.is_none();
        Self(seen.then(|| {
            let step = tracing::debug_span!(parent: &request, "queued");
            Box::new(Way { request, step })
        }))
    }

    /// It stands in line for a token.
    pub(super) fn waits(&mut self) {
        if let Some(way) = &mut self.0 {
            way.step = tracing::debug_span!(parent: &way.request, "waiting");
        }
    }

    /// It is decided, and its answer is held until it is durable.
    pub(super) fn commits(&mut self) {
        if let Some(way) = &mut self.0 {
            way.step = tracing::debug_span!(parent: &way.request, "commit");
        }
    }

    pub(super) fn request(&self) -> Option<&Span> {
        self.0.as_ref().map(|way| &way.request)
    }
}
