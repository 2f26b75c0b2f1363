use super::*;
use crate::{
    api::{
        proto::{
            Activity, ArgosCondition, AuditRequest, ExplainRequest, GetStatusRequest,
            ListTokensRequest, PauseRequest, PreflightRequest, PreflightResult, ReconcileRequest,
            RefillRequest, ResumeRequest, SetLogLevelRequest, TokenStage,
        },
        stand::{STOCK, Stand, eventually},
    },
    engine::Bell,
    port::Condition,
};

#[tokio::test]
async fn the_status_tells_how_every_pool_stands() {
    let stand = Stand::ready_with(&["default", "other"]).await;
    let channel = stand.serve(Access::default()).await;
    lease(
        &mut Pool::new(channel.clone()),
        CreateLeaseRequest { project: "other".to_owned(), ..Default::default() },
    )
    .await
    .unwrap();
    let mut admin = Admin::new(channel);
    let status = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    assert_eq!((status.version.as_str(), status.ready, status.draining), ("1.2.3", true, false));
    let names: Vec<_> = status.projects.iter().map(|one| one.project.as_str()).collect();
    assert_eq!(names, ["default", "other"]);
    let default = &status.projects[0];
    assert_eq!((default.leasable_tokens, default.can_lease), (STOCK, true));
    assert_eq!(default.argos.as_ref().unwrap().condition(), ArgosCondition::Up);
    assert_eq!(status.projects[1].counts.as_ref().unwrap().leased, 1);
    assert!(default.problems.is_empty(), "{:?}", default.problems);

    let unknown = GetStatusRequest { project: "third".to_owned() };
    let refused = admin.get_status(unknown).await;
    assert_eq!(refusal(refused), (Code::NotFound, "PROJECT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn the_status_is_told_before_the_ledger_is_open_and_after_a_stop_began() {
    let stand = Stand::closed(&["default"]);
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let status = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    assert!(!status.ready);
    assert_eq!(status.projects[0].problems[0].reason, "STARTING");
    let early = admin.audit(AuditRequest::default()).await;
    assert_eq!(refusal(early), (Code::Unavailable, "STARTING".to_owned()));

    stand.open().await;
    stand.pools.begin_stop();
    let status = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    assert!(status.draining && !status.ready);
    let late = admin.audit(AuditRequest::default()).await;
    assert_eq!(refusal(late), (Code::Unavailable, "DRAINING".to_owned()));
}

#[tokio::test]
async fn a_pause_stops_leasing_until_it_is_resumed() {
    let stand = Stand::ready().await;
    let channel = stand.serve(Access::default()).await;
    let (mut pool, mut admin) = (Pool::new(channel.clone()), Admin::new(channel));
    let pause = PauseRequest { reason: "an exercise".to_owned(), ..Default::default() };
    let status = admin.pause(pause).await.unwrap().into_inner().status.unwrap();
    assert_eq!(status.pauses.len(), 1);
    let pause = &status.pauses[0];
    assert_eq!((pause.activity(), pause.paused_by.as_str()), (Activity::Leasing, "anonymous"));
    assert_eq!((status.leasable_tokens, status.can_lease), (0, false));
    assert_eq!(status.problems[0].reason, "PAUSED");
    let refused = lease(&mut pool, CreateLeaseRequest::default()).await;
    assert_eq!(refusal(refused), (Code::Unavailable, "PAUSED".to_owned()));

    let status = admin.resume(ResumeRequest::default()).await.unwrap().into_inner().status.unwrap();
    assert!(status.pauses.is_empty() && status.can_lease);
    lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
}

#[tokio::test]
async fn what_an_admin_says_wrong_is_named() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let pause =
        PauseRequest { activities: vec![1, 0, 77], reason: "x\n".to_owned(), ..Default::default() };
    let status = admin.pause(pause).await.unwrap_err();
    assert_eq!(fields(&status), ["activities[1]", "activities[2]", "reason"]);
    let refill = RefillRequest { extra_tokens: 100_001, ..Default::default() };
    assert_eq!(fields(&admin.refill(refill).await.unwrap_err()), ["extra_tokens"]);
    let list = ListTokensRequest { page_size: -1, stages: vec![9], ..Default::default() };
    let status = admin.list_tokens(list).await.unwrap_err();
    assert_eq!(fields(&status), ["page_size", "stages[0]"]);
}

#[tokio::test]
async fn more_tokens_come_when_an_admin_asks_for_them() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let refill = RefillRequest { extra_tokens: 10, ..Default::default() };
    admin.refill(refill).await.unwrap();
    stand.until("default", |status| status.leasable >= STOCK + 10).await;
}

