//! Links that are replaced: one token goes and another comes, for the same wish.

use std::{sync::Arc, time::Duration};

use argospool::domain::{
    envelope::{Cipher, Keyring},
    ids::Sequence,
    limits::LINK_BYTES_MAX,
    liveform::{Asked, Draft, Form, Mode, Parameter},
    pause::Activity,
    pool::{Command, Event, Granted, Policy, Refusal, Reply, Wanted},
    secret::Secret,
    token::{Ending, Holder, Labels},
};

use super::{leased, open, replacement};
use crate::{
    links::{blank, form, rules},
    pool::{Desk, Told, told, usual},
};

fn replace(desk: &mut Desk, sequence: Sequence, request: u128) -> Result<Granted, Refusal> {
    let command = replacement(desk, sequence, request);
    let Reply::Leases(mut granted) = desk.tell(&command)? else { panic!("no lease") };
    Ok(granted.remove(0))
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

#[test]
fn a_replacement_has_the_parameters_and_the_labels_of_what_it_replaces_and_is_remembered_by_it() {
    let mut desk = Desk::stocked(usual(), 2);
    let mut wish = desk.wish("uid:1", None);
    let asked = Asked::default().with(Parameter::Cf1, "a b");
    let params = rules().resolve(&asked, "", desk.now).unwrap();
    wish.draft = Some(Draft { params, ..desk.blank.clone() });
    wish.grant.labels = Labels::from([("flow".to_owned(), "kyc".to_owned())]);
    let old = told(&desk.take(vec![wish.clone()]).unwrap()[0]);
    let new = told(&replace(&mut desk, old.sequence, 2).unwrap());
    let Holder::Caller { grant, url, .. } = &new.lease.holder else { panic!() };
    assert!(url.ends_with(&format!("{}&cf1=a%20b", new.token.expose())));
    assert_eq!(grant.labels, wish.grant.labels);
    desk.release(new.sequence, "uid:1").unwrap();
    assert_eq!(desk.line(new.sequence).replaces, Some(old.sequence));
}

#[test]
fn a_replacement_is_a_hand_out_and_stops_with_them() {
    let (mut desk, old) = leased();
    let activities = vec![Activity::Leasing];
    let (reason, by) = ("test".to_owned(), "test".to_owned());
    desk.tell(&Command::Pause { activities, reason, by }).unwrap();
    assert_eq!(replace(&mut desk, old.sequence, 2).unwrap_err(), Refusal::Paused);
    assert_eq!(open(&desk, old.sequence), *old.lease);
}

#[test]
fn a_token_that_would_age_within_the_replacement_s_time_is_not_given() {
    let policy = Policy { unused_age_max: Some(Duration::from_secs(700)), ..usual() };
    let mut desk = Desk::stocked(policy, 2);
    let old = desk.lease("uid:1", None).unwrap();
    desk.wait(690);
    assert_eq!(replace(&mut desk, old.sequence, 2).unwrap_err(), Refusal::Empty);
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
    let mut desk = Desk::stocked(usual(), 2);
    desk.blank.form = Arc::new(form().marked_by(Some(Parameter::Userid)));
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

/// A record that is too large would stop the ledger, so no such lease comes to be.
#[test]
fn a_link_that_is_too_long_as_links_are_written_today_changes_nothing() {
    let (mut desk, old) = leased();
    let base_url = format!("https://{}", "x".repeat(LINK_BYTES_MAX));
    let keyring = Keyring::new(Cipher::Ecb, &Secret::new("k".to_owned()), []);
    desk.blank.form = Arc::new(Form::new(&base_url, "p", Mode::Mixed, keyring));
    assert_eq!(replace(&mut desk, old.sequence, 2).unwrap_err(), Refusal::LinkTooLong);
    assert_eq!(open(&desk, old.sequence), *old.lease);
    assert_eq!(desk.lease("uid:1", None).unwrap_err(), Refusal::LinkTooLong);
}

/// Both count: the URL, and what is kept of its envelope.
#[test]
fn a_link_may_be_as_long_as_a_record_has_room_for() {
    let desk = Desk::stocked(usual(), 1);
    let kept = |spare: usize| {
        let base_url = format!("https://form.example{}", "x".repeat(spare));
        let keyring = Keyring::new(Cipher::Ecb, &Secret::new("k".to_owned()), []);
        let form = Arc::new(Form::new(&base_url, "pid_test", Mode::Sealed, keyring));
        let asked = Asked::default().with(Parameter::Cf1, "a b");
        let params = rules().resolve(&asked, "", desk.now).unwrap();
        let draft = Some(Draft { form, params, ..blank() });
        let wanted = vec![Wanted { draft, ..desk.wish("uid:1", None) }];
        let verdict = desk.pool.decide(&Command::Lease { wanted }, desk.now)?;
        let Event::Leased { lease, .. } = &verdict.events[0] else { panic!("no lease") };
        let Holder::Caller { url, sealed, .. } = &lease.holder else { panic!("presumed") };
        assert!(!sealed.is_empty());
        Ok(url.len() + sealed.len())
    };
    let spare = LINK_BYTES_MAX - kept(0).unwrap();
    assert_eq!(kept(spare), Ok(LINK_BYTES_MAX));
    assert_eq!(kept(spare + 1), Err(Refusal::LinkTooLong));
}
