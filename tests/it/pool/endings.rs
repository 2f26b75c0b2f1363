//! How leases end otherwise than by themselves: revoked, replaced, or told about by ARGOS late, early and
//! in part.

use std::time::Duration;

use argospool::domain::{
    ids::{Owner, Sequence, SubmissionId},
    pool::{Command, Effect, Granted, Policy, Refusal, Reply, UnderWay},
    submission::{Fact, FactKind},
    time::Timestamp,
    token::{Decision, DoomCause, Ending, Holder, Lease, Stage},
};

use super::{Desk, Told, told, usual};

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
    Command::Replace { sequence, owner: owner(), request, ttl: Duration::from_secs(60) }
}

fn replace(desk: &mut Desk, sequence: Sequence, request: u128) -> Result<Granted, Refusal> {
    let command = replacement(desk, sequence, request);
    let Reply::Leases(mut granted) = desk.tell(&command)? else { panic!("no lease") };
    Ok(granted.remove(0))
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

/// P2.
#[test]
fn nobody_revokes_or_replaces_the_lease_of_another() {
    let (mut desk, told) = leased();
    let other = Some(Owner::parse("uid:2").unwrap());
    let sequence = told.sequence;
    let revoke = Command::Revoke { sequence, owner: other.clone(), request: None };
    assert_eq!(desk.tell(&revoke).unwrap_err(), Refusal::NotOpen);
    let ttl = Duration::from_secs(60);
    let replace = Command::Replace { sequence, owner: other, request: None, ttl };
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

/// L1: one token goes and another comes, in one step.
#[test]
fn a_replaced_lease_is_revoked_and_another_token_stands_for_the_same_wish() {
    let (mut desk, old) = leased();
    let new = told(&replace(&mut desk, old.sequence, 2).unwrap());
    assert_ne!(new.token, old.token);
    assert_eq!(new.lease.replaces, Some(old.sequence));
    assert_eq!(new.lease.deadline, desk.after(60));
    let line = desk.line(old.sequence);
    assert_eq!((line.ending, line.replaced_by), (Ending::Replaced, Some(new.sequence)));
    assert!(desk.doom(old.sequence).urgent);
    let Holder::Caller { url, .. } = &new.lease.holder else { panic!() };
    let Holder::Caller { url: before, .. } = &old.lease.holder else { panic!() };
    assert_eq!(**url, before.replace(old.token.expose(), new.token.expose()));
}

/// L3: the replacement is found again under its own request, and the first request finds what it
/// was given.
#[test]
fn a_repeated_replacement_answers_the_same_lease() {
    let (mut desk, old) = leased();
    let new = told(&replace(&mut desk, old.sequence, 2).unwrap());
    desk.reopen();
    assert_eq!(told(&replace(&mut desk, old.sequence, 2).unwrap()), new);
    assert_eq!(desk.pool.census().leased, 1);
    let first = vec![desk.wish("uid:1", Some(1))];
    assert!(matches!(desk.take(first).unwrap()[0], Granted::Past(at) if at == old.sequence));
    assert_eq!(replace(&mut desk, old.sequence, 3).unwrap_err(), Refusal::NotOpen);
}

#[test]
fn with_no_token_to_give_a_replacement_changes_nothing() {
    let mut desk = Desk::stocked(usual(), 1);
    let old = desk.lease("uid:1", Some(1)).unwrap();
    assert_eq!(replace(&mut desk, old.sequence, 2).unwrap_err(), Refusal::Empty);
    assert_eq!(open(&desk, old.sequence), *old.lease);
}

#[test]
fn a_link_of_ours_is_replaced_with_its_own_mark() {
    let mut policy = usual();
    policy.form = policy.form.marked_by(Some("userid"));
    let mut desk = Desk::stocked(policy, 2);
    let old = desk.lease("uid:1", None).unwrap();
    let new = told(&replace(&mut desk, old.sequence, 2).unwrap());
    let url = |told: &Told| match &told.lease.holder {
        Holder::Caller { url, .. } => url.clone(),
        Holder::Presumed => panic!(),
    };
    let mark = |told: &Told| desk.pool.seal().mark(told.sequence);
    assert!(url(&old).ends_with(&format!("&userid={}", mark(&old))));
    assert!(url(&new).ends_with(&format!("{}&userid={}", new.token.expose(), mark(&new))));
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
    assert!(desk.fact(Sequence::ZERO, FactKind::Started));
    assert!(desk.pool.halted());
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
