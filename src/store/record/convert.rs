//! Between the domain's types and their durable form.

use std::sync::Arc;

use super::{
    DoomRecord, DoubtRecord, GrantRecord, IdentityRecord, LeaseRecord, LineRecord, OpenRecord,
    OrderRecord, OrderStateRecord, PauseRecord, RecordError, RequestRecord, StageRecord,
    StartedRecord, SubmissionRecord, TokenRecord, ToldRecord,
};
use crate::domain::{
    ids::{OrderId, Owner, RequestId, Revision, Sequence, SubmissionId, TokenId},
    liveform::Params,
    order::{Doubt, Order, OrderState},
    pause::{Activity, Pause},
    seal::{Digest, LedgerIdentity, RequestKey},
    submission::{Said, Submission, Submissions, Told},
    time::Timestamp,
    token::{
        ClosedLease, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage, Started, Token,
    },
};

type Converted<T> = Result<T, RecordError>;

impl From<&Token> for TokenRecord {
    fn from(token: &Token) -> Self {
        Self {
            sequence: token.sequence.get(),
            id: token.id.expose().to_owned(),
            minted: token.minted.as_millis(),
            revision: token.revision.0,
            stage: Some(match &token.stage {
                Stage::Minted { order } => StageRecord::Minted(order.0.get()),
                Stage::Ready { since } => StageRecord::Ready(since.as_millis()),
                Stage::Leased(lease) => StageRecord::Leased(Box::new(lease.as_ref().into())),
                Stage::Doomed(doom) => StageRecord::Doomed(doom.into()),
            }),
        }
    }
}

impl TryFrom<TokenRecord> for Token {
    type Error = RecordError;

    fn try_from(record: TokenRecord) -> Converted<Self> {
        Ok(Self {
            sequence: sequence(record.sequence)?,
            id: TokenId::parse(&record.id)?,
            minted: time(record.minted),
            revision: Revision(record.revision),
            stage: match record.stage.ok_or(RecordError::Missing("stage"))? {
                StageRecord::Minted(order) => Stage::Minted { order: OrderId(sequence(order)?) },
                StageRecord::Ready(since) => Stage::Ready { since: time(since) },
                StageRecord::Leased(lease) => Stage::Leased(Arc::new((*lease).try_into()?)),
                StageRecord::Doomed(doom) => Stage::Doomed(doom.try_into()?),
            },
        })
    }
}

impl From<&Lease> for LeaseRecord {
    fn from(lease: &Lease) -> Self {
        let (grant, url, sealed) = match &lease.holder {
            Holder::Caller { grant, url, sealed } => {
                (Some(grant.into()), url.to_string(), sealed.to_string())
            }
            Holder::Presumed => (None, String::new(), String::new()),
        };
        Self {
            issued: lease.issued.as_millis(),
            deadline: lease.deadline.as_millis(),
            started: lease.started.as_ref().map(Into::into),
            grant,
            url,
            expires: lease.expires.map(Timestamp::as_millis),
            submissions: lease.submissions.iter().map(Into::into).collect(),
            vanished: lease.vanished.map(Timestamp::as_millis),
            replaces: lease.replaces.map(Sequence::get),
            correlated: lease.correlated,
            sealed,
        }
    }
}

impl TryFrom<LeaseRecord> for Lease {
    type Error = RecordError;

    fn try_from(record: LeaseRecord) -> Converted<Self> {
        Ok(Self {
            issued: time(record.issued),
            deadline: time(record.deadline),
            expires: record.expires.map(time),
            started: record.started.map(Into::into),
            submissions: submissions(record.submissions)?,
            vanished: record.vanished.map(time),
            replaces: record.replaces.map(sequence).transpose()?,
            correlated: record.correlated,
            holder: match record.grant {
                Some(grant) => Holder::Caller {
                    grant: grant.try_into()?,
                    url: record.url.into(),
                    sealed: envelope(record.sealed)?,
                },
                None => Holder::Presumed,
            },
        })
    }
}

/// What the envelope of a link says, as far as it can be read again.
fn envelope(text: String) -> Converted<Box<str>> {
    Params::from_text(&text).map_err(|_| RecordError::Malformed("envelope of a link"))?;
    Ok(text.into())
}

impl From<&Grant> for GrantRecord {
    fn from(grant: &Grant) -> Self {
        Self {
            owner: grant.owner.as_str().to_owned(),
            request: grant.request.as_ref().map(Into::into),
            labels: grant.labels.clone(),
        }
    }
}

impl TryFrom<GrantRecord> for Grant {
    type Error = RecordError;

    fn try_from(record: GrantRecord) -> Converted<Self> {
        Ok(Self {
            owner: Owner::parse(&record.owner)?,
            request: record.request.map(TryInto::try_into).transpose()?,
            labels: record.labels,
        })
    }
}

