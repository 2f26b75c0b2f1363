//! What ARGOS lists against what we hold.
//!
//! A listing is no snapshot, may be stale, and may be wrong; so nothing is believed before two of them,
//! some time apart, agree. Absence from one holds a Ready token back from hand-out, and that is all. What
//! is missing in both has vanished: if nobody was given it, it is doomed, and if somebody was, that is
//! written down. Where more has vanished than a small part of the stock, nothing is doomed before a person
//! looked. Ids that are not ours are counted, and deleted on an operator's word alone.

mod foreign;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use self::foreign::{Likeness, Unwanted};
use super::{Event, News, Pool};
use crate::domain::{
    birth::Birth,
    ids::{Sequence, TokenId},
    limits::POOL_CAP,
    paging::{Cursor, Step, Walk},
    time::Timestamp,
    token::{Doom, DoomCause, Lease, Stage},
};

/// A listing with more pages than this does not end: even pages of 100 ids would be enough.
const PAGES_MAX: usize = POOL_CAP as usize / 100;
/// Fewer missing tokens make no pattern.
const PATTERN_MIN: usize = 10;

/// What the brake and the pause between listings are set to.
#[derive(Clone, Copy, Debug)]
pub struct ReconcilePolicy {
    /// How long between the two listings that must agree.
    pub listing_gap: Duration,
    /// The part of the stock, and the number, that may vanish without a person.
    pub brake_ratio: f64,
    pub brake_min: u32,
}

/// What came of the last listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    pub at: Timestamp,
    /// Ids that ARGOS listed, and tokens that we held.
    pub listed: u32,
    pub held: u32,
    /// Ids that are not ours, and those of them that look as if they were: a sign of lost commits or of
    /// a second writer.
    pub foreign: u32,
    pub foreign_like_ours: u32,
    /// The hours of birth that those which look like ours tell, with how many tell each; some tell none.
    pub foreign_births: BTreeMap<Birth, u32>,
    /// How they begin and how many do, which tells an operator whose they are.
    pub foreign_hints: Vec<String>,
    /// Missing in this listing, and so far in no other.
    pub missing: u32,
    /// Missing in two listings.
    pub vanished_ready: u32,
    pub vanished_leased: u32,
    /// More vanished than may be doomed without a person.
    pub braked: bool,
    /// The listing repeated itself, did not end, or held what cannot be an id: nothing was judged.
    pub void: bool,
    /// It was only looked, and nothing was held back or doomed.
    pub dry_run: bool,
    pub cause: Option<SuspectedCause>,
}

/// What tokens that vanished have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectedCause {
    /// The oldest went, and nothing younger: as ARGOS's volume-based deletion does it (contract 2).
    VolumeDeletion,
    /// Nothing of ours is there: another project, or an emptied one.
    Emptied,
    /// Some went here and there.
    DeletedElsewhere,
}

impl SuspectedCause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VolumeDeletion => "volume_deletion",
            Self::Emptied => "emptied",
            Self::DeletedElsewhere => "deleted_elsewhere",
        }
    }
}

/// How a listing is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub dry_run: bool,
}

/// What is known of ARGOS's list.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    wanted: Option<(Timestamp, Wanted)>,
    look: Option<Look>,
    /// Missing in the last complete listing, which ended then.
    missing: BTreeSet<Sequence>,
    ended: Timestamp,
    /// Vanished for certain, and not written down yet.
    vanished: BTreeSet<Sequence>,
    /// Vanished, and waiting for a person.
    braked: BTreeSet<Sequence>,
    /// Ids of others as of the last complete listing.
    foreign: BTreeMap<TokenId, Likeness>,
    /// Ids of others that an operator wants gone.
    unwanted: BTreeSet<TokenId>,
    report: Option<Reconciliation>,
}

/// A listing under way.
#[derive(Clone, Debug)]
struct Look {
    walk: Walk,
    wanted: Wanted,
    /// Ready or leased since before the first page was asked for, and not seen yet.
    unseen: BTreeSet<Sequence>,
    seen: u32,
    foreign: BTreeMap<TokenId, Likeness>,
    unreadable: u32,
    /// Deleted by ourselves meanwhile.
    gone: BTreeSet<Sequence>,
}

/// The end of a listing, as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    pub report: Reconciliation,
    missing: BTreeSet<Sequence>,
    vanished: BTreeSet<Sequence>,
    braked: BTreeSet<Sequence>,
    foreign: BTreeMap<TokenId, Likeness>,
}

