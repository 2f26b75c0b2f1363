//! Results that no webhook told, results that name nobody, and links that are to be dead.

use std::time::Duration;

use argospool::{
    domain::{
        ids::{Sequence, SubmissionId, TokenId},
        paging::Cursor,
        pause::Activity,
        pool::{Heard, Policy},
        submission::{Fact, FactKind, Marks, Report},
        time::Timestamp,
        token::{ClosedLease, Decision, Ending},
    },
    engine::{LeaseView, Which},
    port::{Outcome, Refused, RefusedCause, SubmissionsPage},
    store::memory::Memory,
};

use crate::world::{Bench, Sent, policy};

fn asking() -> Policy {
    Policy { overdue_after: Some(Duration::from_secs(600)), ..policy(500, 100) }
}

async fn leased(bench: &Bench) -> (Sequence, TokenId) {
    let LeaseView::Open { sequence, token, .. } = bench.lease("uid:1", None).await.unwrap() else {
        panic!()
    };
    (sequence, token)
}

async fn closed(bench: &Bench, sequence: Sequence) -> Option<ClosedLease> {
    match bench.handle.find(Which::Sequence(sequence)).await.unwrap() {
        Some(LeaseView::Closed(line)) => Some(*line),
        Some(LeaseView::Open { .. }) | None => None,
    }
}

/// Waits until the lease has closed and its line looks as wanted.
async fn line(
    bench: &Bench,
    sequence: Sequence,
    wanted: impl Fn(&ClosedLease) -> bool,
) -> ClosedLease {
    for _ in 0..100_000 {
        if let Some(line) = closed(bench, sequence).await.filter(&wanted) {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: the line looks as wanted; last {:?}", closed(bench, sequence).await);
}

fn result(token: Option<&TokenId>, mark: Option<String>, decision: Decision) -> Report {
    let marks = Marks(mark.into_iter().map(Into::into).collect());
    let fact = Fact {
        kind: FactKind::Decided(decision),
        at: Timestamp::from_millis(1_800_000_100_000),
        submission: Some(SubmissionId::parse("sub-1").unwrap()),
        updated: None,
        asked: false,
    };
    Report { token: token.cloned(), marks, fact }
}

fn decision(line: &ClosedLease) -> Option<Decision> {
    line.decided().map(|decided| decided.decision)
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_names_no_token_is_followed_by_a_question_that_binds_it() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (sequence, token) = leased(&bench).await;
    let approved = Decision::Approved;
    bench.supplier.script(|script| script.submissions = vec![result(Some(&token), None, approved)]);
    let told = result(None, None, approved);
    assert_eq!(bench.handle.report(told.clone()).await.unwrap(), Heard::Asked);
    let line = line(&bench, sequence, |_| true).await;
    assert_eq!((line.ending, decision(&line)), (Ending::Decided, Some(approved)));
    assert_eq!(bench.handle.report(told).await.unwrap(), Heard::Asked, "final leases are let go");
}

#[tokio::test(start_paused = true)]
async fn without_any_webhook_the_list_and_a_question_tell_what_became_of_a_lease() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (sequence, token) = leased(&bench).await;
    let mark = bench.handle.seal().mark(sequence);
    let listed = result(None, Some(mark), Decision::Rejected);
    let first = SubmissionsPage {
        reports: Vec::new(),
        next: Some(Cursor { id: "sub-0".to_owned(), time: "t".to_owned() }),
    };
    let second = SubmissionsPage { reports: vec![listed], next: None };
    bench.supplier.script(|script| {
        let failed = Refused { cause: RefusedCause::NotSent, retry_after: None };
        script.surveys.push_back(Outcome::Settled(first));
        // The walk goes on where it failed.
        script.surveys.push_back(Outcome::Refused(failed));
        script.surveys.push_back(Outcome::Settled(second));
        script.submissions = vec![result(Some(&token), None, Decision::Rejected)];
    });
    let line = line(&bench, sequence, |line| line.decided().is_some()).await;
    assert_eq!(decision(&line), Some(Decision::Rejected));
    let sent = bench.supplier.script(|script| script.sent.clone());
    let pages: Vec<_> = sent
        .iter()
        .filter_map(
            |sent| if let Sent::Survey(_, cursor) = sent { Some(cursor.is_some()) } else { None },
        )
        .collect();
    assert_eq!(pages[..3], [false, true, true]);
}

/// Somebody took another's mark along: ARGOS names the token, and that counts.
#[tokio::test(start_paused = true)]
async fn a_forged_mark_binds_its_result_to_nobody_else() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (victim, _) = leased(&bench).await;
    let (forger, token) = leased(&bench).await;
    let forged = result(None, Some(bench.handle.seal().mark(victim)), Decision::Approved);
    bench.supplier.script(|script| {
        script.submissions = vec![Report { token: Some(token), ..forged.clone() }];
    });
    assert_eq!(bench.handle.report(forged).await.unwrap(), Heard::Asked);
    line(&bench, forger, |_| true).await;
    assert_eq!(closed(&bench, victim).await, None);
}

