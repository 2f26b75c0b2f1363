//! How a refusal looks on the wire: the only file that names a gRPC code.
//!
//! Every error of ours carries exactly one ErrorInfo of the domain `argospool`. What is worth
//! repeating carries a RetryInfo, and the same delay in the header that gRPC clients obey by
//! themselves; what waiting does not cure tells them to stop.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, codegen::http::HeaderMap, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, QuotaViolation, StatusExt as _};

use crate::{
    domain::{
        fault::{Kind, Reason},
        ids::{LeaseId, Owner, ProjectName},
        liveform::Violation,
    },
    engine::Rejection,
};

const DOMAIN: &str = "argospool";
/// Of gRPC's own retries; negative: do not.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// Stands where an answer has no reason.
pub(super) const NO_REASON: &str = "none";

/// Why a request failed, with everything its answer may tell.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    rejection: Rejection,
    violations: Vec<Violation>,
    project: Option<ProjectName>,
    owner: Option<Owner>,
    successor: Option<LeaseId>,
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, violations: Vec::new(), project: None, owner: None, successor: None }
    }
}

impl Failure {
    /// A request with these fields at fault.
    pub(super) fn invalid(violations: Vec<Violation>) -> Self {
        debug_assert!(!violations.is_empty());
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        // A batch can have a thousand of them; the details carry all.
        let named = fields.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if fields.len() > 5 { " and more" } else { "" };
        let message = format!("invalid request: {named}{more}");
        let rejection = Rejection::new(Reason::InvalidRequest, message);
        Self { violations, ..rejection.into() }
    }

    #[must_use]
    pub(super) fn about(mut self, project: &ProjectName, owner: &Owner) -> Self {
        self.project = Some(project.clone());
        self.owner = Some(owner.clone());
        self
    }

    /// With the lease that took the place of the one in question.
    #[must_use]
    pub(super) fn succeeded_by(mut self, successor: Option<LeaseId>) -> Self {
        self.successor = successor;
        self
    }

    pub(super) fn reason(&self) -> Reason {
        self.rejection.reason
    }

    pub(super) fn into_status(self) -> Status {
        let Self { rejection, violations, project, owner, successor } = self;
        let Rejection { reason, message, retry_after } = rejection;
        let mut metadata = HashMap::new();
        if let Some(project) = &project {
            metadata.insert("project".to_owned(), project.as_str().to_owned());
        }
        if let Some(successor) = &successor {
            metadata.insert("replaced_by_lease_id".to_owned(), successor.to_string());
        }
        let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
        if let Some(span) = retry_after {
            details.set_retry_info(Some(span));
        }
        let subject = if reason == Reason::CapReached {
            project.map(|project| format!("project:{project}"))
        } else if reason == Reason::CallerQuota {
            owner.map(|owner| format!("caller:{}", owner.as_str()))
        } else {
            None
        };
        if let Some(subject) = subject {
            details.set_quota_failure(vec![QuotaViolation::new(subject, message.to_string())]);
        }
        if !violations.is_empty() {
            let fields = violations.into_iter().map(|one| FieldViolation::new(one.field, one.rule));
            details.set_bad_request(fields.collect::<Vec<_>>());
        }
        let mut status = Status::with_error_details(code(reason), message.to_string(), details);
        let pushback = match retry_after {
            Some(span) => Some(millis(span)),
            None => (reason.kind() == Kind::Exhausted).then_some(-1),
        };
        if let Some(pushback) = pushback {
            status.metadata_mut().insert(PUSHBACK, MetadataValue::from(pushback));
        }
        status
    }
}

/// What a handler that panicked answers.
pub(super) fn panicked() -> Status {
    Failure::from(Rejection::new(Reason::Internal, "internal error")).into_status()
}

/// The metric labels of an answer: its code, and its reason.
pub(super) fn labels(reason: Option<Reason>) -> (&'static str, &'static str) {
    match reason {
        None => (label(Code::Ok), NO_REASON),
        Some(reason) => (label(code(reason)), reason.label()),
    }
}

/// Every pair that [`labels`] can give.
pub(super) fn all_labels() -> Vec<(&'static str, &'static str)> {
    [None].into_iter().chain(Reason::ALL.iter().copied().map(Some)).map(labels).collect()
}

/// Every value that [`label_of`] can give.
pub(super) fn all_codes() -> Vec<&'static str> {
    (0..=16).map(|number| label(Code::from_i32(number))).collect()
}

/// The metric label of a code as the header `grpc-status` carries it.
pub(super) fn label_of(header: &[u8]) -> &'static str {
    label(Code::from_bytes(header))
}

/// The reason in the headers that end an answer, as the metric label has it.
pub(super) fn reason_of(headers: &HeaderMap) -> &'static str {
    let status = Status::from_header_map(headers);
    let info = status.and_then(|status| status.get_details_error_info());
    let reason = info
        .and_then(|info| Reason::ALL.iter().copied().find(|reason| reason.as_str() == info.reason));
    reason.map_or(NO_REASON, Reason::label)
}

