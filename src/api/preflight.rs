//! The checks of a first day, on the wire. What is checked, and how, is not known here.

use super::{
    desk::Visit,
    proto::{self, PreflightCheck, PreflightRequest, PreflightResponse},
    status::Failure,
};
use crate::port::{CheckResult, Finding};

pub(super) async fn preflight(
    visit: &Visit<'_>,
    _: PreflightRequest,
) -> Result<PreflightResponse, Failure> {
    Ok(response(visit.desk.checkup.check(visit.handle.project()).await))
}

/// What was found, in the words of the proto.
pub fn response(findings: Vec<Finding>) -> PreflightResponse {
    let check = |Finding { name, result, summary, advice }| {
        let result = match result {
            CheckResult::Passed => proto::PreflightResult::Passed,
            CheckResult::Failed => proto::PreflightResult::Failed,
            CheckResult::NotCheckable => proto::PreflightResult::NotCheckable,
        };
        PreflightCheck { name: name.to_owned(), result: result.into(), summary, advice }
    };
    PreflightResponse { checks: findings.into_iter().map(check).collect() }
}