#[tokio::test(start_paused = true)]
async fn argos_is_asked_which_of_two_decisions_stands_and_its_answer_does() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (sequence, token) = leased(&bench).await;
    let truth = result(Some(&token), None, Decision::Rejected);
    bench.supplier.script(|script| script.submissions = vec![truth.clone()]);
    for told in [truth, result(Some(&token), None, Decision::Approved)] {
        assert_eq!(bench.handle.report(told).await.unwrap(), Heard::News);
    }
    let line = line(&bench, sequence, |line| line.submissions.are_final()).await;
    assert_eq!(decision(&line), Some(Decision::Rejected));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_link_is_dead_for_certain_when_argos_has_deleted_the_token() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let (sequence, token) = leased(&bench).await;
    bench.supplier.script(|script| script.sent.clear());
    let LeaseView::Closed(told) = bench.handle.revoke(sequence, None, None).await.unwrap() else {
        panic!()
    };
    assert_eq!((told.ending, told.link_dead), (Ending::Revoked, None));
    let line = line(&bench, sequence, |line| line.link_dead.is_some()).await;
    assert_eq!(bench.supplier.deletions(), [vec![token]]);
    assert!(line.link_dead.unwrap().since(line.closed) < Duration::from_secs(1), "at once");
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_lease_keeps_its_ending_when_its_link_is_killed() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let (sequence, _) = leased(&bench).await;
    line(&bench, sequence, |line| line.ending == Ending::Lapsed).await;
    bench.handle.revoke(sequence, None, None).await.unwrap();
    let line = line(&bench, sequence, |line| line.link_dead.is_some()).await;
    assert_eq!(line.ending, Ending::Lapsed);
    assert!(line.link_dead.unwrap().since(line.closed) < Duration::from_secs(60));
}

/// The webhook of an administrator's change was lost, and the lease had been finished.
#[tokio::test(start_paused = true)]
async fn the_list_tells_about_finished_leases_as_well() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (finished, token) = leased(&bench).await;
    leased(&bench).await;
    let told = |decision, updated| {
        let mut report = result(Some(&token), None, decision);
        report.fact.updated = Some(Timestamp::from_millis(updated));
        report
    };
    bench.handle.report(told(Decision::Approved, 10)).await.unwrap();
    let mark = bench.handle.seal().mark(finished);
    let listed =
        Report { token: None, marks: Marks(vec![mark.into()]), ..told(Decision::Rejected, 20) };
    bench.supplier.script(|script| {
        let page = SubmissionsPage { reports: vec![listed], next: None };
        script.surveys.push_back(Outcome::Settled(page));
    });
    line(&bench, finished, |line| decision(line) == Some(Decision::Rejected)).await;
    let asked = bench.supplier.script(|it| it.sent.iter().any(|it| matches!(it, Sent::Ask(_))));
    assert!(!asked, "that the submission is its own was known");
}

