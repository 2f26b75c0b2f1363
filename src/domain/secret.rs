//! Text that must not leave the process by accident: API keys, bearer tokens, webhook secrets.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. It has no `Display`, no `Serialize` and an empty-handed `Debug`; the memory is
/// wiped when it is dropped. [`Secret::expose`] is the one way to the text, easy to search for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the place that puts it on the wire or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P1.
    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("text".to_owned())), "Secret(…)");
    }
}
