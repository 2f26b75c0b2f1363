//! Keys are replaced while the daemon runs: with a signal, and by ARGOS's refusal alone.

use argospool::{
    api::proto::LiveformParams,
    sim::{Command, Decision, RuleChange, Visitor, WebhookSettings},
};
use rustix::process::Signal;

use super::{
    daemon::{counts, text, until},
    projects::{Project, Site},
};

const NAME: &str = "turning";

fn told() -> LiveformParams {
    LiveformParams { allowed_countries: vec!["KOR".to_owned()], ..LiveformParams::default() }
}

impl Site {
    /// ARGOS has other keys from here on, and they stand in the files of the daemon.
    fn turns_keys(&self, number: u8) {
        let (api, secret) = (format!("api-key-{number}"), format!("secret-key-{number}"));
        self.home.secret(&format!("{NAME}.api_key_file"), &api);
        self.home.secret(&format!("{NAME}.liveform.secret_key_file"), &secret);
        let rules = RuleChange {
            api_key: Some(api.as_str().into()),
            secret_key: Some(secret.as_str().into()),
            ..RuleChange::default()
        };
        self.rules(NAME, rules);
    }

    /// Webhooks are sealed and do not leave, or all of them at once.
    fn keeps_webhooks(&self, keeps: bool) {
        let reorder = Some(if keeps { 1_000 } else { 0 });
        let pid = Some(self.projects[0].options.pid.clone());
        let settings = WebhookSettings { pid, reorder, ..WebhookSettings::default() };
        self.simulator.control(Command::Webhooks(settings)).unwrap();
    }

    /// Links made from here on open, and whoever has one is verified to the end.
    async fn links_open(&self) {
        let lease = self.lease(NAME, told()).await.unwrap();
        assert_eq!(self.page(&lease.url).await["allowedCountries"], ("KOR".to_owned(), true));
        self.verifies(&lease).await;
    }

    /// Takes so many that more must be ordered, and waits until they are there.
    async fn orders_more(&self) {
        let posts = self.counters(NAME).posts;
        while counts(&self.status(NAME).await).ready >= 3 {
            self.lease(NAME, told()).await.unwrap();
        }
        self.filled().await;
        assert!(self.counters(NAME).posts > posts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_keys_count_from_the_next_link_and_what_the_old_ones_sealed_is_still_read() {
    let project = Project::named(NAME)
        .with_secret_key()
        .in_mode("sealed")
        .with("transfer.seal_requests", true)
        .with("life.overdue_after", text("0s"))
        .ruled(|rules| {
            (rules.secure_transfer, rules.encryption_only) = (Some(true), Some(true));
        });
    let site = Site::of(vec![project]).await;
    site.sends_webhooks();
    site.links_open().await;

    // Two people get through while their webhooks wait, each under the keys of the day.
    let mut early = Vec::new();
    for number in [2, 3] {
        site.keeps_webhooks(true);
        let lease = site.lease(NAME, told()).await.unwrap();
        let unopened = site.lease(NAME, told()).await.unwrap();
        let mut person = Visitor::new(&site.simulator.form_url()).unwrap();
        let submission_id = person.start(&lease.url).await.unwrap();
        let decision = Decision::Approved;
        let decides = Command::LiveformDecide { submission_id, decision, by_admin: false };
        site.simulator.control(decides).unwrap();
        early.push(lease);

        site.turns_keys(number);
        if number == 2 {
            // Nobody tells the daemon: the next order is refused, and it reads its files again.
            site.orders_more().await;
        } else {
            site.daemon.signal(Signal::HUP);
            until("the files were read", async || {
                let log = site.home.log();
                let read = log.matches("keys replaced").count() + log.matches("keys unch").count();
                (read > 0).then_some(())
            })
            .await;
        }
        let refusal = site.refusal(&unopened.url).await;
        assert_eq!(refusal.as_deref(), Some("parameters"), "ARGOS forgot the old key");
        site.keeps_webhooks(false);
        site.is_decided(early.last().unwrap()).await;
        site.links_open().await;
        site.orders_more().await;
    }
    let status = site.until(NAME, "all is deleted", |status| counts(status).doomed == 0).await;
    assert!(status.problems.is_empty(), "{:?}", status.problems);
    let sealed = r#"argospool_webhooks_total{project="turning",result="sealed",trigger="none"}"#;
    assert_eq!(site.daemon.metric(sealed).await, Some(0.0), "a webhook was not opened");
    let counters = site.counters(NAME);
    assert_eq!((counters.overwrites_total, counters.bodies_unopened), (0, 0));
    let log = site.home.log();
    for number in [2, 3] {
        for key in [format!("api-key-{number}"), format!("secret-key-{number}")] {
            assert!(!log.contains(&key), "P1");
        }
    }
}
