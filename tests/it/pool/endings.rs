//! How leases end otherwise than by themselves: revoked, replaced, or told about by ARGOS late, early and
//! in part.

mod replacements;

use std::time::Duration;

use argospool::domain::{
    ids::{Owner, Sequence, SubmissionId},
    pool::{Command, Effect, Event, Policy, Refusal, Replacement, Reply, UnderWay},
    submission::{Fact, FactKind},
    time::Timestamp,
    token::{Decision, DoomCause, Ending, Holder, Lease, Stage},
};

use super::{Desk, Told, usual};

fn leased() -> (Desk, Told) {
    let mut desk = Desk::stocked(usual(), 5);
    let told = desk.lease("uid:1", Some(1)).unwrap();
    (desk, told)
}

fn owner() -> Option<Owner> {
    Some(Owner::parse("uid:1").unwrap())
}

fn revoke(desk: &mut Desk, sequence: Sequence) -> Result<Reply, Refusal> {
    desk.tell(&Command::Revoke { sequence, owner: owner(), request: None })
}

fn replacement(desk: &Desk, sequence: Sequence, request: u128) -> Command {
    let request = Some(desk.request(&owner().unwrap(), request, b"replace"));
    let ttl = Duration::from_secs(60);
    let replacement = Replacement { ttl, blank: desk.blank.clone() };
    Command::Replace { sequence, owner: owner(), request, replacement }
}

fn of(submission: &str, kind: FactKind, updated: u64, at: Timestamp) -> Fact {
    Fact {
        kind,
        at,
        submission: Some(SubmissionId::parse(submission).unwrap()),
        updated: (updated > 0).then(|| Timestamp::from_millis(updated)),
        asked: false,
    }
}

fn open(desk: &Desk, sequence: Sequence) -> Lease {
    desk.pool.lease(sequence).unwrap().1.clone()
}

#[test]
fn a_revoked_lease_closes_at_once_and_its_token_is_deleted_before_all_others() {
    let (mut desk, told) = leased();
    let others: Vec<_> = (0..3).map(|_| desk.lease("uid:1", None).unwrap().sequence).collect();
    for sequence in &others {
        desk.release(*sequence, "uid:1").unwrap();
    }
    assert_eq!(desk.deletions(), Vec::<Vec<Sequence>>::new(), "a part of a batch waits");
    assert!(matches!(revoke(&mut desk, told.sequence), Ok(Reply::Closed(_))));
    assert_eq!(desk.line(told.sequence).ending, Ending::Revoked);
    let all = [vec![told.sequence], others].concat();
    assert_eq!(desk.deletions(), [all], "it waits for nobody, and the others come along");
}

