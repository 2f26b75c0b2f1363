//! One commit, cut into values that sled keeps out of its `blobs/`.

use prost::Message;

use super::{LINE_MAX, RECORD_MAX, VALUE_MAX};
use crate::{
    port::Group,
    store::record::{GroupRecord, MarkRecord, activity_number},
};

/// Tag, length and the fields that every part has.
const RECORD_FRAME: usize = 8;
const PART_FRAME: usize = 128;

/// A record that the domain's limits do not allow.
#[derive(Debug, thiserror::Error)]
#[error("a record of {bytes} bytes is too large for the ledger")]
pub struct Oversize {
    bytes: usize,
}

/// The parts of a group: as they are written, and as they are folded afterwards.
pub struct Parts {
    /// Given by the ledger when the parts are written.
    pub number: u64,
    pub mark: MarkRecord,
    pub values: Vec<Vec<u8>>,
    pub records: Vec<GroupRecord>,
}

impl Parts {
    pub fn cut(group: &Group) -> Result<Self, Oversize> {
        let mark = MarkRecord {
            revision: group.revision.0,
            at: group.at.as_millis(),
            next: group.next.get(),
            granted: group.granted.get(),
        };
        let mut cut = Cut::default();
        for token in &group.tokens {
            cut.put(token.into(), RECORD_MAX, |part| &mut part.tokens)?;
        }
        for order in &group.orders {
            cut.put(order.into(), RECORD_MAX, |part| &mut part.orders)?;
        }
        for pause in &group.pauses {
            cut.put(pause.into(), RECORD_MAX, |part| &mut part.pauses)?;
        }
        for line in &group.lines {
            cut.put(line.into(), LINE_MAX, |part| &mut part.lines)?;
        }
        for sequence in &group.tokens_gone {
            cut.room(RECORD_FRAME).tokens_gone.push(sequence.get());
        }
        for order in &group.orders_gone {
            cut.room(RECORD_FRAME).orders_gone.push(order.0.get());
        }
        for activity in &group.pauses_gone {
            cut.room(RECORD_FRAME).pauses_gone.push(activity_number(*activity));
        }
        let mut records = cut.records;
        let parts = u32::try_from(records.len()).expect("a group has fewer parts than bytes");
        for part in &mut records {
            (part.parts, part.mark) = (parts, Some(mark));
        }
        let values = records.iter().map(Message::encode_to_vec).collect();
        Ok(Self { number: 0, mark, values, records })
    }
}

/// The key of a part. Groups are numbered by the ledger itself, one by one, so that a gap is damage.
pub fn key(number: u64, part: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The group and part that a key names.
pub fn key_parts(key: &[u8]) -> Option<(u64, u32)> {
    let (number, part) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), u32::from_be_bytes(part.try_into().ok()?)))
}

struct Cut {
    records: Vec<GroupRecord>,
    bytes: usize,
}

impl Default for Cut {
    fn default() -> Self {
        Self { records: vec![GroupRecord::default()], bytes: PART_FRAME }
    }
}

impl Cut {
    fn put<R: Message>(
        &mut self,
        record: R,
        bytes_max: usize,
        list: impl FnOnce(&mut GroupRecord) -> &mut Vec<R>,
    ) -> Result<(), Oversize> {
        let bytes = record.encoded_len();
        if bytes > bytes_max {
            return Err(Oversize { bytes });
        }
        list(self.room(bytes + RECORD_FRAME)).push(record);
        Ok(())
    }