#[tokio::test]
async fn tokens_are_listed_by_reference_and_never_by_id() {
    let stand = Stand::ready().await;
    let channel = stand.serve(Access::default()).await;
    let (mut pool, mut admin) = (Pool::new(channel.clone()), Admin::new(channel));
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    let list = |page_token| ListTokensRequest { page_size: 15, page_token, ..Default::default() };
    let first = admin.list_tokens(list(String::new())).await.unwrap().into_inner();
    let second = admin.list_tokens(list(first.next_page_token)).await.unwrap().into_inner();
    let tokens: Vec<_> = first.tokens.into_iter().chain(second.tokens).collect();
    assert!(tokens.len() >= STOCK as usize);
    assert_eq!(tokens[0].stage(), TokenStage::Leased);
    assert_eq!(tokens[0].lease_id, made.lease_id);
    assert!(!format!("{tokens:?}").contains("ap-"));

    let request =
        ListTokensRequest { stages: vec![TokenStage::Leased.into()], ..Default::default() };
    let leased = admin.list_tokens(request).await.unwrap().into_inner();
    assert_eq!((leased.tokens.len(), leased.next_page_token.as_str()), (1, ""));
    let request = ListTokensRequest { older_than: seconds(3_600), ..Default::default() };
    assert!(admin.list_tokens(request).await.unwrap().into_inner().tokens.is_empty());
}

#[tokio::test]
async fn an_audit_of_a_sound_pool_finds_nothing() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let audit = admin.audit(AuditRequest::default()).await.unwrap().into_inner();
    assert!(audit.breaches.is_empty());
    assert!(audit.tokens_checked >= STOCK);
}

#[tokio::test]
async fn a_lost_argos_is_a_problem_with_a_next_step() {
    let stand = Stand::closed(&["default"]);
    stand.argos("default").set(Condition::Down);
    stand.open().await;
    let channel = stand.serve(Access::default()).await;
    let mut pool = Pool::new(channel.clone());
    // Tokens that are on their way to ARGOS keep callers hoping.
    eventually(async || {
        let refused = lease(&mut pool, CreateLeaseRequest::default()).await;
        matches!(refusal(refused), (_, reason) if reason == "ARGOS_DOWN" || reason == "POOL_EMPTY")
    })
    .await;
    let status = Admin::new(channel).get_status(GetStatusRequest::default()).await.unwrap();
    let problems = &status.into_inner().projects[0].problems;
    let reasons: Vec<_> = problems.iter().map(|problem| problem.reason.as_str()).collect();
    assert_eq!(reasons, ["ARGOS_DOWN", "POOL_EMPTY"]);
    assert!(problems.iter().all(|problem| problem.summary.ends_with('.')));
}

#[tokio::test]
async fn reconcile_lists_at_once_and_tells_what_it_saw() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let read = ReconcileRequest { read_only: true, ..Default::default() };
    let before = admin.reconcile(read.clone()).await.unwrap().into_inner();
    assert_eq!(before.last_report, None);
    let dry_run = ReconcileRequest { dry_run: true, ..Default::default() };
    admin.reconcile(dry_run).await.unwrap();
    let mut report = None;
    eventually(async || {
        report = admin.reconcile(read.clone()).await.unwrap().into_inner().last_report;
        report.is_some()
    })
    .await;
    let report = report.unwrap();
    assert!(report.dry_run && !report.void && !report.braked);
}

