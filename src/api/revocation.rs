//! Killing links: one, one for another, and many at once.
//!
//! Who revoked what, and the reason given, goes to the log and nowhere else. A revocation costs no
//! quota: whatever the pool and its callers are up to, a link can be killed.

use super::{
    convert::{self, Secrets},
    desk::Visit,
    listing::Filter,
    proto::{self, LeaseState},
    status::Failure,
    token_pool::lease_not_found,
    validate::{self, Faults, Wish},
};
use crate::{
    domain::{
        fault::Reason,
        ids::{Owner, Sequence},
        pool::Replacement,
    },
    engine::{LeaseView, Rejection, Which},
};

/// Leases that are looked at in one step of a bulk revocation.
const STEP: usize = 500;

pub(super) async fn revoke(
    visit: &Visit<'_>,
    request: proto::RevokeLeaseRequest,
) -> Result<proto::RevokeLeaseResponse, Failure> {
    let seal = visit.handle.seal();
    let mut faults = Faults::default();
    let sequence = validate::lease_id(&request.lease_id, seal, &mut faults);
    let wait = validate::wait(request.wait, visit.rules, visit.metadata, &mut faults);
    validate::reason(&request.reason, seal, &mut faults);
    let id = validate::request_id(&request.request_id, "request_id", &mut faults);
    faults.check()?;
    let sequence = sequence.ok_or_else(lease_not_found)?;
    let repeatable = id.map(|id| {
        let mut wish = Wish::new("RevokeLease");
        wish.number(sequence.get());
        visit.asker().request(id, &wish)
    });
    let revoked = visit.handle.revoke(sequence, owner(visit), repeatable).await;
    let mut view = revoked.map_err(about_lease)?;
    tracing::info!(
        project = %visit.handle.project(),
        by = visit.caller.owner().as_str(),
        lease = %seal.lease_id(sequence),
        reason = request.reason,
        "lease revoked"
    );
    if !wait.is_zero() {
        view = visit.handle.when_dead(view.sequence(), wait).await?;
    }
    let lease = convert::lease(visit.handle, &view, Secrets::Hidden);
    Ok(proto::RevokeLeaseResponse { lease: Some(lease) })
}

pub(super) async fn replace(
    visit: &Visit<'_>,
    request: proto::ReplaceLeaseRequest,
) -> Result<proto::ReplaceLeaseResponse, Failure> {
    let mut faults = Faults::default();
    let sequence = validate::lease_id(&request.lease_id, visit.handle.seal(), &mut faults);
    let id = validate::request_id(&request.request_id, "request_id", &mut faults);
    let ttl_asked = validate::duration(request.ttl, "ttl", &mut faults);
    let ttl = validate::ttl(ttl_asked, visit.rules, "", &mut faults);
    let wait = validate::wait(request.wait, visit.rules, visit.metadata, &mut faults);
    faults.check()?;
    let sequence = sequence.ok_or_else(lease_not_found)?;
    visit.caller.spend(1)?;
    let repeatable = id.map(|id| {
        let mut wish = Wish::new("ReplaceLease");
        wish.number(sequence.get());
        wish.duration(ttl_asked);
        visit.asker().request(id, &wish)
    });
    let replacement = Replacement { ttl, blank: visit.rules.links.blank() };
    let answer = visit.handle.replace(sequence, owner(visit), repeatable, replacement, wait).await;
    let (next, replaced) = match answer {
        Ok(both) => both,
        Err(rejection) if rejection.reason == Reason::LeaseReplaced => {
            let successor = successor(visit, sequence).await?;
            let successor = successor.map(|successor| visit.handle.seal().lease_id(successor));
            return Err(Failure::from(rejection).succeeded_by(successor));
        }
        Err(rejection) => return Err(about_lease(rejection)),
    };
    // An admin may replace what another owns, and is shown that link only if its word is vouched for.
    let holder = convert::owner(&next);
    let shown = holder == Some(visit.caller.owner()) || visit.caller.is_shown(holder);
    let secrets = if shown { Secrets::Shown } else { Secrets::Hidden };
    Ok(proto::ReplaceLeaseResponse {
        lease: Some(convert::lease(visit.handle, &next, secrets)),
        replaced: Some(convert::lease(visit.handle, &replaced, Secrets::Hidden)),
    })
}

/// Revokes what a filter keeps, a page at a time. Leases that are given meanwhile are left alone, so
/// that it ends.
pub(super) async fn revoke_many(
    visit: &Visit<'_>,
    request: proto::RevokeLeasesRequest,
) -> Result<proto::RevokeLeasesResponse, Failure> {
    let seal = visit.handle.seal();
    let asked = request.filter.unwrap_or_default();
    let mut faults = Faults::default();
    for (number, state) in asked.states.iter().enumerate() {
        if *state == i32::from(LeaseState::Closed) {
            faults.add(format!("filter.states[{number}]"), "must be that of an open lease");
        }
    }
    for (field, unset) in
        [("endings", asked.endings.is_empty()), ("decisions", asked.decisions.is_empty())]
    {
        if !unset {
            faults.add(format!("filter.{field}"), "must be empty: only open leases are revoked");
        }
    }
    let filter = Filter::read(asked, &mut faults);
    if filter.is_empty() {
        let rule = "must not be empty; to revoke all open leases name both of their states";
        faults.add("filter", rule);
    }
    validate::reason(&request.reason, seal, &mut faults);
    faults.check()?;

    let began = visit.handle.status().await?.now;
    let (mut matched, mut revoked) = (0, 0);
    let mut next = Some(Sequence::ZERO);
    while let Some(from) = next {
        let page = visit.handle.leases(from, STEP).await?;
        next = page.next;
        let mut some = Vec::new();
        let mut any_old = page.items.is_empty();
        for view in &page.items {
            let LeaseView::Open { sequence, lease, .. } = view else {
                any_old = true;
                continue;
            };
            any_old |= lease.issued <= began;
            if lease.issued <= began && filter.keeps(view) {
                some.push(*sequence);
            }
        }
        matched += some.len();
        if !request.dry_run && !some.is_empty() {
            revoked += visit.handle.revoke_all(some).await?;
        }
        if !any_old {
            break;
        }
    }
    if !request.dry_run {
        tracing::info!(
            project = %visit.handle.project(),
            by = visit.caller.owner().as_str(),
            matched,
            revoked,
            reason = request.reason,
            "leases revoked"
        );
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(proto::RevokeLeasesResponse {
        matched_leases: count(matched),
        revoked_leases: count(revoked),
    })
}

/// Whose leases the caller may close; `None` is an admin.
fn owner(visit: &Visit<'_>) -> Option<Owner> {
    (!visit.caller.is_admin()).then(|| visit.caller.owner().clone())
}

async fn successor(visit: &Visit<'_>, sequence: Sequence) -> Result<Option<Sequence>, Failure> {
    Ok(match visit.handle.find(Which::Sequence(sequence)).await? {
        Some(LeaseView::Closed(line)) => line.replaced_by,
        Some(LeaseView::Open { .. }) | None => None,
    })
}

/// The same words for a lease that is another's, and one that never was (P2).
fn about_lease(rejection: Rejection) -> Failure {
    if rejection.reason == Reason::LeaseNotFound { lease_not_found() } else { rejection.into() }
}
