use std::time::Duration;

use super::*;
use crate::api::{
    proto::{GetChronicleRequest, LeaseAnswers},
    stand::{STOCK, Stand, eventually},
};

/// Waits until the stock of `default` was looked at once.
async fn kept(stand: &Stand) {
    let (chronicle, clock) = (stand.metrics.chronicle().clone(), stand.clock.clone());
    tokio::spawn(chronicle.clone().keep(stand.pools.clone(), clock, stand.stop.clone()));
    let project = stand.handle("default").project();
    eventually(async || !chronicle.samples(project).is_empty()).await;
}

#[tokio::test]
async fn the_chronicle_tells_what_happened_to_each_project_and_how_long_leasing_took() {
    let stand = Stand::ready_with(&["default", "other"]).await;
    kept(&stand).await;
    let channel = stand.serve(Access::default()).await;
    let (mut pool, mut admin) = (Pool::new(channel.clone()), Admin::new(channel));
    let mut ask = async |project: &str| {
        let request = GetChronicleRequest { project: project.to_owned(), window: None };
        admin.get_chronicle(request).await.map(tonic::Response::into_inner)
    };
    let before = ask("").await.unwrap();
    let of =
        |project: &str| CreateLeaseRequest { project: project.to_owned(), ..Default::default() };
    lease(&mut pool, of("default")).await.unwrap();
    let unclear =
        CreateLeaseRequest { ttl: Some(prost_types::Duration::default()), ..of("default") };
    lease(&mut pool, unclear).await.unwrap_err();
    let call = stand.metrics.project(stand.handle("other").project());
    call.called("register", "settled", Duration::from_millis(80));

    let told = ask("").await.unwrap();
    let [default, other] = &told.projects[..] else { panic!("{told:?}") };
    assert_eq!((default.project.as_str(), other.project.as_str()), ("default", "other"));
    let answers = |code: &str, reason: &str| LeaseAnswers {
        code: code.to_owned(),
        reason: reason.to_owned(),
        count: 1,
    };
    let expected = [answers("InvalidArgument", "invalid_request"), answers("OK", "none")];
    assert_eq!(default.answers, expected);
    assert_eq!((default.created_leases, default.argos_calls), (1, 0));
    assert!(other.answers.is_empty(), "{other:?}");
    assert_eq!(default.samples[0].leasable_tokens, STOCK);
    assert!(default.commits.as_ref().unwrap().count > 0);
    let call = &other.calls[0];
    assert_eq!((call.operation.as_str(), call.result.as_str()), ("register", "settled"));
    assert_eq!((call.took.unwrap().nanos, other.argos_calls), (80_000_000, 1));

    // The last bucket has what took ten seconds, so both calls are in it.
    let (before, after) = (before.create_lease.unwrap(), told.create_lease.unwrap());
    assert_eq!((before.count, after.count), (0, 2));
    assert_eq!(after.buckets.last().unwrap().count, 2);

    assert_eq!(ask("other").await.unwrap().projects.len(), 1);
    assert_eq!(refusal(ask("third").await), (Code::NotFound, "PROJECT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn of_the_stock_only_as_much_is_told_as_was_asked_for() {
    let stand = Stand::ready().await;
    kept(&stand).await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    for (window, samples) in [(3_600, 1), (0, 0)] {
        let window = Some(prost_types::Duration { seconds: window, nanos: 0 });
        let request = GetChronicleRequest { project: String::new(), window };
        let told = admin.get_chronicle(request).await.unwrap().into_inner();
        assert_eq!(told.projects[0].samples.len(), samples);
    }
    let window = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let request = GetChronicleRequest { project: String::new(), window };
    let status = admin.get_chronicle(request).await.unwrap_err();
    assert_eq!(fields(&status), ["window"]);
}

#[tokio::test]
async fn the_chronicle_is_told_while_no_ledger_is_open() {
    let stand = Stand::closed(&["default"]);
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let told = admin.get_chronicle(GetChronicleRequest::default()).await.unwrap().into_inner();
    assert_eq!(told.projects[0].project, "default");
    assert!(told.projects[0].samples.is_empty());
}
