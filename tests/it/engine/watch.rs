//! Watchers: whatever is missed, cut off or in doubt, in the end they know what a list knows.

use std::{collections::BTreeMap, time::Duration};

use argospool::{
    domain::{
        fault::Reason,
        ids::{Owner, Revision, Sequence},
        pool::Replacement,
        seal::Position,
        submission::FactKind,
        token::{Decision, Ending},
    },
    engine::{Handle, LeaseView, Watched as Told, Watcher},
    port::Resumable,
    store::memory::{Faults, Memory},
};
use tokio::time::{Instant, timeout};

use super::NO_WAIT;
use crate::links::blank;
use crate::world::{Bench, Scripted, Watched, policy, report, settings, wish};

/// In pool time, which passes at once when nothing happens.
const SILENCE: Duration = Duration::from_secs(2);

/// What a watcher knows: the latest of every lease that it was told.
#[derive(Default)]
struct Knowledge(BTreeMap<Sequence, String>);

impl Knowledge {
    fn learn(&mut self, view: &LeaseView) {
        self.0.insert(view.sequence(), format!("{view:?}"));
    }

    /// Whether it is what a list knows.
    async fn is_complete(&self, handle: &Handle) -> bool {
        let mut listed = BTreeMap::new();
        let mut next = Some(Sequence::ZERO);
        while let Some(from) = next {
            // While the ledger is read again nobody knows.
            let Ok(page) = handle.leases(from, 500).await else { return false };
            listed.extend(page.items.iter().map(|view| (view.sequence(), format!("{view:?}"))));
            next = page.next;
        }
        listed == self.0
    }
}

/// Everything that is told until nothing is for a while.
async fn told(watcher: &mut Watcher) -> Vec<Told> {
    let mut all = Vec::new();
    while let Ok(told) = timeout(SILENCE, watcher.next()).await {
        all.push(told.unwrap());
        if matches!(all.last(), Some(Told::Lagged)) {
            break;
        }
    }
    all
}

fn leases(told: &[Told]) -> Vec<Sequence> {
    let lease = |told: &Told| match told {
        Told::Lease(view) => Some(view.sequence()),
        Told::Synced | Told::Lagged => None,
    };
    told.iter().filter_map(lease).collect()
}

async fn synced(handle: &Handle, from: Option<Position>) -> Watcher {
    let mut watcher = handle.watch(from).await.unwrap();
    while !matches!(watcher.next().await.unwrap(), Told::Synced) {}
    watcher
}

async fn leased(bench: &Bench) -> Sequence {
    bench.lease_within("uid:1", None, Duration::from_secs(600)).await.unwrap().sequence()
}

