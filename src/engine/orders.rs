//! What is ordered: by the plan, or one token for a trial.

use std::collections::BTreeSet;

use super::{Engine, turn::Turn};
use crate::domain::{
    ids::{OrderId, Sequence},
    order::OrderState,
    pool::{Command, Pool, Refusal, Reply},
    refill::Hindrance,
    seal::Salt,
    time::Timestamp,
    token::{Doom, DoomCause, Stage, Token},
};

impl Engine {
    /// What the shell knows against ordering more.
    pub(super) fn hindrance(&self) -> Option<Hindrance> {
        if self.stopping {
            Some(Hindrance::Stopping)
        } else if self.usage.free_bytes < self.settings.free_space_min {
            Some(Hindrance::DiskSpace)
        } else {
            None
        }
    }

    /// Writes down a new order, so that it is durable before its call leaves (B2), and withdraws those that
    /// do not fit any more (C1). One order a turn: hundreds of new ids keep the callers of the same turn
    /// waiting, and calls that leave one after the other are answered so. True: the plan wants more.
    pub(super) fn mint(&mut self, now: Timestamp, turn: &mut Turn) -> bool {
        if self.trials.is_some() {
            return false;
        }
        let orders = self.pool.misfits(&self.under_way);
        if !orders.is_empty() {
            let _ = self.decide(&Command::Withdraw { orders }, now, turn);
        }
        let limit = self.supplier.health().batch_limit;
        let plan = self.pool.plan(now, self.hindrance(), limit);
        if plan.orders > 0 {
            let salts = self.salts(plan.batch);
            let _ = self.decide(&Command::Mint { salts }, now, turn);
        }
        plan.orders > 1
    }

    /// Orders one token beyond the plan.
    pub(super) fn begin_trial(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<Reply, Refusal> {
        let (salt, hindrance) = (self.salt(), self.hindrance());
        let reply = self.decide(&Command::Trial { salt, hindrance }, now, turn)?;
        if let (Reply::Minted(sequence), Some(trials)) = (&reply, &mut self.trials) {
            trials.insert(*sequence);
        }
        Ok(reply)
    }

    /// Takes the token of a trial out of use, or forgets it if nobody can have heard of it.
    pub(super) fn end_trial(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<Reply, Refusal> {
        let order = OrderId(sequence);
        let state = self.pool.order(order).map(|order| &order.state);
        let undoubted = matches!(state, Some(OrderState::Open { doubt: None, .. }));
        let command = if undoubted && !self.under_way.orders.contains(&order) {
            Command::Withdraw { orders: vec![order] }
        } else {
            Command::Discard { sequence }
        };
        self.decide(&command, now, turn)
    }

    /// Does what is due because of time.
    pub(super) fn sweep(&mut self, now: Timestamp, turn: &mut Turn) {
        match self.trials.clone() {
            None if self.pool.sweep_due(now) => {
                let _ = self.decide(&Command::Sweep, now, turn);
            }
            None => (),
            Some(trials) => {
                for sequence in trials {
                    let _ = self.decide(&Command::Ripen { order: OrderId(sequence) }, now, turn);
                }
            }
        }
    }

    fn salt(&mut self) -> Salt {
        let mut salt = Salt::default();
        self.entropy.fill(&mut salt);
        salt
    }

    /// So many, drawn at once: each draw is a call of the system.
    fn salts(&mut self, count: u32) -> Vec<Salt> {
        let mut salts = vec![Salt::default(); count as usize];
        self.entropy.fill(salts.as_flattened_mut());
        salts
    }
}

/// What is left of the trials of a process that died. An order of one token looks like one, and is
/// finished, because until then a count takes its token for somebody else's.
pub(super) fn left_over(pool: &Pool) -> BTreeSet<Sequence> {
    let orders = pool.orders().filter(|order| order.tokens == 1).map(|order| order.id.0);
    let discarded = |token: &&Token| {
        matches!(token.stage, Stage::Doomed(Doom { cause: DoomCause::Discarded, .. }))
    };
    let doomed = pool.tokens_from(Sequence::ZERO).filter(discarded).map(|token| token.sequence);
    orders.chain(doomed).collect()
}
