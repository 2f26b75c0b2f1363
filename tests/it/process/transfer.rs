//! Secure Data Transfer: a daemon and an ARGOS that seal what they say to each other, and two that
//! disagree about it.

use argospool::{
    api::proto::{ArgosCondition, LiveformParams, ProjectStatus, ReleaseLeaseRequest},
    sim::{
        Cipher, Command, Encoding, Gcm, Layout, NonceBytes, RuleChange, Simulator, Visitor,
        WebhookSettings,
    },
};
use tonic::Code;

use super::{
    daemon::{counts, reason, text, until},
    projects::{Project, Site},
};

const GCM: Cipher = Cipher::Gcm(Gcm {
    layout: Layout::NonceTagCiphertext,
    nonce_bytes: NonceBytes::Sixteen,
    encoding: Encoding::Hex,
});

fn nothing() -> LiveformParams {
    LiveformParams::default()
}

/// A project that seals what it sends, in this shape.
fn sealing(name: &str, shape: &str) -> Project {
    Project::named(name)
        .with("transfer.seal_requests", true)
        .with("transfer.request_shape", text(shape))
        .ruled(|rules| rules.secure_transfer = Some(true))
}

fn webhooks(simulator: &Simulator, project: &Project, change: WebhookSettings) {
    let pid = Some(project.options.pid.clone());
    simulator.control(Command::Webhooks(WebhookSettings { pid, ..change })).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_lives_its_whole_life_sealed() {
    let mut projects = Vec::new();
    for (name, cipher, shape, errors) in [
        ("ecb_raw", Cipher::Ecb, "raw", false),
        ("ecb_data", Cipher::Ecb, "data", true),
        ("gcm_raw", GCM, "raw", true),
        ("gcm_data", GCM, "data", false),
    ] {
        projects.push(sealing(name, shape).ruled(|rules| {
            rules.transfer_cipher = Some(cipher);
            rules.sealed_errors = Some(errors);
        }));
    }
    let site = Site::changed(projects.clone(), |home| {
        home.with("log.level", text("trace"))
            .with("defaults.life.overdue_after", text("1s"))
            .with("defaults.reconcile.listing_gap", text("1s"))
            .with("jobs.count", text("* * * * * *"))
            .with("jobs.listing", text("* * * * * *"))
    })
    .await;
    site.sends_webhooks();
    let mut secrets = Vec::new();
    for project in &projects {
        let name = &project.name;
        let told = site.lease(name, nothing()).await.unwrap();
        site.verifies(&told).await;
        let sample = |trigger: &str, result: &str| {
            format!(
                "argospool_webhooks_total{{project=\"{name}\",result=\"{result}\",\
                 trigger=\"{trigger}\"}}"
            )
        };
        // Whoever was asked meanwhile knew it before.
        until("the webhook is read", async || {
            let recorded = site.daemon.metric(&sample("approved", "recorded")).await.unwrap();
            let known = site.daemon.metric(&sample("approved", "known")).await.unwrap();
            (recorded + known > 0.0).then_some(())
        })
        .await;
        assert_eq!(site.daemon.metric(&sample("none", "sealed")).await, Some(0.0));

        let lost = WebhookSettings { drop_percent: Some(100.0), ..WebhookSettings::default() };
        webhooks(&site.simulator, project, lost);
        let asked = site.lease(name, nothing()).await.unwrap();
        site.verifies(&asked).await;

        // ARGOS says that it is gone, which is an error in an envelope at some of them.
        let vanished = site.lease(name, nothing()).await.unwrap();
        let ids = vec![vanished.token_id.clone()];
        let pid = Some(project.options.pid.clone());
        site.simulator.control(Command::Vanish { pid, oldest: 0, ids }).unwrap();
        let release = ReleaseLeaseRequest {
            project: name.clone(),
            lease_id: vanished.lease_id.clone(),
            ..ReleaseLeaseRequest::default()
        };
        site.daemon.pool().release_lease(release).await.unwrap();
        secrets.extend([told, asked, vanished].map(|lease| lease.url));
    }
    site.filled().await;
    let mut listed = Vec::new();
    for project in &projects {
        let name = &project.name;
        let whole = format!(r#"argospool_listings_total{{project="{name}",result="whole"}}"#);
        listed.push((site.daemon.metric(&whole).await.unwrap(), whole));
    }
    for (project, (before, whole)) in projects.iter().zip(listed) {
        let name = &project.name;
        let settled = |status: &ProjectStatus| {
            counts(status).doomed + counts(status).minted == 0 && status.problems.is_empty()
        };
        let status = site.until(name, "what ended is deleted, and all is well", settled).await;
        let held = status.held_tokens;
        let counted = |status: &ProjectStatus| status.argos.unwrap().reported_tokens == held;
        site.until(name, "ARGOS counts what we hold", counted).await;
        until("ARGOS is listed", async || {
            (site.daemon.metric(&whole).await.unwrap() > before).then_some(())
        })
        .await;
        let counters = site.counters(name);
        assert!(counters.lists > 0 && counters.counts > 0 && counters.submissions > 0);
        assert_eq!(counters.bodies_opened, counters.posts + counters.deletes);
        assert_eq!(counters.bodies_unopened, 0);
        assert!(counters.webhooks_sealed > 0);
        let (foreign, vanished) = (
            format!(r#"argospool_foreign_tokens{{project="{name}"}}"#),
            format!(r#"argospool_tokens_vanished_total{{project="{name}",stage="ready"}}"#),
        );
        for sample in [foreign, vanished] {
            assert_eq!(site.daemon.metric(&sample).await, Some(0.0), "{sample}");
        }
    }
    super::links::tells_nobody(&site, &secrets, &["tokenId", "webhook_trigger", "\"data\""]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_two_disagree_people_are_told_and_the_stock_is_lent() {
    let plain = Project::named("plain_here");
    let site = Site::of(vec![plain, sealing("sealed_here", "raw")]).await;
    for (name, secure) in [("plain_here", true), ("sealed_here", false)] {
        let secure_transfer =
            |on| RuleChange { secure_transfer: Some(on), ..RuleChange::default() };
        site.rules(name, secure_transfer(secure));
        while counts(&site.status(name).await).ready >= 4 {
            site.lease(name, nothing()).await.unwrap();
        }
        let told = |status: &ProjectStatus| {
            let problem = |reason: &str| reason == "ARGOS_TRANSFER_REFUSED";
            status.problems.iter().position(|it| problem(&it.reason))
        };
        let status = site.until(name, "people are told", |status| told(status).is_some()).await;
        assert_eq!(status.argos.unwrap().condition(), ArgosCondition::TransferRefused);
        let summary = &status.problems[told(&status).unwrap()].summary;
        assert!(summary.contains("transfer.seal_requests"), "{summary}");
        assert!(status.can_lease);

        let lease = site.lease(name, nothing()).await.unwrap();
        let mut person = Visitor::new(&site.simulator.form_url()).unwrap();
        person.start(&lease.url).await.unwrap();
        let refused = loop {
            match site.lease(name, nothing()).await {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refused), "ARGOS_KEY_REFUSED");
        site.rules(name, secure_transfer(!secure));
        site.filled().await;
        let well = |status: &ProjectStatus| status.problems.is_empty();
        site.until(name, "all is well again", well).await;
        let counters = site.counters(name);
        assert_eq!((counters.overwrites_total, counters.delete_tokens), (0, 0));
    }
}