#[test]
fn a_backlog_does_not_stand_before_a_revocation() {
    let mut desk = Desk::stocked(usual(), 1_600);
    let all: Vec<_> = (0..1_501).map(|_| desk.lease("uid:1", None).unwrap().sequence).collect();
    for sequence in &all[..1_500] {
        desk.release(*sequence, "uid:1").unwrap();
    }
    desk.wait(60);
    revoke(&mut desk, all[1_500]).unwrap();
    let mut under_way = UnderWay::default();
    under_way.deletion_calls = 3;
    let effects = desk.pool.outstanding(desk.now, &under_way, 500);
    let Some(Effect::Delete { sequences }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((effects.len(), sequences[0], sequences.len()), (1, all[1_500], 500));
}

#[test]
fn when_argos_has_deleted_a_revoked_token_the_line_says_since_when_the_link_is_dead() {
    let (mut desk, told) = leased();
    revoke(&mut desk, told.sequence).unwrap();
    assert_eq!(desk.line(told.sequence).link_dead, None);
    desk.wait(2);
    desk.deleted(vec![told.sequence]);
    assert_eq!(desk.line(told.sequence).link_dead, Some(desk.now));
}

#[test]
fn a_link_that_was_closed_to_entries_earlier_stays_dead_since_then() {
    let (mut desk, told) = leased();
    desk.fact(told.sequence, FactKind::Started);
    let dead = desk.after(180);
    revoke(&mut desk, told.sequence).unwrap();
    desk.wait(200);
    desk.deleted(vec![told.sequence]);
    assert_eq!(desk.line(told.sequence).link_dead, Some(dead));
}

#[test]
fn a_link_that_dies_in_the_moment_of_its_deletion_is_told_of_once() {
    let (mut desk, told) = leased();
    desk.fact(told.sequence, FactKind::Started);
    revoke(&mut desk, told.sequence).unwrap();
    desk.wait(180);
    let (sequences, lines) = (vec![told.sequence], vec![desk.line(told.sequence).clone()]);
    let command = Command::Deleted { sequences: sequences.clone(), done: true, lines };
    let events = desk.pool.decide(&command, desk.now).unwrap().events;
    assert_eq!(events, [Event::Deleted { sequences }]);
}

/// Whoever has the link can enter for three minutes after its first use, unless it is killed first.
#[test]
fn a_link_that_would_have_died_by_itself_later_is_dead_when_its_token_is_deleted() {
    let (mut desk, told) = leased();
    desk.fact(told.sequence, FactKind::Started);
    revoke(&mut desk, told.sequence).unwrap();
    desk.wait(2);
    desk.deleted(vec![told.sequence]);
    assert_eq!(desk.line(told.sequence).link_dead, Some(desk.now));
}

/// Contract 2: ARGOS lets nobody in with a decided token.
#[test]
fn the_link_of_a_decided_lease_is_dead_at_once_or_since_it_was_used_up() {
    let (mut desk, told) = leased();
    desk.wait(10);
    desk.fact(told.sequence, FactKind::Decided(Decision::Approved));
    assert_eq!(desk.line(told.sequence).link_dead, Some(desk.now));
    let other = desk.lease("uid:1", None).unwrap().sequence;
    let used_up = desk.now;
    desk.fact(other, FactKind::Exhausted);
    desk.wait(20);
    desk.fact(other, FactKind::Decided(Decision::Approved));
    assert_eq!(desk.line(other).link_dead, Some(used_up));
}

#[test]
fn a_presumed_lease_is_an_admin_s_to_revoke_and_nobody_else_s() {
    let mut desk = Desk::stocked(usual(), 1);
    desk.tell(&Command::Suspect { below: Sequence::new(1) }).unwrap();
    assert_eq!(revoke(&mut desk, Sequence::ZERO).unwrap_err(), Refusal::NotOpen);
    let revoke = Command::Revoke { sequence: Sequence::ZERO, owner: None, request: None };
    assert!(matches!(desk.tell(&revoke), Ok(Reply::Closed(_))));
}

/// Somebody may have opened it just now, whoever it was given to.
#[test]
fn a_presumed_lease_that_lapses_has_the_same_grace_as_any_other() {
    let mut desk = Desk::stocked(usual(), 1);
    desk.tell(&Command::Suspect { below: Sequence::new(1) }).unwrap();
    desk.pass(86_400);
    assert_eq!(desk.line(Sequence::ZERO).ending, Ending::Lapsed);
    assert_eq!(desk.doom(Sequence::ZERO).not_before, desk.after(1_200));
}

/// P2.
#[test]
fn nobody_revokes_or_replaces_the_lease_of_another() {
    let (mut desk, told) = leased();
    let other = Some(Owner::parse("uid:2").unwrap());
    let sequence = told.sequence;
    let revoke = Command::Revoke { sequence, owner: other.clone(), request: None };
    assert_eq!(desk.tell(&revoke).unwrap_err(), Refusal::NotOpen);
    let ttl = Duration::from_secs(60);
    let replacement = Replacement { ttl, blank: desk.blank.clone() };
    let replace = Command::Replace { sequence, owner: other, request: None, replacement };
    assert_eq!(desk.tell(&replace).unwrap_err(), Refusal::NotOpen);
    assert_eq!(open(&desk, sequence), *told.lease);
}

/// L3.
#[test]
fn a_repeated_revocation_answers_the_lease_it_closed() {
    let (mut desk, told) = leased();
    let request = Some(desk.request(&owner().unwrap(), 2, b"revoke"));
    let revoke = Command::Revoke { sequence: told.sequence, owner: owner(), request };
    assert!(matches!(desk.tell(&revoke), Ok(Reply::Closed(_))));
    desk.reopen();
    assert!(matches!(desk.tell(&revoke), Ok(Reply::Past(at)) if at == told.sequence));
}

#[test]
fn an_admin_revokes_many_and_those_that_closed_meanwhile_stay_as_they_are() {
    let (mut desk, one) = leased();
    let two = desk.lease("uid:2", None).unwrap();
    desk.release(one.sequence, "uid:1").unwrap();
    let sequences = vec![one.sequence, two.sequence, Sequence::new(4)];
    desk.tell(&Command::RevokeAll { sequences }).unwrap();
    assert_eq!(desk.line(one.sequence).ending, Ending::Released);
    assert_eq!(desk.line(two.sequence).ending, Ending::Revoked);
    assert!(matches!(desk.stage(Sequence::new(4)), Stage::Ready { .. }));
}

#[test]
fn the_link_of_a_lapsed_lease_can_be_killed_before_its_grace_is_over() {
    let (mut desk, told) = leased();
    desk.pass(600);
    assert_eq!(desk.doom(told.sequence).not_before, desk.after(1_200));
    desk.tell(&Command::Hasten { sequence: told.sequence }).unwrap();
    assert_eq!(desk.doom(told.sequence).not_before, desk.now);
    assert_eq!(desk.deletions(), [vec![told.sequence]]);
    assert_eq!(desk.line(told.sequence).ending, Ending::Lapsed);
    desk.deleted(vec![told.sequence]);
    assert_eq!(desk.line(told.sequence).link_dead, Some(desk.now));
}

/// B3: haste does not reach past a late copy.
#[test]
fn what_waits_for_late_copies_is_not_hastened() {
    let mut desk = Desk::stocked(usual(), 0);
    desk.mint(2);
    desk.fact(Sequence::ZERO, FactKind::Decided(Decision::Rejected));
    let before = desk.doom(Sequence::ZERO).not_before;
    desk.tell(&Command::Hasten { sequence: Sequence::ZERO }).unwrap();
    assert_eq!(desk.doom(Sequence::ZERO).not_before, before);
}

#[test]
fn haste_puts_nothing_off_and_is_made_once() {
    let policy = Policy { revoked_grace: Duration::from_secs(60), ..usual() };
    let mut desk = Desk::stocked(policy, 1);
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.pass(600);
    desk.wait(1_190);
    let before = desk.doom(sequence).not_before;
    desk.tell(&Command::Hasten { sequence }).unwrap();
    let doom = desk.doom(sequence);
    assert_eq!((doom.not_before, doom.urgent), (before, true));
    let revision = desk.pool.revision();
    desk.tell(&Command::Hasten { sequence }).unwrap();
    assert_eq!(desk.pool.revision(), revision);
}

/// C2: a deletion that failed is not pressed.
#[test]
fn haste_does_not_reach_past_the_wait_after_a_failed_deletion() {
    let (mut desk, told) = leased();
    desk.release(told.sequence, "uid:1").unwrap();
    for _ in 0..4 {
        desk.not_deleted(vec![told.sequence]);
    }
    desk.tell(&Command::Hasten { sequence: told.sequence }).unwrap();
    assert_eq!(desk.doom(told.sequence).not_before, desk.after(80));
}

#[test]
fn used_as_often_as_allowed_it_is_closed_to_entries_and_the_session_goes_on() {
    let (mut desk, told) = leased();
    desk.wait(60);
    assert!(desk.fact(told.sequence, FactKind::Exhausted));
    let started = open(&desk, told.sequence).started.unwrap();
    assert_eq!((started.at, started.entry_ends), (desk.now, desk.now));
    assert_eq!(started.session_ends, desk.after(1_800));
    // A sign of an earlier use opens no door again.
    let earlier = desk.now.minus(Duration::from_secs(30));
    desk.fact_at(told.sequence, FactKind::Started, earlier);
    let started = open(&desk, told.sequence).started.unwrap();
    assert_eq!((started.at, started.entry_ends), (earlier, desk.now));
}

/// An expiry by time is announced ahead.
#[test]
fn an_expiry_announced_for_later_closes_the_lease_at_that_time_and_not_before() {
    let (mut desk, told) = leased();
    assert!(desk.fact(told.sequence, FactKind::Expires(desk.after(100))));
    assert_eq!(open(&desk, told.sequence).started, None, "it says nothing of any use");
    desk.pass(99);
    assert!(desk.pool.lease(told.sequence).is_some());
    desk.pass(1);
    let line = desk.line(told.sequence);
    assert_eq!((line.ending, line.link_dead), (Ending::Lapsed, Some(desk.now)));
    assert_eq!(desk.doom(told.sequence).not_before, desk.after(1_200), "somebody may be inside");
}

#[test]
fn of_two_announced_expiries_the_earlier_counts_and_none_outlasts_the_deadline() {
    let (mut desk, told) = leased();
    let other = desk.lease("uid:1", None).unwrap().sequence;
    desk.fact(told.sequence, FactKind::Expires(desk.after(100)));
    desk.fact(told.sequence, FactKind::Expires(desk.after(200)));
    desk.fact(other, FactKind::Expires(desk.after(5_000)));
    desk.pass(100);
    assert_eq!(desk.line(told.sequence).ending, Ending::Lapsed);
    desk.pass(500);
    assert_eq!(desk.line(other).ending, Ending::Lapsed);
}

#[test]
fn an_announced_expiry_cuts_no_session_off() {
    let (mut desk, told) = leased();
    desk.fact(told.sequence, FactKind::Started);
    desk.fact(told.sequence, FactKind::Expires(desk.after(100)));
    desk.pass(1_799);
    assert!(desk.pool.lease(told.sequence).is_some());
}

/// L2, and no breach: ARGOS may count from the registration.
#[test]
fn an_expiry_announced_for_a_ready_token_takes_it_out_of_use_and_stops_nothing() {
    let mut desk = Desk::stocked(usual(), 2);
    assert!(desk.fact(Sequence::ZERO, FactKind::Expires(desk.after(100))));
    assert_eq!(open(&desk, Sequence::ZERO).holder, Holder::Presumed);
    assert!(!desk.pool.halted());
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(1));
}

