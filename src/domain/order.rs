//! Orders: tokens that are on their way into ARGOS.
//!
//! The ids are drawn and durable before the call leaves (B2). A refused order keeps its ids and
//! waits; a doubtful one is repeated with exactly its ids, which is safe because ARGOS overwrites and
//! none of them was shown (B1, B3).

use super::{
    ids::{OrderId, Revision, Sequence},
    time::Timestamp,
};

/// A wish for tokens with consecutive sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    /// How many tokens, counted from the first, at most [`super::limits::TOKENS_PER_CALL_MAX`].
    pub tokens: u32,
    pub minted: Timestamp,
    pub revision: Revision,
    pub state: OrderState,
}

impl Order {
    /// The sequences it names.
    pub fn range(&self) -> std::ops::Range<Sequence> {
        self.id.0..self.id.0.plus(u64::from(self.tokens))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Waiting for its first answer, or for another one.
    Open {
        /// Not sent again before this.
        not_before: Timestamp,
        doubt: Option<Doubt>,
    },
    /// Answered. Its tokens become Ready at `ripe`, when no late copy of the call can arrive.
    Settled { ripe: Timestamp },
}

/// What is not known about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub since: Timestamp,
    /// When the last attempt ended that went unanswered. `None`: every attempt was answered, and
    /// the answers contradict the batch.
    pub unanswered: Option<Timestamp>,
    /// Attempts that did not settle it.
    pub attempts: u32,
}

/// What came of one attempt to register an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Every id of the order is registered.
    Settled,
    /// Certainly nothing was registered.
    Refused,
    /// Certainly nothing was registered, and never will be in a call of this size.
    TooMany,
    /// ARGOS is full. It may have stored a part.
    CapReached,
    /// There was an answer, and it does not say what was registered.
    Unclear,
    /// No answer came: the call may still be on its way.
    Unanswered,
}
