//! Durable records, from any bytes (J2).
//!
//! The first byte says which record the rest is. What can be read is written back the same; what the
//! domain understands of it survives being written, and a group survives being cut into parts.

use std::fmt::Debug;

use argospool::{
    domain::{
        ids::{OrderId, Revision, Sequence},
        order::Order,
        pause::{Activity, Pause},
        seal::LedgerIdentity,
        time::Timestamp,
        token::{ClosedLease, Token},
    },
    port::Group,
    store::{
        record::{
            GroupRecord, HeadRecord, IdentityRecord, LineBlockRecord, LineRecord, MarkRecord,
            OrderRecord, PauseRecord, RecordError, SpanRecord, TokenBlockRecord, TokenRecord,
        },
        sled::{
            VALUE_MAX,
            group::{Parts, key, key_parts},
        },
    },
};
use prost::Message;

use super::draw::Draw;

pub fn holds(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let kind = draw.byte();
    let bytes = draw.rest();
    match kind {
        b't' => drop(understood::<TokenRecord, Token>(bytes)),
        b'o' => drop(understood::<OrderRecord, Order>(bytes)),
        b'p' => drop(understood::<PauseRecord, (Activity, Pause)>(bytes)),
        b'l' => drop(understood::<LineRecord, ClosedLease>(bytes)),
        b'i' => drop(understood::<IdentityRecord, LedgerIdentity>(bytes)),
        b'h' => {
            if let Some(head) = read::<HeadRecord>(bytes) {
                head.pauses.into_iter().for_each(|it| drop(kept::<_, (Activity, Pause)>(it)));
                head.identity.map(kept::<_, LedgerIdentity>);
            }
        }
        b'b' => {
            if let Some(block) = read::<TokenBlockRecord>(bytes) {
                block.tokens.into_iter().for_each(|it| drop(kept::<_, Token>(it)));
            }
        }
        b'c' => {
            if let Some(block) = read::<LineBlockRecord>(bytes) {
                block.lines.into_iter().for_each(|it| drop(kept::<_, ClosedLease>(it)));
            }
        }
        b's' => drop(read::<SpanRecord>(bytes)),
        b'm' => drop(read::<MarkRecord>(bytes)),
        b'k' => {
            let named = key_parts(bytes);
            assert_eq!(named.is_some(), bytes.len() == 12, "a key has 12 bytes");
            assert!(named.is_none_or(|(number, part)| key(number, part) == *bytes));
        }
        _ => {
            if let Some(group) = read::<GroupRecord>(bytes).and_then(group) {
                survives_being_cut(&group);
            }
        }
    }
}

fn understood<R, D>(bytes: &[u8]) -> Option<D>
where
    R: Message + Default + PartialEq + Clone + for<'a> From<&'a D>,
    D: TryFrom<R, Error = RecordError> + PartialEq + Debug,
{
    read::<R>(bytes).and_then(kept)
}

/// What is read is written and read as the same.
fn read<R: Message + Default + PartialEq>(bytes: &[u8]) -> Option<R> {
    let record = R::decode(bytes).ok()?;
    let written = record.encode_to_vec();
    let again = R::decode(&*written).expect("what was written is readable");
    assert!(record == again, "a record is read otherwise than it was written");
    assert_eq!(written, again.encode_to_vec(), "a record is written otherwise than it was read");
    Some(record)
}

/// What the domain understands comes back from what is kept of it; what it does not is refused in words.
fn kept<R, D>(record: R) -> Option<D>
where
    R: Message + Default + PartialEq + Clone + for<'a> From<&'a D>,
    D: TryFrom<R, Error = RecordError> + PartialEq + Debug,
{
    let meant = match D::try_from(record) {
        Ok(meant) => meant,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let written = R::from(&meant);
    let again = read::<R>(&written.encode_to_vec()).expect("what was written is readable");
    assert!(written == again);
    let again = D::try_from(again).expect("what was written is understood");
    assert!(meant == again, "J2: something of a record is lost");
    Some(meant)
}

fn group(record: GroupRecord) -> Option<Group> {
    fn all<R, D>(records: Vec<R>) -> Option<Vec<D>>
    where
        R: Message + Default + PartialEq + Clone + for<'a> From<&'a D>,
        D: TryFrom<R, Error = RecordError> + PartialEq + Debug,
    {
        records.into_iter().map(kept).collect()
    }
    let sequence = |number: u64| (number <= Sequence::MAX.get()).then(|| Sequence::new(number));
    let mark = record.mark.unwrap_or_default();
    Some(Group {
        revision: Revision(mark.revision),
        at: Timestamp::from_millis(mark.at),
        next: sequence(mark.next)?,
        granted: sequence(mark.granted)?,
        tokens: all(record.tokens)?,
        tokens_gone: record.tokens_gone.into_iter().map(sequence).collect::<Option<_>>()?,
        orders: all(record.orders)?,
        orders_gone: record
            .orders_gone
            .into_iter()
            .map(|number| sequence(number).map(OrderId))
            .collect::<Option<_>>()?,
        pauses: all(record.pauses)?,
        pauses_gone: Vec::new(),
        lines: all(record.lines)?,
    })
}

/// The parts of a group hold everything of it, in its order, and each says how many there are.
fn survives_being_cut(group: &Group) {
    let Ok(parts) = Parts::cut(group) else { return };
    let read = |value: &Vec<u8>| read::<GroupRecord>(value).expect("a part is readable");
    let records: Vec<_> = parts.values.iter().map(read).collect();
    assert!(parts.values.iter().all(|value| value.len() <= VALUE_MAX), "a value grows into blobs");
    assert!(records.iter().all(|part| part.parts as usize == records.len()));
    assert!(records.iter().all(|part| part.mark == Some(parts.mark)));
    let mut together = GroupRecord { mark: Some(parts.mark), ..GroupRecord::default() };
    for part in records {
        together.tokens.extend(part.tokens);
        together.tokens_gone.extend(part.tokens_gone);
        together.orders.extend(part.orders);
        together.orders_gone.extend(part.orders_gone);
        together.pauses.extend(part.pauses);
        together.lines.extend(part.lines);
    }
    let back = self::group(together).expect("what was cut is understood");
    let kept = (&back.tokens, &back.orders, &back.pauses, &back.lines);
    let whole = (&group.tokens, &group.orders, &group.pauses, &group.lines);
    assert!(kept == whole, "J1: a part of a commit is lost");
    let gone = (&back.tokens_gone, &back.orders_gone);
    assert!(gone == (&group.tokens_gone, &group.orders_gone), "J1: what went is kept");
}
