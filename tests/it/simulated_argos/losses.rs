//! ARGOS deletes tokens by itself and tells nobody.

use std::{collections::BTreeSet, time::Duration};

use argospool::{
    domain::pool::{SuspectedCause, Unwanted},
    engine::{Bell, LeaseView},
    sim::{Command, RuleChange, TokenState, VolumeDeletion},
};

use super::{PID, Rig};
use crate::world::wish;

const TARGET: u32 = 5_000;
/// Ready only after the last count that was right.
const NEWER: u32 = 500;
const LOST: u32 = (TARGET + NEWER) / 5;

impl Rig {
    fn control(&self, command: Command) {
        self.simulator.control(command).unwrap();
    }

    /// The tokens that ARGOS has at this moment.
    fn present(&self) -> BTreeSet<String> {
        let record = self.simulator.record(PID).unwrap();
        let there = record.into_iter().filter(|token| token.state == TokenState::Present);
        there.map(|token| token.token).collect()
    }

    /// Leases so many at once, and looks whether ARGOS knows all of them.
    async fn lends_what_is_there(&self, number: usize) {
        let wanted = (0..number).map(|_| wish(&self.handle, "uid:1", None)).collect();
        let views = self.handle.lease(wanted, Duration::ZERO).await.unwrap();
        let there = self.present();
        let dead = views.iter().filter(|view| match view {
            LeaseView::Open { token, .. } => !there.contains(token.expose()),
            LeaseView::Closed(_) => panic!("not open"),
        });
        assert_eq!(dead.count(), 0, "dead links were handed out");
    }
}

#[tokio::test]
async fn the_oldest_fifth_is_deleted_by_volume_and_no_dead_token_is_handed_out() {
    let rig = Rig::start(|policy| policy.reconcile.listing_gap = Duration::from_millis(200)).await;
    rig.until("the pool is filled", |status| status.census.ready == TARGET).await;
    rig.handle.ring(Bell::Count);
    let drift = |status: &argospool::engine::Status| status.count.and_then(|count| count.drift);
    rig.until("it was counted whole", |status| {
        drift(status) == Some(0) && status.count.unwrap().reported == TARGET
    })
    .await;
    rig.handle.refill(NEWER).await.unwrap();
    rig.until("there are newer ones", |status| status.census.ready == TARGET + NEWER).await;

    let rule = VolumeDeletion { start_ratio: 0.05, delete_ratio: 0.2, wait_ms: 3_600_000 };
    let rules = RuleChange { volume_deletion: Some(rule), ..RuleChange::default() };
    rig.control(Command::Rules(rules));
    rig.control(Command::Clock { skip_ms: 1 });
    assert_eq!(rig.present().len() as u32, TARGET + NEWER - LOST);

    rig.handle.ring(Bell::Count);
    rig.until("what was there before is held back", |status| status.census.held_back > 0).await;
    rig.lends_what_is_there(100).await;
    let braked = rig.until("two lists agree", |status| status.braked == LOST).await;
    assert_eq!(braked.census.held_back, LOST, "what was listed is handed out again");
    let report = braked.reconciliation.unwrap();
    assert!(report.braked && !report.void);
    assert_eq!((report.vanished_ready, report.vanished_leased), (LOST, 0));
    assert_eq!(report.cause, Some(SuspectedCause::VolumeDeletion));
    rig.lends_what_is_there(500).await;
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!(counters.delete_tokens, 0, "nothing is doomed before a person looked");

    rig.handle.accept_loss().await.unwrap();
    let full = rig
        .until("what was lost is made good", |status| {
            let census = status.census;
            census.doomed + census.minted == 0 && census.leasable() >= TARGET
        })
        .await;
    assert_eq!((full.braked, full.census.held_back, full.stuck), (0, 0, 0));
    assert_eq!(rig.present().len() as u32, full.census.held());
    rig.handle.ring(Bell::Count);
    rig.until("our count and theirs agree", |status| drift(status) == Some(0)).await;
    let record = rig.simulator.record(PID).unwrap();
    assert!(record.iter().all(|token| token.registrations == 1));
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!(counters.delete_tokens, u64::from(LOST));
}

#[tokio::test]
async fn others_ids_are_counted_hinted_at_and_deleted_on_an_operators_word_alone() {
    let rig = Rig::start(|_| ()).await;
    rig.until("the pool is filled", |status| status.census.ready == TARGET).await;
    let like_ours = vec!["ap-looks-like-one-of-ours".to_owned()];
    let prefix = Some("staging-".to_owned());
    rig.control(Command::Foreign { pid: None, count: 7, prefix, ids: like_ours });
    rig.control(Command::Rules(RuleChange { list_page: Some(100), ..RuleChange::default() }));
    rig.handle.reconcile(true).await.unwrap();
    let seen = rig.until("it was looked", |status| status.reconciliation.is_some()).await;
    let report = seen.reconciliation.unwrap();
    assert!(report.dry_run && report.cause.is_none());
    assert_eq!((report.listed, report.foreign, report.foreign_like_ours), (TARGET + 8, 8, 1));
    assert_eq!(report.foreign_hints, ["ap-loo… (1)", "stagin… (7)"]);

    let left = |rig: &Rig| rig.simulator.counters(PID).unwrap().pool_size;
    for (which, foreign) in [(Unwanted::Strangers, 1), (Unwanted::All, 0)] {
        rig.handle.delete_foreign(which).await.unwrap();
        rig.until("they are gone", |_| left(&rig) == u64::from(TARGET + foreign)).await;
    }
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!((counters.deletes_of_foreign, counters.delete_tokens), (8, 8));
}