impl Listing {
    pub(super) fn want(&mut self, at: Timestamp, wanted: Wanted) {
        let earlier = self.wanted.get_or_insert((at, wanted));
        earlier.0 = earlier.0.min(at);
        earlier.1.dry_run &= wanted.dry_run;
    }

    pub(super) fn begin(&mut self, unseen: BTreeSet<Sequence>, at: Timestamp) {
        let (_, wanted) = self.wanted.take().unwrap_or_default();
        self.look = Some(Look {
            walk: Walk::begin(at, PAGES_MAX),
            wanted,
            unseen,
            seen: 0,
            foreign: BTreeMap::new(),
            unreadable: 0,
            gone: BTreeSet::new(),
        });
    }

    pub(super) fn page(
        &mut self,
        seen: &[Sequence],
        foreign: &[(TokenId, Likeness)],
        unreadable: u32,
        next: Option<&Cursor>,
    ) {
        let Some(look) = &mut self.look else { return };
        for sequence in seen {
            look.seen += u32::from(look.unseen.remove(sequence));
        }
        look.foreign.extend(foreign.iter().cloned());
        look.unreadable += unreadable;
        let _ = look.walk.pass(next.cloned());
    }

    pub(super) fn conclude(&mut self, conclusion: &Conclusion) {
        self.look = None;
        self.report = Some(conclusion.report.clone());
        if conclusion.report.void {
            return;
        }
        self.foreign.clone_from(&conclusion.foreign);
        if conclusion.report.dry_run {
            return;
        }
        self.ended = conclusion.report.at;
        self.missing.clone_from(&conclusion.missing);
        self.vanished.extend(&conclusion.vanished);
        self.braked.clone_from(&conclusion.braked);
    }

    /// We deleted it: its absence is our own doing.
    pub(super) fn deleted(&mut self, sequence: Sequence) {
        if let Some(look) = &mut self.look {
            look.gone.insert(sequence);
        }
        self.settled(sequence);
    }

    /// What became of it is written down.
    pub(super) fn settled(&mut self, sequence: Sequence) {
        self.vanished.remove(&sequence);
        self.missing.remove(&sequence);
        self.braked.remove(&sequence);
    }

    /// Whether the last listings did not show it.
    pub(super) fn misses(&self, sequence: Sequence) -> bool {
        [&self.missing, &self.vanished, &self.braked].iter().any(|set| set.contains(&sequence))
    }

    /// What the last listings did not show.
    pub(super) fn absent(&self) -> impl Iterator<Item = Sequence> {
        [&self.missing, &self.vanished, &self.braked].into_iter().flatten().copied()
    }

    pub(super) fn accept_loss(&mut self) {
        self.vanished.append(&mut self.braked);
    }

    pub(super) fn doom_foreign(&mut self, which: Unwanted) {
        let unwanted = self.foreign.iter().filter(|(_, likeness)| which.is_meant(**likeness));
        self.unwanted = unwanted.map(|(token, _)| token.clone()).collect();
    }

    pub(super) fn foreign_deleted(&mut self, tokens: &[TokenId], done: bool) {
        for token in tokens {
            self.unwanted.remove(token);
            if done {
                self.foreign.remove(token);
            }
        }
    }
}

// What is asked of the state.
impl Pool {
    /// The page of the listing to ask for.
    pub(super) fn listing_page(&self) -> Option<Option<&Cursor>> {
        self.listing.look.as_ref().map(|look| look.walk.cursor())
    }

    /// Foreign ids to delete, at most one call of them.
    pub(super) fn unwanted(&self, batch: u32) -> Vec<TokenId> {
        self.listing.unwanted.iter().take(batch as usize).cloned().collect()
    }

    /// When the next listing begins; never, while one is under way.
    pub(super) fn listing_due(&self) -> Option<Timestamp> {
        let wanted = self.listing.wanted.map(|(at, _)| at)?;
        self.listing.look.is_none().then_some(wanted)
    }

    pub fn reconciliation(&self) -> Option<&Reconciliation> {
        self.listing.report.as_ref()
    }

    /// Whether a listing is under way or due, the second of a pair included.
    pub fn reconciling(&self) -> bool {
        self.listing.look.is_some() || self.listing.wanted.is_some()
    }

    /// Vanished tokens that wait for a person.
    pub fn braked(&self) -> u32 {
        u32::try_from(self.listing.braked.len()).unwrap_or(u32::MAX)
    }

