//! Pages of leases: what a listing is narrowed to, and how far it looks for one page.

use std::collections::BTreeSet;

use super::{
    auth::Caller,
    convert,
    proto::{self, LeaseEnding, LeaseState},
    validate::{self, Faults},
};
use crate::{
    domain::{
        fault::Reason,
        ids::{Owner, Sequence},
        time::Timestamp,
        token::{Holder, Labels},
    },
    engine::{Handle, LeaseView, Page, Rejection},
};

/// Leases that one page looks at. A filter that keeps little gives short pages instead of long waits.
const LOOKED_AT_MAX: usize = 5_000;
/// Leases that are read at a time.
const STEP: usize = 500;

/// What a listing is narrowed to. An empty part narrows nothing.
#[derive(Debug, Default)]
pub(super) struct Filter {
    states: BTreeSet<i32>,
    endings: BTreeSet<i32>,
    decisions: BTreeSet<i32>,
    owner: String,
    labels: Labels,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
}

impl Filter {
    pub(super) fn read(asked: proto::LeaseFilter, faults: &mut Faults) -> Self {
        let known =
            |field: &str, values: Vec<i32>, is_known: fn(i32) -> bool, faults: &mut Faults| {
                for (number, value) in values.iter().enumerate() {
                    if !is_known(*value) {
                        faults.add(format!("filter.{field}[{number}]"), "must be a named value");
                    }
                }
                values.into_iter().collect::<BTreeSet<_>>()
            };
        let state = |value| value != 0 && LeaseState::try_from(value).is_ok();
        let ending = |value| value != 0 && LeaseEnding::try_from(value).is_ok();
        // Its zero has a meaning of its own: none yet.
        let decision = |value| proto::Decision::try_from(value).is_ok();
        Self {
            states: known("states", asked.states, state, faults),
            endings: known("endings", asked.endings, ending, faults),
            decisions: known("decisions", asked.decisions, decision, faults),
            owner: asked.owner,
            labels: asked.labels,
            created_after: validate::timestamp(asked.created_after, "filter.created_after", faults),
            created_before: validate::timestamp(
                asked.created_before,
                "filter.created_before",
                faults,
            ),
        }
    }

    /// Whether it narrows nothing.
    pub(super) fn is_empty(&self) -> bool {
        let Self { states, endings, decisions, owner, labels, created_after, created_before } =
            self;
        states.is_empty()
            && endings.is_empty()
            && decisions.is_empty()
            && owner.is_empty()
            && labels.is_empty()
            && created_after.is_none()
            && created_before.is_none()
    }

    /// The same for this caller: a caller lists its own leases, an admin everybody's.
    pub(super) fn of(mut self, caller: &Caller) -> Result<Self, Rejection> {
        let own = caller.owner().as_str();
        if self.owner.is_empty() && !caller.is_admin() {
            own.clone_into(&mut self.owner);
        }
        if self.owner != own && !caller.is_admin() {
            let message = "the leases of other owners need the role admin";
            return Err(Rejection::new(Reason::NotAllowed, message));
        }
        Ok(self)
    }

    pub(super) fn keeps(&self, view: &LeaseView) -> bool {
        let (state, ending, decided) = match view {
            LeaseView::Open { lease, .. } => {
                let state =
                    lease.started.as_ref().map_or(LeaseState::Issued, |_| LeaseState::Started);
                (state, LeaseEnding::Unspecified, lease.submissions.decided())
            }
            LeaseView::Closed(line) => {
                (LeaseState::Closed, convert::ending(line.ending), line.decided())
            }
        };
        let decision = convert::decision(decided.map(|decided| decided.decision));
        let (labels, issued) = match view {
            LeaseView::Open { lease, .. } => match &lease.holder {
                Holder::Caller { grant, .. } => (Some(&grant.labels), lease.issued),
                Holder::Presumed => (None, lease.issued),
            },
            LeaseView::Closed(line) => {
                (line.grant.as_ref().map(|grant| &grant.labels), line.issued)
            }
        };
        let among = |set: &BTreeSet<i32>, value: i32| set.is_empty() || set.contains(&value);
        let labelled = |(key, value): (&String, &String)| {
            labels.is_some_and(|labels| labels.get(key) == Some(value))
        };
        among(&self.states, state.into())
            && among(&self.endings, ending.into())
            && among(&self.decisions, decision.into())
            && (self.owner.is_empty()
                || convert::owner(view).map(Owner::as_str) == Some(self.owner.as_str()))
            && self.labels.iter().all(labelled)
            && self.created_after.is_none_or(|after| issued >= after)
            && self.created_before.is_none_or(|before| issued < before)
    }
}

/// One page of the leases that the filter keeps.
pub(super) async fn leases(
    handle: &Handle,
    from: Sequence,
    size: usize,
    filter: &Filter,
) -> Result<Page<LeaseView>, Rejection> {
    let mut items = Vec::new();
    let mut next = Some(from);
    let mut looked_at = 0;
    while let Some(from) = next
        && looked_at < LOOKED_AT_MAX
    {
        let step = handle.leases(from, STEP).await?;
        looked_at += STEP;
        next = step.next;
        for view in step.items {
            if items.len() == size {
                return Ok(Page { items, next: Some(view.sequence()) });
            }
            if filter.keeps(&view) {
                items.push(view);
            }
        }
    }
    Ok(Page { items, next })
}
