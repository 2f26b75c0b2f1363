use super::*;
use crate::{
    argos::TimeTold,
    domain::{pool::KeyCheck, secret::Secret, time::Timestamp},
    port::{Condition, Doubtful, DoubtfulCause, Refused, RefusedCause},
};

const SECRET: &str = "a-secret-of-the-test";

fn webhook(url: &str) -> Finding {
    let secret = Secret::new(SECRET.to_owned());
    let finding = settings::webhook(Some(&Secret::new(url.to_owned())), Some(&secret));
    let told = format!("{finding:?}");
    assert!(!told.contains(SECRET) && !told.contains("hunter2"), "P1: {told}");
    finding
}

#[test]
fn a_webhook_address_passes_by_https_with_our_path_and_is_told_by_its_host_alone() {
    for good in [
        format!("https://pool.example/webhooks/argos/{SECRET}"),
        format!("HTTPS://ann:hunter2@pool.example:8443/proxy/webhooks/argos/{SECRET}?x=hunter2"),
    ] {
        let finding = webhook(&good);
        assert_eq!(finding.result, CheckResult::Passed, "{}", finding.summary);
        assert!(finding.summary.contains("pool.example"), "{}", finding.summary);
    }
    for bad in [
        format!("http://pool.example/webhooks/argos/{SECRET}"),
        format!("https://pool.example/webhooks/argos/{SECRET}/"),
        format!("https://pool.example/webhooks/argos/x{SECRET}"),
        format!("https://pool.example/?/webhooks/argos/{SECRET}"),
        format!("https://{SECRET}/webhooks/argos/hunter2").replace(SECRET, "pool.example"),
        "https://pool.example".to_owned(),
        "https:///webhooks".to_owned(),
        "ftp://pool.example/".to_owned(),
        "hunter2".to_owned(),
        "https://po\u{1b}ol/".to_owned(),
    ] {
        let finding = webhook(&bad);
        assert_eq!(finding.result, CheckResult::Failed, "{bad}: {}", finding.summary);
        assert!(!finding.advice.is_empty());
    }
}

#[test]
fn without_an_address_or_a_secret_a_person_must_look() {
    let (url, secret) = (Secret::new("https://x/".to_owned()), Secret::new(SECRET.to_owned()));
    for (url, secret) in [(None, Some(&secret)), (Some(&url), None), (None, None)] {
        assert_eq!(settings::webhook(url, secret).result, CheckResult::NotCheckable);
    }
}

#[test]
fn a_project_that_is_closed_or_stopped_fails() {
    let results = |status: Option<&str>, stopped, addresses: Option<&[&str]>| {
        let told = ManagementSettings {
            status: status.map(str::to_owned),
            stopped,
            addresses: addresses.map(|all| all.iter().map(|it| (*it).to_owned()).collect()),
            webhook_url: None,
        };
        settings::management(&told).map(|finding| finding.result)
    };
    use CheckResult::{Failed, NotCheckable, Passed};
    assert_eq!(results(Some("open"), Some(false), Some(&[])), [Passed; 3]);
    assert_eq!(results(Some("close"), Some(true), Some(&["::1"])), [Failed, Failed, Passed]);
    assert_eq!(results(Some("resting"), None, None), [NotCheckable; 3]);
    assert_eq!(results(None, None, None), [NotCheckable; 3]);
}

#[test]
fn each_403_has_its_own_check() {
    use CheckResult::{Failed, NotCheckable, Passed};
    let results = |counted: Option<Outcome<u32>>, condition, check| {
        reach::key_and_address(counted.as_ref(), condition, Some(check), None).map(|it| it.result)
    };
    let open = KeyCheck::Open { missing: 0 };
    let refused = |cause| Some(Outcome::Refused(Refused { cause, retry_after: None }));
    let up = Condition::Up;
    assert_eq!(results(Some(Outcome::Settled(7)), up, open), [Passed, Passed]);
    assert_eq!(results(Some(Outcome::Settled(7)), up, KeyCheck::Failed), [Failed, Passed]);
    assert_eq!(results(refused(RefusedCause::Key), up, open), [Failed, NotCheckable]);
    assert_eq!(results(refused(RefusedCause::Address), up, open), [NotCheckable, Failed]);
    assert_eq!(results(refused(RefusedCause::NotSent), up, open), [Failed, NotCheckable]);
    assert_eq!(results(refused(RefusedCause::Throttled), up, open), [NotCheckable, NotCheckable]);
    let doubtful = |cause| Some(Outcome::Doubtful(Doubtful { cause, retry_after: None }));
    assert_eq!(results(doubtful(DoubtfulCause::Unanswered), up, open), [Failed, NotCheckable]);
    // No call left, because an earlier one was refused.
    assert_eq!(results(None, Condition::KeyRefused, open), [Failed, NotCheckable]);
    assert_eq!(results(None, Condition::AddressRefused, open), [NotCheckable, Failed]);
    assert_eq!(results(None, up, open), [NotCheckable, NotCheckable]);
}

#[test]
fn a_clock_that_is_off_by_more_than_a_minute_fails_either_way() {
    let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
    let result = |by_argos, wall| reach::clock(Some(TimeTold { by_argos, wall })).result;
    assert_eq!(result(at(100), at(100)), CheckResult::Passed);
    assert_eq!(result(at(100), at(160)), CheckResult::Passed);
    assert_eq!(result(at(160), at(100)), CheckResult::Passed);
    assert_eq!(result(at(100), at(161)), CheckResult::Failed);
    assert_eq!(result(at(161), at(100)), CheckResult::Failed);
    assert_eq!(reach::clock(None).result, CheckResult::NotCheckable);
}

#[test]
fn secure_transfer_must_be_the_same_at_both_sides() {
    use CheckResult::{Failed, NotCheckable, Passed};
    let result = |seen, ours| reach::transfer(seen, Condition::Up, ours).result;
    assert_eq!([result(Some(true), true), result(Some(false), false)], [Passed; 2]);
    assert_eq!([result(Some(true), false), result(Some(false), true)], [Failed; 2]);
    assert_eq!([result(None, true), result(None, false)], [NotCheckable; 2]);
    let unopened = reach::transfer(Some(true), Condition::TransferRefused, true);
    assert_eq!(unopened.result, Failed);
}