/// Of an answer that never said how it ended: the caller went away.
pub(super) fn label_of_abandoned() -> &'static str {
    label(Code::Cancelled)
}

fn code(reason: Reason) -> Code {
    match reason.kind() {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::Reused => Code::AlreadyExists,
        Kind::OutOfRange => Code::OutOfRange,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unidentified => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::Unavailable => Code::Unavailable,
        // Not ABORTED and not UNAVAILABLE, which clients repeat without a request_id.
        Kind::Doubtful => Code::Unknown,
        Kind::Bug => Code::Internal,
    }
}

/// As the gRPC libraries of Go spell codes in their metrics.
fn label(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_code() {
        let expected = [
            ("POOL_EMPTY", Code::ResourceExhausted),
            ("CAP_REACHED", Code::ResourceExhausted),
            ("MAILBOX_FULL", Code::ResourceExhausted),
            ("WAITING_FULL", Code::ResourceExhausted),
            ("CALLER_QUOTA", Code::ResourceExhausted),
            ("INVALID_REQUEST", Code::InvalidArgument),
            ("REQUEST_ID_REUSED", Code::AlreadyExists),
            ("PROJECT_NOT_FOUND", Code::NotFound),
            ("LEASE_NOT_FOUND", Code::NotFound),
            ("LEASE_STARTED", Code::FailedPrecondition),
            ("LEASE_CLOSED", Code::FailedPrecondition),
            ("NOT_LISTED", Code::FailedPrecondition),
            ("LEASE_REPLACED", Code::FailedPrecondition),
            ("RESUME_TOO_OLD", Code::OutOfRange),
            ("STARTING", Code::Unavailable),
            ("DRAINING", Code::Unavailable),
            ("PAUSED", Code::Unavailable),
            ("ARGOS_DOWN", Code::Unavailable),
            ("ARGOS_KEY_REFUSED", Code::FailedPrecondition),
            ("ARGOS_ADDRESS_REFUSED", Code::FailedPrecondition),
            ("LEDGER_UNAVAILABLE", Code::Unavailable),
            ("HALTED", Code::Unavailable),
            ("COMMIT_DOUBTFUL", Code::Unknown),
            ("IDENTITY_MISSING", Code::Unauthenticated),
            ("IDENTITY_UNKNOWN", Code::Unauthenticated),
            ("NOT_ALLOWED", Code::PermissionDenied),
            ("INTERNAL", Code::Internal),
        ];
        assert_eq!(expected.len(), Reason::ALL.len());
        for ((text, code), reason) in expected.into_iter().zip(Reason::ALL) {
            let status = Failure::from(Rejection::new(*reason, "why")).into_status();
            assert_eq!((reason.as_str(), status.code()), (text, code));
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (text, DOMAIN));
        }
    }

    #[test]
    fn what_is_worth_repeating_says_when() {
        let rejection = Rejection::new(Reason::PoolEmpty, "no token is ready");
        let status = Failure::from(rejection.retry_after(Duration::from_secs(3))).into_status();
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_secs(3)));
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "3000");
    }

    #[test]
    fn a_full_argos_is_a_quota_that_no_retry_cures() {
        let project = ProjectName::parse("kyc").unwrap();
        let failure = Failure::from(Rejection::new(Reason::CapReached, "no room"));
        let status = failure.about(&project, &Owner::parse("uid:1").unwrap()).into_status();
        assert!(status.get_details_retry_info().is_none());
        assert_eq!(
            status.get_details_quota_failure().unwrap().violations[0].subject,
            "project:kyc"
        );
        assert_eq!(status.get_details_error_info().unwrap().metadata["project"], "kyc");
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "-1");
    }

    #[test]
    fn a_bad_request_names_every_field_at_fault() {
        let violation = |field: &str| Violation { field: field.to_owned(), rule: "no".to_owned() };
        let fields: Vec<_> = (0..9).map(|number| violation(&format!("f{number}"))).collect();
        let status = Failure::invalid(fields).into_status();
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 9);
        assert_eq!(status.message(), "invalid request: f0, f1, f2, f3, f4 and more");
    }

    #[test]
    fn the_reason_is_read_back_from_the_headers_of_an_answer() {
        let failure = Failure::from(Rejection::new(Reason::PoolEmpty, "no token is ready"));
        let answer = failure.into_status().into_http::<()>();
        assert_eq!(reason_of(answer.headers()), "pool_empty");
        assert_eq!(reason_of(&HeaderMap::new()), "none");
        let other = Status::unimplemented("never heard of it").into_http::<()>();
        assert_eq!(reason_of(other.headers()), "none");
    }

    #[test]
    fn labels_are_the_ones_that_exist_from_the_start() {
        assert_eq!(all_labels().len(), Reason::ALL.len() + 1);
        assert_eq!(all_codes().len(), 17);
        assert_eq!(labels(None), ("OK", "none"));
        assert_eq!(label_of(b"8"), "ResourceExhausted");
    }
}
