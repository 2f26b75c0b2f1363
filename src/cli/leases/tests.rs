use super::*;
use crate::cli::{
    json,
    tests::{plain_screen, seconds_ago},
};

const TOKEN: &str = "ap-0123456789abcdefghijkl";

fn decided() -> Lease {
    Lease {
        lease_id: "l-000017".into(),
        project: "default".into(),
        token_id: TOKEN.into(),
        url: format!("https://form.example/?token={TOKEN}"),
        request_id: "7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2".into(),
        owner: "token:kyc_web".into(),
        labels: [("team", "kyc"), ("env", "test")].map(|(k, v)| (k.into(), v.into())).into(),
        state: LeaseState::Closed as i32,
        ending: LeaseEnding::Decided as i32,
        decision: Decision::Approved as i32,
        submission_id: "s-1".into(),
        create_time: Some(seconds_ago(600)),
        expire_time: Some(seconds_ago(0)),
        first_use_time: Some(seconds_ago(500)),
        close_time: Some(seconds_ago(300)),
        decision_time: Some(seconds_ago(300)),
        ..Lease::default()
    }
}

fn presumed() -> Lease {
    Lease {
        lease_id: "l-000018".into(),
        state: LeaseState::Issued as i32,
        presumed: true,
        create_time: Some(seconds_ago(30)),
        expire_time: Some(seconds_ago(-570)),
        ..Lease::default()
    }
}

#[test]
fn a_list_shows_how_leases_stand_and_how_they_ended() {
    assert_eq!(
        table(&[decided(), presumed()], &plain_screen()),
        "\
LEASE     STATE            DECISION  OWNER          CREATED     EXPIRES   LABELS
l-000017  closed: decided  approved  token:kyc_web  10 min ago  now       env=test team=kyc
l-000018  issued           -         -              30 s ago    in 9 min
"
    );
}

#[test]
fn a_card_has_every_fact_that_is_there() {
    assert_eq!(
        card(&decided(), &plain_screen()),
        "\
lease        l-000017
project      default
state        closed: decided
decision     approved
owner        token:kyc_web
request      7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2
submission   s-1
labels       env=test team=kyc
created      2027-01-15T07:50:00Z  (10 min ago)
expires      2027-01-15T08:00:00Z  (now)
first use    2027-01-15T07:51:40Z  (8 min ago)
closed       2027-01-15T07:55:00Z  (5 min ago)
decided      2027-01-15T07:55:00Z  (5 min ago)
"
    );
    assert!(card(&presumed(), &plain_screen()).contains("\npresumed "));
}

#[test]
fn neither_text_nor_json_shows_the_token_or_its_url() {
    let lease = decided();
    let text = table(std::slice::from_ref(&lease), &plain_screen());
    let all = [text, card(&lease, &plain_screen()), json::lease(&lease).to_string()].concat();
    assert!(!all.contains(TOKEN), "{all}");
}
