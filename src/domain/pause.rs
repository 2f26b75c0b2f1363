//! Activities that a person can stop. A pause survives a restart and never stops webhooks.

use super::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    Leasing,
    Refill,
    Purge,
}

impl Activity {
    pub const ALL: [Self; 3] = [Self::Leasing, Self::Refill, Self::Purge];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leasing => "leasing",
            Self::Refill => "refill",
            Self::Purge => "purge",
        }
    }
}

/// Why an activity rests, since when and by whose order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub reason: String,
    pub by: String,
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activities_have_names_that_stay() {
        assert_eq!(Activity::ALL.map(Activity::as_str), ["leasing", "refill", "purge"]);
    }
}