    /// Tokens of ours that are known to be missing over there, and stand in the records still.
    pub(super) fn known_missing(&self) -> u32 {
        u32::try_from(self.listing.absent().count()).unwrap_or(u32::MAX)
    }

    /// Whether a count may ask for another listing: the last one is some time ago, and none is on.
    pub(super) fn may_list_again(&self, now: Timestamp) -> bool {
        let gap = self.policy.reconcile.listing_gap;
        !self.reconciling() && now.since(self.listing.ended) >= gap
    }

    pub(super) fn foreign_listed(&self) -> u32 {
        u32::try_from(self.listing.foreign.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn vanished_waits(&self) -> bool {
        !self.listing.vanished.is_empty()
    }
}

// What is decided.
impl Pool {
    pub(super) fn listing_begins(&self, now: Timestamp) -> Event {
        let there = |stage: &Stage| matches!(stage, Stage::Ready { .. } | Stage::Leased(_));
        let tokens = self.tokens.iter().filter(|(_, token)| there(&token.stage));
        Event::ListingBegan { unseen: tokens.map(|(sequence, _)| *sequence).collect(), at: now }
    }

    pub(super) fn listed(
        &self,
        tokens: &[TokenId],
        unreadable: u32,
        next: Option<&Cursor>,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(look) = &self.listing.look else { return Vec::new() };
        let mut seen = Vec::with_capacity(tokens.len());
        let mut foreign = Vec::new();
        for token in tokens {
            match self.sequence_of(token) {
                Some(sequence) if self.tokens.contains_key(&sequence) => seen.push(sequence),
                Some(sequence) if look.gone.contains(&sequence) => (),
                opened => {
                    let likeness = if opened.is_some() {
                        Likeness::of_ours(token, &self.policy.prefix, now)
                    } else {
                        Likeness::of(token, &self.policy.prefix, now)
                    };
                    foreign.push((token.clone(), likeness));
                }
            }
        }
        let mut after = look.clone();
        for sequence in &seen {
            after.seen += u32::from(after.unseen.remove(sequence));
        }
        after.foreign.extend(foreign.iter().cloned());
        after.unreadable += unreadable;
        let step = after.walk.pass(next.cloned());
        let page = Event::Listed { seen, foreign, unreadable, next: next.cloned() };
        match step {
            Step::Further => vec![page],
            Step::Complete | Step::Void => {
                let conclusion = Box::new(self.concluded(after, step, now));
                let void_again = conclusion.report.void && !self.listing.missing.is_empty();
                let missing = !conclusion.missing.is_empty() || void_again;
                let again = missing && !conclusion.report.dry_run;
                let at = now.plus(self.policy.reconcile.listing_gap);
                let second =
                    again.then_some(Event::ListingWanted { at, wanted: Wanted::default() });
                [page, Event::ListingEnded { conclusion }].into_iter().chain(second).collect()
            }
        }
    }

    fn concluded(&self, look: Look, step: Step, now: Timestamp) -> Conclusion {
        let Look { wanted, foreign, seen, .. } = look;
        let void = step == Step::Void || look.unreadable > 0;
        let listed = seen + u32::try_from(foreign.len()).unwrap_or(u32::MAX);
        let ours = foreign.values().filter(|likeness| **likeness != Likeness::None);
        let mut report = Reconciliation {
            at: now,
            listed,
            held: self.census().held(),
            foreign: u32::try_from(foreign.len()).unwrap_or(u32::MAX),
            foreign_like_ours: u32::try_from(ours.count()).unwrap_or(u32::MAX),
            foreign_births: foreign::births(foreign.values()),
            foreign_hints: foreign::hints(foreign.keys()),
            missing: 0,
            vanished_ready: 0,
            vanished_leased: 0,
            braked: false,
            void,
            dry_run: wanted.dry_run,
            cause: None,
        };
        let nothing = BTreeSet::new;
        if void {
            let (missing, vanished, braked) = (nothing(), nothing(), nothing());
            return Conclusion { report, missing, vanished, braked, foreign };
        }
        let absent: BTreeSet<_> =
            look.unseen.into_iter().filter(|sequence| self.should_be_there(*sequence)).collect();
        report.cause = self.suspected(&absent);
        let twice = now.since(self.listing.ended) >= self.policy.reconcile.listing_gap;
        let (gone, missing): (BTreeSet<_>, BTreeSet<_>) = absent.into_iter().partition(|at| {
            let missing_before = twice && self.listing.missing.contains(at);
            !wanted.dry_run && (missing_before || self.listing.braked.contains(at))
        });
        let ready = |at: &&Sequence| self.is_ready(**at);
        let vanished_ready = gone.iter().filter(ready).count();
        report.vanished_ready = u32::try_from(vanished_ready).unwrap_or(u32::MAX);
        report.vanished_leased = u32::try_from(gone.len() - vanished_ready).unwrap_or(u32::MAX);
        report.missing = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        report.braked = report.vanished_ready > self.brake();
        let (braked, vanished) = if report.braked {
            gone.into_iter().partition(|at| self.is_ready(*at))
        } else {
            (nothing(), gone)
        };
        Conclusion { report, missing, vanished, braked, foreign }
    }

    /// How many Ready tokens may be doomed at once because they vanished.
    fn brake(&self) -> u32 {
        let policy = &self.policy.reconcile;
        let part = f64::from(self.census().ready) * policy.brake_ratio;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a count of 32 bits"
        )]
        let part = part as u32;
        part.max(policy.brake_min)
    }