/// Numbers that look drawn and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Something happens to a lease, or to the ledger.
async fn something(bench: &Bench, faults: &Faults, dice: &mut Dice, tokens: &mut Vec<LeaseView>) {
    let pick = |dice: &mut Dice, tokens: &[LeaseView]| {
        let at = usize::try_from(dice.roll(tokens.len() as u64)).unwrap();
        tokens[at].clone()
    };
    if tokens.is_empty() || dice.roll(3) == 0 {
        match bench.lease("uid:1", None).await {
            Ok(view) => tokens.push(view),
            // The ledger is read again, or nothing is ready.
            Err(_) => tokio::time::sleep(SILENCE).await,
        }
        return;
    }
    let view = pick(dice, tokens);
    let LeaseView::Open { sequence, token, lease } = &view else { return };
    let owner = Some(Owner::parse("uid:1").unwrap());
    let heard = |kind| report(token, kind, lease.issued);
    match dice.roll(24) {
        0..3 => drop(bench.handle.release(*sequence, owner, None).await),
        3..6 => drop(bench.handle.revoke(*sequence, owner, None).await),
        6..9 => {
            let replacement = Replacement { ttl: Duration::from_secs(600), blank: blank() };
            let replaced = bench.handle.replace(*sequence, owner, None, replacement, NO_WAIT);
            if let Ok((next, _)) = replaced.await {
                tokens.push(next);
            }
        }
        9..14 => drop(bench.handle.report(heard(FactKind::Started)).await),
        14..18 => drop(bench.handle.report(heard(FactKind::Decided(Decision::Pending))).await),
        18..22 => drop(bench.handle.report(heard(FactKind::Decided(Decision::Approved))).await),
        22 => faults.lose_answer(),
        _ => faults.refuse_commit(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_cut_off_anywhere_misses_no_lease() {
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let ledger = Memory::default();
        let faults = ledger.faults();
        let bench = Bench::start(policy(500, 100), ledger).await;
        bench.filled().await;
        let (mut knowledge, mut tokens) = (Knowledge::default(), Vec::new());
        let mut watcher = synced(&bench.handle, None).await;
        for _ in 0..300 {
            match dice.roll(4) {
                0 => {
                    // Cut off: what was told and not looked at is lost with it.
                    let position = watcher.position();
                    if let Ok(again) = bench.handle.watch(position).await {
                        watcher = again;
                    }
                }
                1 => {
                    let next = timeout(Duration::from_millis(1), watcher.next()).await;
                    if let Ok(Ok(Told::Lease(view))) = next {
                        knowledge.learn(&view);
                    }
                }
                _ => something(&bench, &faults, &mut dice, &mut tokens).await,
            }
        }
        let mut rounds = 0;
        loop {
            while let Ok(next) = timeout(SILENCE, watcher.next()).await {
                match next {
                    Ok(Told::Lease(view)) => knowledge.learn(&view),
                    Ok(Told::Synced) => (),
                    Ok(Told::Lagged) | Err(_) => {
                        // While the ledger is read again.
                        tokio::time::sleep(SILENCE).await;
                        if let Ok(again) = bench.handle.watch(watcher.position()).await {
                            watcher = again;
                        }
                    }
                }
            }
            if knowledge.is_complete(&bench.handle).await {
                break;
            }
            rounds += 1;
            assert!(rounds < 100, "seed {seed}: something was never told");
        }
        assert!(knowledge.0.len() > 30, "seed {seed}: {}", knowledge.0.len());
        bench.crash().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_cut_off_within_a_commit_is_told_all_of_it_again() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let mut watcher = synced(&bench.handle, None).await;
    let wanted = (0..3).map(|_| wish(&bench.handle, "uid:1", None)).collect();
    let batch = bench.handle.lease(wanted, NO_WAIT).await.unwrap();
    let sequences: Vec<_> = batch.iter().map(LeaseView::sequence).collect();
    for told_before in 0..3 {
        let mut again = bench.handle.watch(watcher.position()).await.unwrap();
        assert_eq!(leases(&told(&mut again).await), sequences, "after {told_before}");
        assert!(matches!(watcher.next().await, Ok(Told::Lease(_))));
    }
    let mut again = bench.handle.watch(watcher.position()).await.unwrap();
    assert!(leases(&told(&mut again).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_watcher_heard_of_is_never_told_as_it_was_before() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let sequence = leased(&bench).await;
    let position = synced(&bench.handle, None).await.position();
    for _ in 0..3 {
        leased(&bench).await;
    }
    // It has found out up to where it must read; then what it is about to read changes.
    let mut watcher = bench.handle.watch(position).await.unwrap();
    let Told::Lease(first) = watcher.next().await.unwrap() else { panic!("there are leases") };
    assert_ne!(first.sequence(), sequence);
    bench.handle.revoke(first.sequence(), None, None).await.unwrap();
    bench.until("the link is dead", |status| status.census.doomed == 0).await;
    let all = told(&mut watcher).await;
    let states: Vec<_> = all
        .iter()
        .filter_map(|told| match told {
            Told::Lease(LeaseView::Closed(line)) => Some(line.link_dead.is_some()),
            Told::Lease(LeaseView::Open { .. }) | Told::Synced | Told::Lagged => None,
        })
        .collect();
    assert_eq!(states, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_keep_up_is_told_and_resumes_without_a_gap() {
    let bench = Bench::start(policy(3_000, 500), Memory::default()).await;
    bench.filled().await;
    let mut watcher = synced(&bench.handle, None).await;
    let heard = leased(&bench).await;
    assert_eq!(leases(&told(&mut watcher).await), [heard]);
    let mut missed = Vec::new();
    for _ in 0..1_200 {
        missed.push(leased(&bench).await);
    }
    let all = told(&mut watcher).await;
    assert!(matches!(all[..], [Told::Lagged]), "{} were told", all.len());
    let mut again = bench.handle.watch(watcher.position()).await.unwrap();
    assert_eq!(leases(&told(&mut again).await), missed);
}

#[tokio::test(start_paused = true)]
async fn what_is_missed_while_catching_up_is_read_and_not_lost() {
    let bench = Bench::start(policy(3_000, 500), Memory::default()).await;
    bench.filled().await;
    let first = leased(&bench).await;
    let mut watcher = bench.handle.watch(None).await.unwrap();
    let Told::Lease(view) = watcher.next().await.unwrap() else { panic!("one is open") };
    assert_eq!(view.sequence(), first);
    let mut missed = Vec::new();
    for _ in 0..1_200 {
        missed.push(leased(&bench).await);
    }
    let all = told(&mut watcher).await;
    assert!(matches!(all[0], Told::Synced));
    assert_eq!(leases(&all), missed);
}

#[tokio::test(start_paused = true)]
async fn what_was_in_doubt_is_told_when_it_is_known() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let mut watcher = synced(&bench.handle, None).await;
    faults.lose_answer();
    let doubt = bench.lease("uid:1", Some(1)).await.unwrap_err();
    assert_eq!(doubt.reason, Reason::CommitDoubtful);
    let all = told(&mut watcher).await;
    // And nobody is told of what never happened.
    faults.refuse_commit();
    bench.lease("uid:1", Some(2)).await.unwrap_err();
    assert!(told(&mut watcher).await.is_empty());
    let found = bench.lease("uid:1", Some(1)).await.unwrap();
    assert_eq!(leases(&all), [found.sequence()]);
}

#[tokio::test(start_paused = true)]
async fn a_position_outlives_a_restart() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let (quiet, busy) = (leased(&bench).await, leased(&bench).await);
    let position = synced(&bench.handle, None).await.position();
    bench.handle.revoke(busy, None, None).await.unwrap();
    bench.crash().await;

    let bench = Bench::start(policy(500, 100), twin).await;
    let mut watcher = bench.handle.watch(position).await.unwrap();
    let all = told(&mut watcher).await;
    assert!(!leases(&all).contains(&quiet));
    let Told::Lease(LeaseView::Closed(line)) = &all[0] else { panic!("{all:?}") };
    assert_eq!((line.sequence, line.ending), (busy, Ending::Revoked));
    assert!(watcher.position().unwrap().epoch > position.unwrap().epoch);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_older_than_what_is_kept_is_refused() {
    let ledger = Watched::new(Memory::default());
    let resumable = ledger.resumable.clone();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    leased(&bench).await;
    let position = synced(&bench.handle, None).await.position().unwrap();
    let refused = async |position| {
        bench.handle.watch(Some(position)).await.map(|_| ()).map_err(|rejection| rejection.reason)
    };
    let Position { epoch, revision } = position;
    *resumable.lock().unwrap() = Resumable { epoch, revision };
    assert_eq!(refused(position).await, Ok(()));
    // Lines were dropped, or the ledger is an older past of the one that was watched.
    leased(&bench).await;
    let newer = synced(&bench.handle, None).await.position().unwrap();
    *resumable.lock().unwrap() = Resumable { epoch, revision: newer.revision };
    assert_eq!(refused(position).await, Err(Reason::ResumeTooOld));
    assert_eq!(refused(newer).await, Ok(()));
    *resumable.lock().unwrap() = Resumable { epoch: epoch + 1, revision };
    assert_eq!(refused(newer).await, Err(Reason::ResumeTooOld));
    // What has not been yet was never told by this ledger.
    *resumable.lock().unwrap() = Resumable { epoch, revision };
    let later = Revision(newer.revision.0 + 1_000);
    for ahead in [Position { epoch: epoch + 1, ..newer }, Position { revision: later, ..newer }] {
        assert_eq!(refused(ahead).await, Err(Reason::ResumeTooOld));
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_dropped_under_a_watcher_end_it() {
    let ledger = Watched::new(Memory::default());
    let resumable = ledger.resumable.clone();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let position = synced(&bench.handle, None).await.position();
    leased(&bench).await;
    let closed = leased(&bench).await;
    bench.handle.revoke(closed, None, None).await.unwrap();
    let mut watcher = bench.handle.watch(position).await.unwrap();
    assert!(matches!(watcher.next().await, Ok(Told::Lease(_))));
    let newer = synced(&bench.handle, None).await.position().unwrap();
    *resumable.lock().unwrap() = Resumable { epoch: 0, revision: newer.revision };
    assert_eq!(watcher.next().await.unwrap_err().reason, Reason::ResumeTooOld);
}

#[tokio::test(start_paused = true)]
async fn commits_that_change_no_lease_bring_an_idle_watcher_forward() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let mut watcher = synced(&bench.handle, None).await;
    let before = watcher.position().unwrap();
    bench
        .handle
        .pause(
            Vec::from([argospool::domain::pause::Activity::Refill]),
            String::new(),
            String::new(),
        )
        .await
        .unwrap();
    assert_eq!(watcher.position(), Some(before));
    assert!(watcher.refreshed().unwrap().revision > before.revision);
    // Never beyond what it was told.
    let before = watcher.refreshed();
    let sequence = leased(&bench).await;
    assert_eq!(watcher.refreshed(), before);
    assert_eq!(leases(&told(&mut watcher).await), [sequence]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_the_engine_ends_its_watchers() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let mut watcher = synced(&bench.handle, None).await;
    bench.stop.cancel();
    bench.running.await.unwrap().unwrap();
    drop(bench.handle);
    let ended = timeout(SILENCE, watcher.next()).await;
    assert_eq!(ended.expect("it ends").unwrap_err().reason, Reason::Draining);
}

#[tokio::test(start_paused = true)]
async fn a_link_can_be_killed_when_the_disk_has_no_room_for_callers() {
    let ledger = Watched::new(Memory::default());
    let free = ledger.free_bytes.clone();
    let bench = Bench::with(policy(500, 100), settings(), ledger, Scripted::new()).await;
    bench.filled().await;
    let sequence = leased(&bench).await;
    free.store(1, std::sync::atomic::Ordering::Relaxed);
    bench.handle.ring(argospool::engine::Bell::Floor);
    bench.until("nothing is handed out", |status| status.leasable == 0).await;
    let wanted = vec![wish(&bench.handle, "uid:1", None)];
    let refused = bench.handle.lease(wanted, NO_WAIT).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LedgerUnavailable);
    let revoked = bench.handle.revoke(sequence, None, None).await.unwrap();
    assert!(matches!(revoked, LeaseView::Closed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_link_is_waited_for_until_it_dies_of_itself() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let view = bench.lease("uid:1", None).await.unwrap();
    let LeaseView::Open { sequence, token, lease } = view else { panic!("it is open") };
    let started = report(&token, FactKind::Started, lease.issued);
    bench.handle.report(started).await.unwrap();
    bench.supplier.script(|script| script.held = true);
    bench.handle.revoke(sequence, None, None).await.unwrap();
    let began = Instant::now();
    bench.handle.when_dead(sequence, Duration::from_secs(10)).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 10);
    // Three minutes after first use nobody enters, whatever becomes of the deletion.
    bench.handle.when_dead(sequence, Duration::from_secs(3_600)).await.unwrap();
    let waited = began.elapsed().as_secs();
    assert!((175..=185).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_waited_for_is_dead_as_soon_as_it_is_deleted() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let sequence = leased(&bench).await;
    bench.supplier.script(|script| script.silent_deletions = true);
    bench.handle.revoke(sequence, None, None).await.unwrap();
    let (handle, began) = (bench.handle.clone(), Instant::now());
    let minute = Duration::from_secs(60);
    let waiting = tokio::spawn(async move { handle.when_dead(sequence, minute).await });
    // News of others are none of it.
    leased(&bench).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    bench.supplier.script(|script| script.silent_deletions = false);
    waiting.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 5);
}

/// A page holds 500 lines, and that is no end.
#[tokio::test(start_paused = true)]
async fn whoever_resumes_is_told_of_more_closed_leases_than_a_page_holds() {
    let bench = Bench::start(policy(1_500, 100), Memory::default()).await;
    bench.filled().await;
    let position = synced(&bench.handle, None).await.position();
    let mut closed = Vec::new();
    for number in [500, 500, 1] {
        let wanted = vec![wish(&bench.handle, "uid:1", None); number];
        let views = bench.handle.lease(wanted, NO_WAIT).await.unwrap();
        closed.extend(views.iter().map(LeaseView::sequence));
    }
    bench.handle.revoke_all(closed.clone()).await.unwrap();
    let mut watcher = bench.handle.watch(position).await.unwrap();
    let mut seen = leases(&told(&mut watcher).await);
    seen.sort();
    assert_eq!(seen, closed);
}
