//! What the engine says of a project's problems, as messages.

use super::{convert, proto};
use crate::{
    domain::{fault::Reason, ids::ProjectName},
    engine::{Problem, Status},
};

/// Everything that is not as it should be, the worst first; empty when all is well.
pub(super) fn of(status: &Status) -> Vec<proto::Problem> {
    status.problems().into_iter().map(message).collect()
}

/// A project that cannot be looked at.
pub(super) fn dark(project: &ProjectName, reason: Reason) -> proto::ProjectStatus {
    proto::ProjectStatus {
        project: project.as_str().to_owned(),
        problems: vec![message(Problem::dark(reason))],
        ..proto::ProjectStatus::default()
    }
}

fn message(problem: Problem) -> proto::Problem {
    proto::Problem {
        runbook: problem.runbook(),
        reason: problem.reason.to_owned(),
        summary: problem.summary,
        since_time: problem.since.map(convert::timestamp),
    }
}
