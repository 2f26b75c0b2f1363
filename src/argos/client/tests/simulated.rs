//! What the simulated ARGOS tells by webhook and what it answers when asked come to the same.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::Value;

use super::*;
use crate::{
    argos::statement::{Named, Statement, Status},
    domain::{submission::FactKind, token::Decision},
    sim::{Command, Decision as Verdict, Simulator, SimulatorOptions, Visit},
};

const MARK: &str = "mark-0123456789abcdefghijkl";
const PID: &str = "pid_demo";

/// The simulator lives in the time of this machine.
fn wall_time() -> Timestamp {
    Timestamp::ZERO.plus(SystemTime::UNIX_EPOCH.elapsed().unwrap())
}

async fn one_report(rig: &Rig) -> Report {
    let today = wall_time();
    let days = Days { first: today, last: today };
    let Outcome::Settled(mut page) = rig.argos.submissions(days, None).await else {
        panic!("no page")
    };
    assert_eq!((page.reports.len(), page.next), (1, None));
    page.reports.remove(0)
}

#[tokio::test]
async fn asking_and_being_told_come_to_the_same() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let key = Secret::new("argos_test_demo".to_owned());
    let rig = Rig::new(ArgosOptions { key, ..options(&simulator.api_url()) });
    rig.pass(wall_time().as_millis() / 1_000 + 60);
    let token = tokens(1).remove(0);
    assert!(matches!(rig.argos.register(vec![token.clone()]).await, Outcome::Settled(_)));
    assert_eq!(
        rig.argos.submission(SubmissionId::parse("sub-unknown").unwrap()).await,
        Outcome::Settled(None)
    );

    let link = [("token", token.expose()), ("userid", "somebody"), ("cf2", MARK)];
    let link: BTreeMap<_, _> = link.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let visit = Command::LiveformStart(Visit { visitor: None, link });
    let submission_id =
        simulator.control(visit).unwrap()["submission_id"].as_str().unwrap().to_owned();
    let id = SubmissionId::parse(&submission_id).unwrap();
    let started = one_report(&rig).await;
    assert_eq!((started.token, started.fact.kind), (None, FactKind::Started));
    assert_eq!(started.marks.0, [Box::from(MARK)]);
    assert_eq!(started.fact.submission, Some(id.clone()));

    for (verdict, decision, by_admin) in [
        (Verdict::Pending, Decision::Pending, false),
        (Verdict::Approved, Decision::Approved, false),
        (Verdict::Rejected, Decision::Rejected, true),
    ] {
        let submission_id = submission_id.clone();
        let decide = Command::LiveformDecide { submission_id, decision: verdict, by_admin };
        simulator.control(decide).unwrap();
        let Outcome::Settled(Some(answer)) = rig.argos.submission(id.clone()).await else {
            panic!("{decision:?}: no answer")
        };
        assert_eq!(answer.token, Some(token.clone()), "{decision:?}");
        assert_eq!(answer.fact.kind, FactKind::Decided(decision));
        assert_eq!(answer.fact.at, started.fact.at, "{decision:?}: the first use stays");
        assert_eq!(one_report(&rig).await, Report { token: None, ..answer.clone() });

        let state = simulator.state(PID, 0).unwrap();
        let Some(Value::Object(webhook)) = state["webhooks"].as_array().unwrap().last() else {
            panic!("{decision:?}: no webhook")
        };
        let told = Statement::of(webhook);
        assert_eq!(told.token(), Named::Token(token.clone()), "{decision:?}");
        assert_eq!(told.changed_status(), Some(Status::Decided(decision)));
        assert_eq!(told.updated(), answer.fact.updated, "{decision:?}: one order for both");
    }
}