    /// The part that has room for `bytes` more.
    fn room(&mut self, bytes: usize) -> &mut GroupRecord {
        if self.bytes + bytes > VALUE_MAX {
            self.records.push(GroupRecord::default());
            self.bytes = PART_FRAME;
        }
        self.bytes += bytes;
        self.records.last_mut().expect("a cut begins with one part")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::{
        domain::{
            ids::{Owner, RequestId, Revision, Sequence, SubmissionId, TokenId},
            limits::{
                LABEL_KEY_MAX, LABEL_VALUE_MAX, LABELS_MAX, LINK_BYTES_MAX, OWNER_BYTES_MAX,
                SUBMISSION_ID_MAX, SUBMISSIONS_MAX, TOKEN_ID_BYTES_MAX,
            },
            seal::{Digest, RequestKey},
            submission::{Said, Submission, Submissions, Told},
            time::Timestamp,
            token::{ClosedLease, Ending, Grant, Holder, Lease, Request, Stage, Started, Token},
        },
        store::{
            record::{LineRecord, TokenRecord},
            sled::{LARGEST_LINE, LARGEST_TOKEN},
        },
    };

    #[test]
    fn a_group_of_any_size_is_cut_into_values_that_stay_out_of_blobs() {
        let token = |number| Token {
            sequence: Sequence::new(number),
            id: TokenId::parse(&"x".repeat(64)).unwrap(),
            minted: Default::default(),
            revision: Default::default(),
            stage: Stage::Ready { since: Default::default() },
        };
        let tokens: Vec<_> = (1 << 40..(1 << 40) + 5_000).map(token).collect();
        let tokens_gone: Vec<_> = ((1 << 47)..(1 << 47) + 50_000).map(Sequence::new).collect();
        let parts = Parts::cut(&Group { tokens, tokens_gone, ..Group::default() }).unwrap();
        assert!(parts.values.len() > 1);
        assert!(parts.values.iter().all(|value| value.len() <= VALUE_MAX));
        let kept: usize = parts.records.iter().map(|part| part.tokens.len()).sum();
        let gone: usize = parts.records.iter().map(|part| part.tokens_gone.len()).sum();
        assert_eq!((kept, gone), (5_000, 50_000));
        assert!(parts.records.iter().all(|part| part.parts as usize == parts.values.len()));
    }

    #[test]
    fn the_largest_records_that_the_domain_allows_fit() {
        let (token, line) = (largest_token(), largest_line());
        assert!(TokenRecord::from(&token).encoded_len() <= LARGEST_TOKEN);
        assert!(LineRecord::from(&line).encoded_len() <= LARGEST_LINE);
        let group = Group { tokens: vec![token; 512], lines: vec![line; 512], ..Group::default() };
        let parts = Parts::cut(&group).unwrap();
        assert!(parts.values.iter().all(|value| value.len() <= VALUE_MAX));
    }

    #[test]
    fn the_key_of_a_part_names_its_group_and_keeps_their_order() {
        assert_eq!(key_parts(&key(7, 3)), Some((7, 3)));
        assert!(key(7, 3) < key(7, 4) && key(7, 300) < key(8, 0) && key(255, 0) < key(256, 0));
    }

    const LATEST: Timestamp = Timestamp::from_millis(u64::MAX);

    fn largest_grant() -> Grant {
        let label = |at| (format!("{at:0LABEL_KEY_MAX$}"), "v".repeat(LABEL_VALUE_MAX));
        Grant {
            owner: Owner::parse(&"o".repeat(OWNER_BYTES_MAX)).unwrap(),
            request: Some(largest_request()),
            labels: (0..LABELS_MAX).map(label).collect(),
        }
    }

    fn largest_request() -> Request {
        let (id, key) = (RequestId(u128::MAX), RequestKey(u128::MAX));
        Request { id, key, digest: Digest(u64::MAX) }
    }

    fn largest_submissions() -> Submissions {
        let told = Some(Told { at: LATEST, said: Said::from_bits(0b111).unwrap() });
        let submission = |number| Submission {
            id: Some(SubmissionId::parse(&format!("{number:0SUBMISSION_ID_MAX$}")).unwrap()),
            dated: told,
            undated: told,
        };
        Submissions::restored((0..SUBMISSIONS_MAX).map(submission).collect())
    }

    fn largest_token() -> Token {
        let url = "u".repeat(LINK_BYTES_MAX / 2).into();
        let sealed = "s".repeat(LINK_BYTES_MAX / 2).into();
        Token {
            sequence: Sequence::MAX,
            id: TokenId::parse(&"x".repeat(TOKEN_ID_BYTES_MAX)).unwrap(),
            minted: LATEST,
            revision: Revision(u64::MAX),
            stage: Stage::Leased(Arc::new(Lease {
                issued: LATEST,
                deadline: LATEST,
                expires: Some(LATEST),
                started: Some(Started { at: LATEST, entry_ends: LATEST, session_ends: LATEST }),
                submissions: largest_submissions(),
                vanished: Some(LATEST),
                replaces: Some(Sequence::MAX),
                correlated: true,
                holder: Holder::Caller { grant: largest_grant(), url, sealed },
            })),
        }
    }

    fn largest_line() -> ClosedLease {
        ClosedLease {
            sequence: Sequence::MAX,
            revision: Revision(u64::MAX),
            issued: LATEST,
            deadline: LATEST,
            started: Some(Started { at: LATEST, entry_ends: LATEST, session_ends: LATEST }),
            submissions: largest_submissions(),
            vanished: Some(LATEST),
            closed: LATEST,
            ending: Ending::Replaced,
            link_dead: Some(LATEST),
            replaces: Some(Sequence::MAX),
            replaced_by: Some(Sequence::MAX),
            correlated: true,
            grant: Some(largest_grant()),
            closer: Some(largest_request()),
        }
    }
}