/// L1: it was never handed out, and it is used all the same.
#[test]
fn the_use_of_a_token_that_is_on_its_way_out_unleased_is_a_breach() {
    let policy = Policy { unused_age_max: Some(Duration::from_secs(1_000)), ..usual() };
    let mut desk = Desk::stocked(policy, 1);
    desk.pass(1_000);
    assert_eq!(desk.doom(Sequence::ZERO).cause, DoomCause::Aged);
    assert!(!desk.fact(Sequence::ZERO, FactKind::Expires(desk.now)));
    assert!(!desk.pool.halted());
    assert_eq!(desk.records.granted, Sequence::ZERO);
    assert!(desk.fact(Sequence::ZERO, FactKind::Started));
    assert!(desk.pool.halted());
    // An older copy of the ledger, in which it is Ready, knows by this not to hand it out.
    assert_eq!(desk.records.granted, Sequence::new(1));
}

/// ARGOS shows no sign before the first step: whoever came at the last moment is not cut off.
#[test]
fn a_late_sign_of_use_puts_off_the_deletion_of_a_lapsed_token() {
    let (mut desk, told) = leased();
    desk.pass(600);
    desk.wait(1_000);
    desk.fact(told.sequence, FactKind::Started);
    assert_eq!(desk.doom(told.sequence).not_before, desk.after(1_800));
    assert_eq!(desk.line(told.sequence).ending, Ending::Lapsed);
    // Revoked means dead, whoever is on the page.
    let other = desk.lease("uid:1", None).unwrap().sequence;
    revoke(&mut desk, other).unwrap();
    desk.fact(other, FactKind::Started);
    assert_eq!(desk.doom(other).not_before, desk.now);
}

