//! Walking through pages of a list that somebody else keeps.
//!
//! ARGOS gives a cursor with every page but the last. A cursor that comes again, or a list that goes on
//! beyond reason, makes the whole walk void: what was seen may be anything, and what was not seen proves
//! nothing (contract 1.4).

use std::{collections::BTreeSet, fmt};

use super::time::Timestamp;

/// Where a page begins, in the other side's own words. It may hold a token id, so it is not printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub id: String,
    pub time: String,
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(…)")
    }
}

/// Days of the other side's calendar, first and last, each given by a moment within it (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    pub first: Timestamp,
    pub last: Timestamp,
}

/// A walk under way.
#[derive(Clone, Debug)]
pub struct Walk {
    began: Timestamp,
    cursor: Option<Cursor>,
    passed: BTreeSet<Cursor>,
    pages_max: usize,
}

/// What comes after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Further,
    /// Every page was seen.
    Complete,
    /// The list repeats itself or does not end.
    Void,
}

impl Walk {
    pub fn begin(now: Timestamp, pages_max: usize) -> Self {
        Self { began: now, cursor: None, passed: BTreeSet::new(), pages_max }
    }

    /// When the first page was asked for.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Where the next page begins; `None`: it is the first one.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// A page came, and named where the next one begins.
    pub fn pass(&mut self, next: Option<Cursor>) -> Step {
        let Some(next) = next else { return Step::Complete };
        if self.passed.len() + 1 >= self.pages_max || !self.passed.insert(next.clone()) {
            return Step::Void;
        }
        self.cursor = Some(next);
        Step::Further
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(id: &str) -> Option<Cursor> {
        Some(Cursor { id: id.to_owned(), time: "1".to_owned() })
    }

    /// P1.
    #[test]
    fn a_cursor_is_not_printed() {
        assert_eq!(format!("{:?}", cursor("a")), "Some(Cursor(…))");
    }

    #[test]
    fn a_walk_ends_with_the_page_that_names_no_other() {
        let mut walk = Walk::begin(Timestamp::ZERO, 10);
        assert_eq!(walk.pass(cursor("a")), Step::Further);
        assert_eq!(walk.cursor(), cursor("a").as_ref());
        assert_eq!(walk.pass(None), Step::Complete);
    }

    #[test]
    fn a_list_that_goes_round_is_void() {
        let mut walk = Walk::begin(Timestamp::ZERO, 10);
        assert_eq!(walk.pass(cursor("a")), Step::Further);
        assert_eq!(walk.pass(cursor("b")), Step::Further);
        assert_eq!(walk.pass(cursor("a")), Step::Void);
    }

    #[test]
    fn a_list_that_never_ends_is_void() {
        let mut walk = Walk::begin(Timestamp::ZERO, 3);
        assert_eq!(walk.pass(cursor("a")), Step::Further);
        assert_eq!(walk.pass(cursor("b")), Step::Further);
        assert_eq!(walk.pass(cursor("c")), Step::Void);
    }
}
