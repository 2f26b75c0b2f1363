//! Random histories against a naive world.
//!
//! The world knows what the pool cannot: what ARGOS holds, which copies of a call are still on their
//! way, and who was ever shown what. After every step the promises are judged from outside, and at the
//! end, with all faults gone, the pool must come to its target (R1) and be rid of what is doomed (C2).
//! A history that fails is printed as the list of its steps.

mod argos;
mod world;

use std::fmt;

use argospool::domain::{order::Attempt, pause::Activity, token::Decision};
use proptest::prelude::*;

use world::World;

/// What a history is made of.
#[derive(Clone, Debug)]
pub enum Step {
    /// Orders are planned and written down.
    Order,
    /// One token is ordered, to see how it fares.
    Trial,
    /// A token that may be Ready is not wanted any more.
    Discard(u8),
    /// A stop clears the pool, and the process goes on after all.
    Clear,
    /// One of the calls that the state asks for leaves.
    Call(u8),
    /// One of the calls that are out ends.
    Answer(u8, Answer),
    /// A copy of a call arrives that nobody waits for any more.
    LateCopy(u8),
    /// The caller wants a lease; the same number is the same request.
    Lease {
        caller: u8,
        request: Option<u8>,
    },
    /// Two leases or none.
    Batch {
        caller: u8,
        requests: [u8; 2],
    },
    Release(u8),
    Revoke(u8),
    /// The caller wants another token for the same wish.
    Replace {
        which: u8,
        request: u8,
    },
    Started(u8),
    Decided(u8, Decision),
    Exhausted(u8),
    Expires(u8, u16),
    /// Seconds go by.
    Pass(u16),
    Sweep,
    Forget,
    Count,
    /// All ids at ARGOS are to be listed.
    List,
    /// ARGOS loses one of our ids.
    Vanish(u8),
    /// A person looks at what vanished.
    AcceptLoss,
    /// Somebody else registers ids, or deletes them.
    Foreign(u8),
    Pause(Activity),
    Resume,
    /// The records are read again; calls that are out stay out.
    Reload,
    /// The process dies; what was on its way may arrive yet.
    Crash,
    Backup,
    /// The process dies, and its ledger is replaced by the backup.
    Restore,
}

/// How a call ends, where ARGOS has a choice.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// It arrives and is answered.
    Plain,
    /// It arrives, and its answer is lost.
    LostAfter,
    /// It does not arrive in time, and perhaps later.
    LostBefore,
    /// It arrives, is done by half, and the answer says nothing of use.
    Half,
    /// It certainly has no effect.
    Turned(Attempt),
}

/// Printed one step to a line, as a script to be replayed by hand.
struct History(Vec<Step>);

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "\n    Step::{step:?},"))
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        8 => Just(Answer::Plain),
        2 => Just(Answer::LostAfter),
        2 => Just(Answer::LostBefore),
        1 => Just(Answer::Half),
        1 => Just(Answer::Turned(Attempt::Refused)),
        1 => Just(Answer::Turned(Attempt::TooMany)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let decision = prop::sample::select(Decision::ALL.to_vec());
    let activity = prop::sample::select(Activity::ALL.to_vec());
    prop_oneof![
        8 => Just(Step::Order),
        1 => Just(Step::Trial),
        1 => any::<u8>().prop_map(Step::Discard),
        1 => Just(Step::Clear),
        12 => any::<u8>().prop_map(Step::Call),
        12 => (any::<u8>(), answer()).prop_map(|(which, answer)| Step::Answer(which, answer)),
        2 => any::<u8>().prop_map(Step::LateCopy),
        8 => (0..3_u8, prop::option::of(0..6_u8))
            .prop_map(|(caller, request)| Step::Lease { caller, request }),
        1 => (0..3_u8, [0..6_u8, 0..6_u8])
            .prop_map(|(caller, requests)| Step::Batch { caller, requests }),
        2 => any::<u8>().prop_map(Step::Release),
        1 => any::<u8>().prop_map(Step::Revoke),
        1 => (any::<u8>(), 6..9_u8).prop_map(|(which, request)| Step::Replace { which, request }),
        1 => any::<u8>().prop_map(Step::Exhausted),
        1 => (any::<u8>(), 0..900_u16).prop_map(|(which, seconds)| Step::Expires(which, seconds)),
        1 => Just(Step::List),
        1 => any::<u8>().prop_map(Step::Vanish),
        1 => Just(Step::AcceptLoss),
        1 => any::<u8>().prop_map(Step::Started),
        3 => (any::<u8>(), decision).prop_map(|(which, it)| Step::Decided(which, it)),
        6 => prop_oneof![0..10_u16, 0..150_u16, 0..2_000_u16].prop_map(Step::Pass),
        4 => Just(Step::Sweep),
        1 => Just(Step::Forget),
        1 => Just(Step::Count),
        1 => (0..12_u8).prop_map(Step::Foreign),
        1 => activity.prop_map(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::Reload),
        1 => Just(Step::Crash),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
    ]
}

fn history() -> impl Strategy<Value = History> {
    prop::collection::vec(step(), 1..160).prop_map(History)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// L1, L2, L3, B1, B2, B3, C1, C2, R1, J2, U1. `PROPTEST_CASES` asks for more histories.
    #[test]
    fn no_history_breaks_a_promise(history in history()) {
        let mut world = World::new();
        for step in &history.0 {
            world.take(step);
            world.judge();
        }
        world.calm_down();
    }
}