impl From<&Request> for RequestRecord {
    fn from(request: &Request) -> Self {
        Self {
            id: request.id.0.to_be_bytes().to_vec(),
            key: request.key.0.to_be_bytes().to_vec(),
            digest: request.digest.0,
        }
    }
}

impl TryFrom<RequestRecord> for Request {
    type Error = RecordError;

    fn try_from(record: RequestRecord) -> Converted<Self> {
        Ok(Self {
            id: RequestId(u128::from_be_bytes(bytes(&record.id, "request id")?)),
            key: RequestKey(u128::from_be_bytes(bytes(&record.key, "request key")?)),
            digest: Digest(record.digest),
        })
    }
}

impl From<&Started> for StartedRecord {
    fn from(started: &Started) -> Self {
        Self {
            at: started.at.as_millis(),
            entry_ends: started.entry_ends.as_millis(),
            session_ends: started.session_ends.as_millis(),
        }
    }
}

impl From<StartedRecord> for Started {
    fn from(record: StartedRecord) -> Self {
        Self {
            at: time(record.at),
            entry_ends: time(record.entry_ends),
            session_ends: time(record.session_ends),
        }
    }
}

impl From<&Submission> for SubmissionRecord {
    fn from(submission: &Submission) -> Self {
        let told =
            |told: Told| ToldRecord { at: told.at.as_millis(), said: u32::from(told.said.bits()) };
        Self {
            id: submission.id.as_ref().map(|id| id.as_str().to_owned()),
            dated: submission.dated.map(told),
            undated: submission.undated.map(told),
        }
    }
}

impl TryFrom<SubmissionRecord> for Submission {
    type Error = RecordError;

    fn try_from(record: SubmissionRecord) -> Converted<Self> {
        Ok(Self {
            id: record.id.map(|id| SubmissionId::parse(&id)).transpose()?,
            dated: record.dated.map(told).transpose()?,
            undated: record.undated.map(told).transpose()?,
        })
    }
}

impl From<&Doom> for DoomRecord {
    fn from(doom: &Doom) -> Self {
        Self {
            cause: match doom.cause {
                DoomCause::Cancelled => 1,
                DoomCause::Aged => 2,
                DoomCause::LeaseClosed => 3,
                DoomCause::Vanished => 4,
                DoomCause::Discarded => 5,
            },
            since: doom.since.as_millis(),
            not_before: doom.not_before.as_millis(),
            attempts: doom.attempts,
            urgent: doom.urgent,
        }
    }
}

impl TryFrom<DoomRecord> for Doom {
    type Error = RecordError;

    fn try_from(record: DoomRecord) -> Converted<Self> {
        Ok(Self {
            cause: match record.cause {
                1 => DoomCause::Cancelled,
                2 => DoomCause::Aged,
                3 => DoomCause::LeaseClosed,
                4 => DoomCause::Vanished,
                5 => DoomCause::Discarded,
                number => return Err(RecordError::Newer { what: "doom cause", number }),
            },
            since: time(record.since),
            not_before: time(record.not_before),
            attempts: record.attempts,
            urgent: record.urgent,
        })
    }
}

impl From<&Order> for OrderRecord {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id.0.get(),
            tokens: order.tokens,
            minted: order.minted.as_millis(),
            revision: order.revision.0,
            state: Some(match &order.state {
                OrderState::Open { not_before, doubt } => OrderStateRecord::Open(OpenRecord {
                    not_before: not_before.as_millis(),
                    doubt: doubt.as_ref().map(|doubt| DoubtRecord {
                        since: doubt.since.as_millis(),
                        unanswered: doubt.unanswered.map(Timestamp::as_millis),
                        attempts: doubt.attempts,
                    }),
                }),
                OrderState::Settled { ripe } => OrderStateRecord::Settled(ripe.as_millis()),
            }),
        }
    }
}

impl TryFrom<OrderRecord> for Order {
    type Error = RecordError;

    fn try_from(record: OrderRecord) -> Converted<Self> {
        Ok(Self {
            id: OrderId(sequence(record.id)?),
            tokens: record.tokens,
            minted: time(record.minted),
            revision: Revision(record.revision),
            state: match record.state.ok_or(RecordError::Missing("order state"))? {
                OrderStateRecord::Open(open) => OrderState::Open {
                    not_before: time(open.not_before),
                    doubt: open.doubt.map(|doubt| Doubt {
                        since: time(doubt.since),
                        unanswered: doubt.unanswered.map(time),
                        attempts: doubt.attempts,
                    }),
                },
                OrderStateRecord::Settled(ripe) => OrderState::Settled { ripe: time(ripe) },
            },
        })
    }
}

impl From<&(Activity, Pause)> for PauseRecord {
    fn from((activity, pause): &(Activity, Pause)) -> Self {
        Self {
            activity: activity_number(*activity),
            reason: pause.reason.clone(),
            by: pause.by.clone(),
            since: pause.since.as_millis(),
        }
    }
}