/// W1: an administrator takes an approval back, and the two arrive in either order.
#[test]
fn a_downgrade_of_the_same_submission_counts_in_any_order_of_arrival() {
    let decided = FactKind::Decided;
    for turned in [false, true] {
        let (mut desk, told) = leased();
        let now = desk.now;
        let mut facts = vec![
            of("sub-1", decided(Decision::Approved), 10, now),
            of("sub-1", decided(Decision::Rejected), 20, now),
        ];
        if turned {
            facts.reverse();
        }
        for fact in facts {
            desk.hear(told.sequence, fact);
        }
        let decision = desk.line(told.sequence).decided().unwrap().decision;
        assert_eq!(decision, Decision::Rejected, "turned: {turned}");
    }
}

/// Contract 7.
#[test]
fn an_abandoned_submission_never_undoes_the_approval_of_another_on_the_same_link() {
    let (mut desk, told) = leased();
    desk.hear(told.sequence, of("sub-1", FactKind::Started, 0, desk.now));
    desk.hear(told.sequence, of("sub-2", FactKind::Decided(Decision::Approved), 5, desk.now));
    desk.wait(86_000);
    desk.hear(told.sequence, of("sub-1", FactKind::Decided(Decision::Rejected), 99, desk.now));
    let line = desk.line(told.sequence);
    assert_eq!(line.decided().unwrap().decision, Decision::Approved);
    assert_eq!(line.submissions.shown().unwrap().as_str(), "sub-2");
}

#[test]
fn a_fact_about_a_token_of_ours_that_was_forgotten_is_too_late() {
    use argospool::domain::pool::Heard;

    let (mut desk, told) = leased();
    desk.release(told.sequence, "uid:1").unwrap();
    desk.deleted(vec![told.sequence]);
    desk.records.lines.clear();
    let fact = of("sub-1", FactKind::Started, 0, desk.now);
    let command = Command::Fact { sequence: told.sequence, fact, line: None };
    assert!(matches!(desk.tell(&command), Ok(Reply::Fact(Heard::TooLate))));
}

/// ARGOS's clock, or a person's device, may say anything.
#[test]
fn no_first_use_is_earlier_than_the_link() {
    let (mut desk, told) = leased();
    let issued = desk.now;
    desk.wait(60);
    desk.fact_at(told.sequence, FactKind::Started, Timestamp::from_millis(1_600_000_000_000));
    assert_eq!(open(&desk, told.sequence).started.unwrap().at, issued);
}
