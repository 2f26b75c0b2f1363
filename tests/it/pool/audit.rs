//! What an audit finds in records that this daemon never wrote so.

use argospool::domain::{
    ids::Sequence,
    invariant::Promise,
    limits::POOL_CAP,
    pool::{Pool, Restored},
    token::Token,
};

use super::{Desk, usual};

/// Five tokens on the shelf, of which two were leased, and three that were minted after them.
fn desk() -> Desk {
    let mut desk = Desk::stocked(usual(), 5);
    desk.lease("uid:1", Some(1)).unwrap();
    desk.lease("uid:2", Some(2)).unwrap();
    desk.mint(3);
    desk
}

/// The promises that are found broken when the records are read as `spoil` left them.
fn found(spoil: impl FnOnce(&Desk, &mut Restored)) -> Vec<Promise> {
    let desk = desk();
    let mut restored = desk.records.restored(desk.now);
    spoil(&desk, &mut restored);
    let pool = Pool::open(desk.pool.policy().clone(), desk.pool.seal().clone(), restored, desk.now);
    pool.audit().into_iter().map(|breach| breach.promise).collect()
}

#[test]
fn records_as_they_were_written_break_no_promise() {
    assert_eq!(found(|_, _| ()), []);
}

#[test]
fn a_lease_beyond_what_may_have_been_shown_is_found() {
    assert_eq!(found(|_, records| records.granted = Sequence::new(1)), [Promise::L1]);
}

#[test]
fn an_id_that_opens_to_another_sequence_is_found() {
    let found = found(|_, records| records.tokens[4].id = records.tokens[3].id.clone());
    assert_eq!(found, [Promise::U1]);
}

#[test]
fn minted_tokens_without_an_order_are_found() {
    assert_eq!(found(|_, records| records.orders.clear()), [Promise::B2; 3]);
}

#[test]
fn what_was_numbered_beyond_the_mark_is_found() {
    let found = found(|_, records| records.next = Sequence::new(7));
    assert_eq!(found, [Promise::J2, Promise::B2]);
}

#[test]
fn two_leases_of_one_request_are_found() {
    let found = found(|_, records| records.tokens[1].stage = records.tokens[0].stage.clone());
    assert_eq!(found, [Promise::L3, Promise::L3], "one is lost, and one has two");
}

/// C1, as far as records alone show it.
#[test]
fn more_tokens_than_argos_holds_for_one_project_are_found() {
    for (more, broken) in [(0, &[][..]), (1, &[Promise::C1])] {
        let found = found(|desk, records| {
            let ready = records.tokens[4].clone();
            let held = POOL_CAP + more;
            records.next = Sequence::new(held.into());
            for number in records.tokens.len() as u64..held.into() {
                let sequence = Sequence::new(number);
                let id = desk.pool.seal().token_id(&desk.pool.policy().prefix, sequence, [0; 5]);
                records.tokens.push(Token { sequence, id, ..ready.clone() });
            }
        });
        assert_eq!(found, broken);
    }
}