impl TryFrom<PauseRecord> for (Activity, Pause) {
    type Error = RecordError;

    fn try_from(record: PauseRecord) -> Converted<Self> {
        let activity = match record.activity {
            1 => Activity::Leasing,
            2 => Activity::Refill,
            3 => Activity::Purge,
            number => return Err(RecordError::Newer { what: "activity", number }),
        };
        Ok((activity, Pause { reason: record.reason, by: record.by, since: time(record.since) }))
    }
}

pub(in crate::store) fn activity_number(activity: Activity) -> i32 {
    match activity {
        Activity::Leasing => 1,
        Activity::Refill => 2,
        Activity::Purge => 3,
    }
}

impl From<&ClosedLease> for LineRecord {
    fn from(line: &ClosedLease) -> Self {
        Self {
            sequence: line.sequence.get(),
            revision: line.revision.0,
            issued: line.issued.as_millis(),
            deadline: line.deadline.as_millis(),
            started: line.started.as_ref().map(Into::into),
            closed: line.closed.as_millis(),
            ending: match line.ending {
                Ending::Decided => 1,
                Ending::Expired => 2,
                Ending::Lapsed => 3,
                Ending::Released => 4,
                Ending::Revoked => 5,
                Ending::Replaced => 6,
            },
            grant: line.grant.as_ref().map(Into::into),
            closer: line.closer.as_ref().map(Into::into),
            submissions: line.submissions.iter().map(Into::into).collect(),
            vanished: line.vanished.map(Timestamp::as_millis),
            link_dead: line.link_dead.map(Timestamp::as_millis),
            replaces: line.replaces.map(Sequence::get),
            replaced_by: line.replaced_by.map(Sequence::get),
            correlated: line.correlated,
        }
    }
}

impl TryFrom<LineRecord> for ClosedLease {
    type Error = RecordError;

    fn try_from(record: LineRecord) -> Converted<Self> {
        Ok(Self {
            sequence: sequence(record.sequence)?,
            revision: Revision(record.revision),
            issued: time(record.issued),
            deadline: time(record.deadline),
            started: record.started.map(Into::into),
            closed: time(record.closed),
            ending: match record.ending {
                1 => Ending::Decided,
                2 => Ending::Expired,
                3 => Ending::Lapsed,
                4 => Ending::Released,
                5 => Ending::Revoked,
                6 => Ending::Replaced,
                number => return Err(RecordError::Newer { what: "ending", number }),
            },
            grant: record.grant.map(TryInto::try_into).transpose()?,
            closer: record.closer.map(TryInto::try_into).transpose()?,
            submissions: submissions(record.submissions)?,
            vanished: record.vanished.map(time),
            link_dead: record.link_dead.map(time),
            replaces: record.replaces.map(sequence).transpose()?,
            replaced_by: record.replaced_by.map(sequence).transpose()?,
            correlated: record.correlated,
        })
    }
}

impl From<&LedgerIdentity> for IdentityRecord {
    fn from(identity: &LedgerIdentity) -> Self {
        Self {
            id: identity.id.to_be_bytes().to_vec(),
            tag: identity.tag.to_vec(),
            id_key: identity.id_key.to_vec(),
            digest_key: identity.digest_key.to_vec(),
        }
    }
}

impl TryFrom<IdentityRecord> for LedgerIdentity {
    type Error = RecordError;

    fn try_from(record: IdentityRecord) -> Converted<Self> {
        Ok(Self {
            id: u128::from_be_bytes(bytes(&record.id, "ledger id")?),
            tag: bytes(&record.tag, "ledger tag")?,
            id_key: bytes(&record.id_key, "id key")?,
            digest_key: bytes(&record.digest_key, "digest key")?,
        })
    }
}

fn submissions(records: Vec<SubmissionRecord>) -> Converted<Submissions> {
    let submissions: Converted<Vec<_>> = records.into_iter().map(TryInto::try_into).collect();
    Ok(Submissions::restored(submissions?))
}

fn told(record: ToldRecord) -> Converted<Told> {
    let newer = || RecordError::Newer { what: "decision", number: record.said.cast_signed() };
    let bits = u8::try_from(record.said).map_err(|_| newer())?;
    Ok(Told { at: time(record.at), said: Said::from_bits(bits).ok_or_else(newer)? })
}

pub(in crate::store) fn sequence(number: u64) -> Converted<Sequence> {
    if number > Sequence::MAX.get() {
        return Err(RecordError::Malformed("sequence"));
    }
    Ok(Sequence::new(number))
}

fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn bytes<const N: usize>(bytes: &[u8], what: &'static str) -> Converted<[u8; N]> {
    bytes.try_into().map_err(|_| RecordError::Malformed(what))
}
