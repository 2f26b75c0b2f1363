//! The durable form of everything a ledger keeps.
//!
//! The tag numbers below *are* the format: a field is added under a fresh number, never renumbered,
//! and the number of a field that went is never used again: each message names those that it lost.
//! Numbers of stages, causes and endings and the bits of decisions likewise. A number that this version
//! does not know is a [`RecordError::Newer`], because guessing would be forgetting. Times are
//! milliseconds of the Unix epoch.
//!
//! The messages print nothing: they carry token ids, URLs and keys.

mod convert;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(super) use self::convert::{activity_number, sequence};
use crate::domain::ids::Malformed;

/// Raised when a reader of the previous version would misread what this one writes.
pub const FORMAT_VERSION: u32 = 1;

/// A record that cannot be what this version wrote.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{what} number {number} is unknown to this version: a newer one wrote the ledger")]
    Newer { what: &'static str, number: i32 },
    #[error("a record lacks its {0}")]
    Missing(&'static str),
    #[error("a record has a malformed {0}")]
    Malformed(&'static str),
    #[error("a record has a malformed name")]
    Name(#[from] Malformed),
    #[error("a record is not readable")]
    Unreadable(#[from] prost::DecodeError),
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct TokenRecord {
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    #[prost(string, tag = "2")]
    pub id: String,
    #[prost(uint64, tag = "3")]
    pub minted: u64,
    #[prost(uint64, tag = "4")]
    pub revision: u64,
    #[prost(oneof = "StageRecord", tags = "5, 6, 7, 8")]
    pub stage: Option<StageRecord>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(skip_debug)]
pub enum StageRecord {
    /// The sequence of its order.
    #[prost(uint64, tag = "5")]
    Minted(u64),
    /// Since when.
    #[prost(uint64, tag = "6")]
    Ready(u64),
    #[prost(message, boxed, tag = "7")]
    Leased(Box<LeaseRecord>),
    #[prost(message, tag = "8")]
    Doomed(DoomRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct LeaseRecord {
    #[prost(uint64, tag = "1")]
    pub issued: u64,
    #[prost(uint64, tag = "2")]
    pub deadline: u64,
    #[prost(message, optional, tag = "3")]
    pub started: Option<StartedRecord>,
    /// Absent: a presumed lease, which nobody owns.
    #[prost(message, optional, tag = "4")]
    pub grant: Option<GrantRecord>,
    #[prost(string, tag = "5")]
    pub url: String,
    #[prost(uint64, optional, tag = "6")]
    pub expires: Option<u64>,
    #[prost(message, repeated, tag = "7")]
    pub submissions: Vec<SubmissionRecord>,
    #[prost(uint64, optional, tag = "8")]
    pub vanished: Option<u64>,
    #[prost(uint64, optional, tag = "9")]
    pub replaces: Option<u64>,
    #[prost(bool, tag = "10")]
    pub correlated: bool,
    /// What the envelope of its link says.
    #[prost(string, tag = "11")]
    pub sealed: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GrantRecord {
    #[prost(string, tag = "1")]
    pub owner: String,
    #[prost(message, optional, tag = "2")]
    pub request: Option<RequestRecord>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct RequestRecord {
    /// 16 bytes, big end first.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// 16 bytes, big end first.
    #[prost(bytes = "vec", tag = "2")]
    pub key: Vec<u8>,
    #[prost(fixed64, tag = "3")]
    pub digest: u64,
}

/// Number 4 went.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StartedRecord {
    #[prost(uint64, tag = "1")]
    pub at: u64,
    #[prost(uint64, tag = "2")]
    pub entry_ends: u64,
    #[prost(uint64, tag = "3")]
    pub session_ends: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct SubmissionRecord {
    /// Absent: what was told without naming a submission.
    #[prost(string, optional, tag = "1")]
    pub id: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub dated: Option<ToldRecord>,
    #[prost(message, optional, tag = "3")]
    pub undated: Option<ToldRecord>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ToldRecord {
    #[prost(uint64, tag = "1")]
    pub at: u64,
    /// A bit for each decision: 1 rejected, 2 pending, 4 approved.
    #[prost(uint32, tag = "2")]
    pub said: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DoomRecord {
    #[prost(int32, tag = "1")]
    pub cause: i32,
    #[prost(uint64, tag = "2")]
    pub since: u64,
    #[prost(uint64, tag = "3")]
    pub not_before: u64,
    #[prost(uint32, tag = "4")]
    pub attempts: u32,
    #[prost(bool, tag = "5")]
    pub urgent: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct OrderRecord {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint32, tag = "2")]
    pub tokens: u32,
    #[prost(uint64, tag = "3")]
    pub minted: u64,
    #[prost(uint64, tag = "4")]
    pub revision: u64,
    #[prost(oneof = "OrderStateRecord", tags = "5, 6")]
    pub state: Option<OrderStateRecord>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(skip_debug)]
pub enum OrderStateRecord {
    #[prost(message, tag = "5")]
    Open(OpenRecord),
    /// When it is ripe.
    #[prost(uint64, tag = "6")]
    Settled(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct OpenRecord {
    #[prost(uint64, tag = "1")]
    pub not_before: u64,
    #[prost(message, optional, tag = "2")]
    pub doubt: Option<DoubtRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DoubtRecord {
    #[prost(uint64, tag = "1")]
    pub since: u64,
    #[prost(uint64, optional, tag = "2")]
    pub unanswered: Option<u64>,
    #[prost(uint32, tag = "3")]
    pub attempts: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct PauseRecord {
    #[prost(int32, tag = "1")]
    pub activity: i32,
    #[prost(string, tag = "2")]
    pub reason: String,
    #[prost(string, tag = "3")]
    pub by: String,
    #[prost(uint64, tag = "4")]
    pub since: u64,
}

/// A line of history. Number 8 went.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct LineRecord {
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    #[prost(uint64, tag = "3")]
    pub issued: u64,
    #[prost(uint64, tag = "4")]
    pub deadline: u64,
    #[prost(message, optional, tag = "5")]
    pub started: Option<StartedRecord>,
    #[prost(uint64, tag = "6")]
    pub closed: u64,
    #[prost(int32, tag = "7")]
    pub ending: i32,
    #[prost(message, optional, tag = "9")]
    pub grant: Option<GrantRecord>,
    #[prost(message, optional, tag = "10")]
    pub closer: Option<RequestRecord>,
    #[prost(message, repeated, tag = "11")]
    pub submissions: Vec<SubmissionRecord>,
    #[prost(uint64, optional, tag = "12")]
    pub vanished: Option<u64>,
    #[prost(uint64, optional, tag = "13")]
    pub link_dead: Option<u64>,
    #[prost(uint64, optional, tag = "14")]
    pub replaces: Option<u64>,
    #[prost(uint64, optional, tag = "15")]
    pub replaced_by: Option<u64>,
    #[prost(bool, tag = "16")]
    pub correlated: bool,
}

/// What every ledger has once: who it is, and how far it came.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct HeadRecord {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(string, tag = "2")]
    pub pid: String,
    #[prost(message, optional, tag = "3")]
    pub identity: Option<IdentityRecord>,
    #[prost(uint64, tag = "4")]
    pub epoch: u64,
    #[prost(message, optional, tag = "5")]
    pub mark: Option<MarkRecord>,
    #[prost(message, repeated, tag = "6")]
    pub pauses: Vec<PauseRecord>,
    /// The last group that the blocks contain.
    #[prost(uint64, tag = "7")]
    pub folded: u64,
    /// The last epoch that began with an older past of the ledger.
    #[prost(uint64, tag = "8")]
    pub suspect_epoch: u64,
    /// The highest revision of any line that went.
    #[prost(uint64, tag = "9")]
    pub dropped: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct IdentityRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub tag: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub id_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub digest_key: Vec<u8>,
}

/// How far the ledger came with one commit.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct MarkRecord {
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    #[prost(uint64, tag = "2")]
    pub at: u64,
    #[prost(uint64, tag = "3")]
    pub next: u64,
    #[prost(uint64, tag = "4")]
    pub granted: u64,
}

/// One commit, or a part of one that is too large for one value. All parts together, or nothing.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GroupRecord {
    /// How many parts the group has.
    #[prost(uint32, tag = "1")]
    pub parts: u32,
    #[prost(message, optional, tag = "2")]
    pub mark: Option<MarkRecord>,
    #[prost(message, repeated, tag = "3")]
    pub tokens: Vec<TokenRecord>,
    #[prost(uint64, repeated, tag = "4")]
    pub tokens_gone: Vec<u64>,
    #[prost(message, repeated, tag = "5")]
    pub orders: Vec<OrderRecord>,
    #[prost(uint64, repeated, tag = "6")]
    pub orders_gone: Vec<u64>,
    #[prost(message, repeated, tag = "7")]
    pub pauses: Vec<PauseRecord>,
    #[prost(int32, repeated, tag = "8")]
    pub pauses_gone: Vec<i32>,
    #[prost(message, repeated, tag = "9")]
    pub lines: Vec<LineRecord>,
}

/// Live tokens with neighbouring sequences.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct TokenBlockRecord {
    #[prost(message, repeated, tag = "1")]
    pub tokens: Vec<TokenRecord>,
}

/// Lines of history with neighbouring sequences.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct LineBlockRecord {
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<LineRecord>,
}

/// What a stretch of history holds, so that it need not be read to know whether it matters.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct SpanRecord {
    #[prost(uint64, tag = "1")]
    pub lines: u64,
    /// No line of the stretch closed before this …
    #[prost(uint64, tag = "2")]
    pub closed_first: u64,
    /// … or after this.
    #[prost(uint64, tag = "3")]
    pub closed_last: u64,
    /// No line of the stretch changed after this. Absent: nobody knows.
    #[prost(uint64, optional, tag = "4")]
    pub changed_last: Option<u64>,
}

/// One piece of a backup. The preface comes first; then for each project its ledger and what is in it;
/// then the end.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct PieceRecord {
    #[prost(oneof = "Piece", tags = "1, 2, 3, 4")]
    pub piece: Option<Piece>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(skip_debug)]
pub(super) enum Piece {
    #[prost(message, tag = "1")]
    Preface(PrefaceRecord),
    #[prost(message, tag = "2")]
    Ledger(LedgerRecord),
    #[prost(message, tag = "3")]
    Records(GroupRecord),
    /// How many pieces came before.
    #[prost(uint64, tag = "4")]
    End(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PrefaceRecord {
    /// Of the backup; the records have that of their ledger.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(uint64, tag = "2")]
    pub made: u64,
    #[prost(string, tag = "3")]
    pub version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct LedgerRecord {
    #[prost(string, tag = "1")]
    pub project: String,
    #[prost(message, optional, tag = "2")]
    pub head: Option<HeadRecord>,
}