#[tokio::test]
async fn what_deletes_at_argos_must_be_meant() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let plain = ReconcileRequest::default();
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let sure = ReconcileRequest { confirm: "default".to_owned(), ..plain.clone() };
    let delete =
        |request: &ReconcileRequest| ReconcileRequest { delete_foreign: true, ..request.clone() };
    let accept =
        |request: &ReconcileRequest| ReconcileRequest { accept_loss: true, ..request.clone() };
    for request in [
        delete(&plain),
        accept(&plain),
        ReconcileRequest { including_ours: true, ..sure.clone() },
        // What was born before a time looks like ours, and a time to come is a mistake.
        ReconcileRequest { born_before: time(0), ..delete(&sure) },
        ReconcileRequest { born_before: time(-1), including_ours: true, ..delete(&sure) },
        ReconcileRequest {
            born_before: time(9_999_999_999),
            including_ours: true,
            ..delete(&sure)
        },
        ReconcileRequest { dry_run: true, ..accept(&sure) },
        ReconcileRequest { read_only: true, ..delete(&sure) },
    ] {
        let refused = refusal(admin.reconcile(request).await);
        assert_eq!(refused, (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
    }
    let born_before =
        ReconcileRequest { born_before: time(0), including_ours: true, ..delete(&sure) };
    for request in [delete(&sure), accept(&sure), born_before] {
        let refused = refusal(admin.reconcile(request).await);
        assert_eq!(refused, (Code::FailedPrecondition, "NOT_LISTED".to_owned()));
    }
}

#[tokio::test]
async fn a_preflight_tells_what_was_found_about_the_project_that_was_named() {
    let stand = Stand::ready_with(&["default", "other"]).await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let named = PreflightRequest { project: "other".to_owned() };
    let told = admin.preflight(named).await.unwrap().into_inner();
    let [check] = &told.checks[..] else { panic!("{told:?}") };
    assert_eq!((check.name.as_str(), check.summary.as_str()), ("clock", "other is well"));
    assert_eq!((check.result(), check.advice.as_str()), (PreflightResult::Passed, ""));
    let unnamed = admin.preflight(PreflightRequest::default()).await;
    assert_eq!(refusal(unnamed), (Code::NotFound, "PROJECT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn an_explanation_says_why_the_pool_stands_as_it_does() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let answer = admin.explain(ExplainRequest::default()).await.unwrap().into_inner();
    let text = answer.lines.join("\n");
    for part in
        ["Leasing works: 20 tokens", "The target is 20 tokens", "Nothing is ordered", "Next: "]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(answer.plan.unwrap().rest_reason, "enough");

    let refill = PauseRequest { activities: vec![Activity::Refill.into()], ..Default::default() };
    admin.pause(refill).await.unwrap();
    let lines = admin.explain(ExplainRequest::default()).await.unwrap().into_inner().lines;
    let told = lines.iter().find(|line| line.starts_with("PAUSED: refill is paused")).unwrap();
    assert!(told.ends_with("See deploy/runbooks/ArgospoolPaused.md."), "{told}");
    let status = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    assert_eq!(status.projects[0].problems[0].runbook, "deploy/runbooks/ArgospoolPaused.md");
}

#[tokio::test]
async fn on_a_full_disk_status_and_explain_go_on_telling_what_is_known_and_what_is_the_matter() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(Access::default()).await);
    let healthy = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    assert_eq!(healthy.projects[0].as_of_time, None);
    stand.disk("default").set_full(true);
    let refill = PauseRequest { activities: vec![Activity::Refill.into()], ..Default::default() };
    // The second failure in a row closes the ledger for a second: the engine has no pool to show.
    admin.pause(refill.clone()).await.unwrap_err();
    let failing = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    assert_eq!(failing.projects[0].problems[0].reason, "LEDGER_UNAVAILABLE");
    admin.pause(refill).await.unwrap_err();
    let told = admin.get_status(GetStatusRequest::default()).await.unwrap().into_inner();
    let told = told.projects[0].clone();
    assert_eq!((told.can_lease, told.leasable_tokens), (false, 0));
    assert_eq!((told.target_tokens, told.counts.unwrap().ready), (STOCK, STOCK));
    let problem = &told.problems[0];
    assert_eq!(problem.reason, "LEDGER_UNAVAILABLE");
    assert_eq!(problem.since_time, told.as_of_time);
    assert_eq!(problem.runbook, "deploy/runbooks/ArgospoolHandoutStopped.md");
    let lines = admin.explain(ExplainRequest::default()).await.unwrap().into_inner().lines;
    let begins = |line: usize, words: &str| assert!(lines[line].starts_with(words), "{lines:?}");
    begins(0, "LEDGER_UNAVAILABLE: The ledger cannot be written");
    begins(1, "The engine does not answer");
    begins(2, "Leasing is refused: the ledger cannot write");
    stand.disk("default").set_full(false);
    let handle = stand.handle("default");
    eventually(async || {
        handle.ring(Bell::Floor);
        handle.status().await.is_ok_and(|status| status.leasable == STOCK)
    })
    .await;
}

#[tokio::test]
async fn a_lease_and_a_refusal_can_be_explained_and_nothing_else() {
    let stand = Stand::ready().await;
    let channel = stand.serve(Access::default()).await;
    let mut admin = Admin::new(channel.clone());
    let lease = lease(&mut Pool::new(channel), CreateLeaseRequest::default()).await.unwrap();
    let named = ExplainRequest { lease_id: lease.lease_id, ..Default::default() };
    let lines = admin.explain(named.clone()).await.unwrap().into_inner().lines;
    assert!(lines[0].starts_with("The lease is open") && lines[1].contains("Next: "), "{lines:?}");
    assert_eq!(lines.len(), 2);

    let asked = ExplainRequest { reason: "POOL_EMPTY".to_owned(), ..Default::default() };
    let lines = admin.explain(asked).await.unwrap().into_inner().lines;
    assert!(lines[0].starts_with("POOL_EMPTY: no token is ready"), "{lines:?}");
    assert!(lines[1].starts_with("Leasing works"), "{lines:?}");

    let both = ExplainRequest { reason: "POOL_EMPTY".to_owned(), ..named };
    let refused = admin.explain(both).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
    let unknown = ExplainRequest { reason: "BAD_WEATHER".to_owned(), ..Default::default() };
    let refused = admin.explain(unknown).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
}

#[tokio::test]
async fn the_level_of_the_log_is_for_admins_to_change_and_for_a_while() {
    let stand = Stand::closed(&["default"]);
    let mut admin = Admin::new(stand.serve(callers()).await);
    let ask = |directives: &str, seconds| SetLogLevelRequest {
        directives: directives.to_owned(),
        duration: Some(prost_types::Duration { seconds, nanos: 0 }),
        reset: false,
    };
    let refused = admin.set_log_level(by("web", ask("debug", 60))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "NOT_ALLOWED".to_owned()));
    let told = admin.set_log_level(by("ops", ask("info,argospool::engine=debug", 60))).await;
    let told = told.unwrap().into_inner();
    assert_eq!(told.directives, "info,argospool::engine=debug");
    assert!((1..=60).contains(&told.falls_back_in.unwrap().seconds), "{told:?}");
    let told = admin.set_log_level(by("ops", SetLogLevelRequest::default())).await.unwrap();
    assert_eq!(told.into_inner().falls_back_in, None);
    for wrong in [
        ask("person@example.com", 60),
        ask("h2=trace", 60),
        ask("debug", 0),
        ask("debug", -1),
        ask("debug", 86_401),
        SetLogLevelRequest { reset: true, ..ask("debug", 60) },
    ] {
        let refused = admin.set_log_level(by("ops", wrong)).await.unwrap_err();
        assert!(!format!("{refused:?}").contains("person"), "P1: {refused:?}");
        assert_eq!(reason(&refused), "INVALID_REQUEST");
    }
}