    pub(super) fn is_ready(&self, sequence: Sequence) -> bool {
        matches!(self.tokens.get(&sequence).map(|token| &token.stage), Some(Stage::Ready { .. }))
    }

    /// Whether ARGOS has no reason of its own to have forgotten it: a used token may be deleted over
    /// there by itself (contract 2).
    fn should_be_there(&self, sequence: Sequence) -> bool {
        match self.tokens.get(&sequence).map(|token| &token.stage) {
            Some(Stage::Ready { .. }) => true,
            Some(Stage::Leased(lease)) => lease.vanished.is_none(),
            Some(Stage::Minted { .. } | Stage::Doomed(_)) | None => false,
        }
    }

    /// What is written down of what has vanished, a step at a time.
    pub(super) fn vanishing(&self, now: Timestamp) -> impl Iterator<Item = Event> {
        self.listing.vanished.iter().map(move |sequence| {
            let sequence = *sequence;
            match self.tokens.get(&sequence).map(|token| &token.stage) {
                Some(Stage::Ready { .. }) => {
                    Event::Vanished { sequence, doom: Doom::new(DoomCause::Vanished, now, now) }
                }
                Some(Stage::Leased(lease)) if lease.vanished.is_none() => {
                    let lease = Lease { vanished: Some(now), ..Lease::clone(lease) };
                    Event::Told { sequence, lease: lease.into(), news: News::Vanished }
                }
                Some(Stage::Minted { .. } | Stage::Leased(_) | Stage::Doomed(_)) | None => {
                    Event::VanishedSettled { sequence }
                }
            }
        })
    }

    /// The tokens that may be missing when ARGOS counts fewer than it should: those that were Ready
    /// before it last counted right.
    pub(super) fn older_than_last_good_count(&self) -> Vec<Sequence> {
        let Some(good) = self.last_good_count else { return Vec::new() };
        let older = |sequence: &&Sequence| match self.tokens.get(sequence).map(|it| &it.stage) {
            Some(Stage::Ready { since }) => *since <= good,
            Some(Stage::Minted { .. } | Stage::Leased(_) | Stage::Doomed(_)) | None => false,
        };
        self.ready.iter().filter(older).copied().collect()
    }

    fn suspected(&self, absent: &BTreeSet<Sequence>) -> Option<SuspectedCause> {
        let youngest = absent.last()?;
        let there = |stage: &Stage| matches!(stage, Stage::Ready { .. } | Stage::Leased(_));
        let all = self.tokens.iter().filter(|(_, token)| there(&token.stage));
        let (older, younger): (Vec<_>, Vec<_>) = all.partition(|(at, _)| *at <= youngest);
        if younger.is_empty() && older.len() == absent.len() {
            return Some(SuspectedCause::Emptied);
        }
        // Used tokens among the oldest may have been passed over. Calls that are out together overtake
        // each other, so that the oldest over there need not be the oldest here; in a small pool that
        // would let any loss look like this, so all of it must be in the older half.
        let overtaken = self.policy.refill.tokens_in_flight() as usize;
        let nearly_all = absent.len() * 10 >= older.len() * 9;
        let but_for_order = older.len() <= absent.len() + overtaken && older.len() <= younger.len();
        let oldest = absent.len() >= PATTERN_MIN && (nearly_all || but_for_order);
        Some(if oldest { SuspectedCause::VolumeDeletion } else { SuspectedCause::DeletedElsewhere })
    }
}