/// Waits until this many questions have been asked.
async fn asked(bench: &Bench, questions: usize) {
    let ask = |sent: &&Sent| matches!(sent, Sent::Ask(_));
    for _ in 0..100_000 {
        if bench.supplier.script(|it| it.sent.iter().filter(ask).count()) >= questions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {questions} questions");
}

fn surveyed(bench: &Bench) -> usize {
    bench.supplier.script(|it| it.sent.iter().filter(|it| matches!(it, Sent::Survey(..))).count())
}

/// Waits until this many pages of the list were asked for.
async fn pages(bench: &Bench, wanted: usize) {
    for _ in 0..100_000 {
        if surveyed(bench) >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {wanted} pages");
}

/// Of two decisions without an order the answer counts only if nothing was told since the question.
#[tokio::test(start_paused = true)]
async fn an_answer_to_a_question_that_was_overtaken_by_news_leaves_the_contest_open() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (sequence, token) = leased(&bench).await;
    bench.supplier.script(|script| {
        script.silent_answers = true;
        script.submissions = vec![result(Some(&token), None, Decision::Rejected)];
    });
    for decision in [Decision::Approved, Decision::Rejected] {
        bench.handle.report(result(Some(&token), None, decision)).await.unwrap();
    }
    asked(&bench, 1).await;
    let pending = result(Some(&token), None, Decision::Pending);
    assert_eq!(bench.handle.report(pending).await.unwrap(), Heard::News);
    bench.supplier.script(|script| script.silent_answers = false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let known = line(&bench, sequence, |_| true).await;
    assert!(!known.submissions.are_final(), "nobody knows which came first");
}

/// Two entries of one page, about one lease that has closed.
#[tokio::test(start_paused = true)]
async fn entries_of_one_page_about_one_lease_all_count() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (finished, token) = leased(&bench).await;
    leased(&bench).await;
    bench.handle.report(result(Some(&token), None, Decision::Pending)).await.unwrap();
    let told = |submission: &str, decision| {
        let mut report = result(Some(&token), None, decision);
        report.fact.submission = Some(SubmissionId::parse(submission).unwrap());
        report
    };
    let reports = vec![told("sub-2", Decision::Approved), told("sub-3", Decision::Rejected)];
    bench.supplier.script(|script| {
        script.surveys.push_back(Outcome::Settled(SubmissionsPage { reports, next: None }));
    });
    let line = line(&bench, finished, |line| line.submissions.iter().count() > 1).await;
    let ids: Vec<_> = line.submissions.ids().map(SubmissionId::as_str).collect();
    assert_eq!(ids, ["sub-1", "sub-2", "sub-3"]);
}

/// The list names no token: another's mark in it is worth a question and no more.
#[tokio::test(start_paused = true)]
async fn a_forged_mark_on_the_list_binds_its_result_to_nobody_else() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (victim, _) = leased(&bench).await;
    let (forger, token) = leased(&bench).await;
    let forged = result(None, Some(bench.handle.seal().mark(victim)), Decision::Approved);
    bench.supplier.script(|script| {
        let page = SubmissionsPage { reports: vec![forged.clone()], next: None };
        script.surveys.push_back(Outcome::Settled(page));
        script.submissions = vec![Report { token: Some(token), ..forged }];
    });
    line(&bench, forger, |line| decision(line) == Some(Decision::Approved)).await;
    let lapsed = line(&bench, victim, |_| true).await;
    assert_eq!((lapsed.ending, decision(&lapsed)), (Ending::Lapsed, None));
}

/// Nothing is left that an answer could change.
#[tokio::test(start_paused = true)]
async fn a_mark_of_a_token_that_was_never_leased_is_not_asked_about() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let (sequence, _) = leased(&bench).await;
    let unleased = bench.handle.seal().mark(sequence.plus(1));
    bench.supplier.script(|script| {
        let reports = vec![result(None, Some(unleased), Decision::Approved)];
        script.surveys.push_back(Outcome::Settled(SubmissionsPage { reports, next: None }));
    });
    pages(&bench, 2).await;
    assert!(!bench.supplier.script(|it| it.sent.iter().any(|it| matches!(it, Sent::Ask(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_repeated_when_it_failed_and_not_when_argos_knows_nothing() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| {
        let failed = Refused { cause: RefusedCause::NotSent, retry_after: None };
        script.answers.push_back(Outcome::Refused(failed));
        script.answers.push_back(Outcome::Settled(None));
    });
    let told = result(None, None, Decision::Approved);
    assert_eq!(bench.handle.report(told.clone()).await.unwrap(), Heard::Asked);
    asked(&bench, 2).await;
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    let questions = |it: &&Sent| matches!(it, Sent::Ask(_));
    assert_eq!(bench.supplier.script(|it| it.sent.iter().filter(questions).count()), 2);
    assert_eq!(bench.handle.report(told).await.unwrap(), Heard::Foreign, "it was answered");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_had_is_not_asked_for_again_at_once() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    leased(&bench).await;
    bench.supplier.script(|script| {
        for _ in 0..10 {
            let failed = Refused { cause: RefusedCause::NotSent, retry_after: None };
            script.surveys.push_back(Outcome::Refused(failed));
        }
    });
    pages(&bench, 1).await;
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert!(surveyed(&bench) <= 3, "every half a minute, and not {} times", surveyed(&bench));
}

/// L1: somebody uses what was never lent. That is seen once and leaves no record, and must not be denied while
/// hand-outs are stopped for it.
#[tokio::test(start_paused = true)]
async fn an_audit_names_what_stopped_hand_outs_until_a_person_resumes() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let ready = bench.handle.tokens(Sequence::ZERO, 1, |_| true).await.unwrap();
    let fact = Fact {
        kind: FactKind::Started,
        at: Timestamp::ZERO,
        submission: None,
        updated: None,
        asked: false,
    };
    let token = Some(ready.items[0].id.clone());
    bench.handle.report(Report { token, marks: Marks::default(), fact }).await.unwrap();
    let (breaches, _) = bench.handle.audit().await.unwrap();
    assert_eq!(breaches.iter().map(|breach| breach.promise.as_str()).collect::<Vec<_>>(), ["L1"]);
    bench.handle.resume(vec![Activity::Leasing]).await.unwrap();
    assert!(bench.handle.audit().await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn decisions_that_are_learned_by_asking_alone_tell_that_webhooks_are_silent() {
    let bench = Bench::start(asking(), Memory::default()).await;
    bench.filled().await;
    let mut reports = Vec::new();
    for number in 0..4 {
        let (_, token) = leased(&bench).await;
        let mut report = result(Some(&token), None, Decision::Approved);
        report.fact.submission = Some(SubmissionId::parse(&format!("sub-{number}")).unwrap());
        reports.push(report);
    }
    let webhook = reports.pop().unwrap();
    assert_eq!(bench.handle.report(webhook.clone()).await.unwrap(), Heard::News);
    let heard = bench.handle.status().await.unwrap().webhook_heard;
    tokio::time::sleep(Duration::from_secs(16 * 60)).await;
    let quiet = bench.handle.status().await.unwrap();
    assert!(!quiet.webhooks_silent, "ARGOS may have had nothing to tell");
    let page = SubmissionsPage { reports, next: None };
    bench.supplier.script(|script| script.surveys.push_back(Outcome::Settled(page)));
    bench.until("webhooks are missed", |status| status.webhooks_silent).await;
    let status = bench.handle.status().await.unwrap();
    let problems = status.problems();
    let problem = problems.iter().find(|it| it.reason == "WEBHOOKS_SILENT").unwrap();
    assert_eq!((problem.since, status.webhook_heard), (heard, heard));
    let explained = status.explain();
    assert!(explained.iter().any(|line| line.starts_with("The last webhook")), "{explained:?}");
    assert_eq!(bench.handle.report(webhook).await.unwrap(), Heard::Known);
    assert!(!bench.handle.status().await.unwrap().webhooks_silent);
}
