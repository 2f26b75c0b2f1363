//! `SetLogLevel`: what the log says for a while.

use std::time::Duration;

use tonic::{Extensions, metadata::MetadataMap};

use super::{
    convert,
    desk::Desk,
    proto,
    status::Failure,
    validate::{self, Faults},
};
use crate::telemetry::{self, LevelStand};

const SPAN_DEFAULT: Duration = Duration::from_secs(10 * 60);
const SPAN_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Answers also while the daemon starts and stops: that is when people want to hear more. No line of any
/// level tells a secret (P1), so whoever is admin may ask for all of them.
pub(super) fn set(
    desk: &Desk,
    (metadata, extensions): (&MetadataMap, &Extensions),
    request: proto::SetLogLevelRequest,
) -> Result<proto::SetLogLevelResponse, Failure> {
    let caller = desk.identify(extensions, metadata)?;
    caller.must_be_admin()?;
    let level = telemetry::log_level();
    let mut faults = Faults::default();
    let span = validate::duration(request.duration, "duration", &mut faults);
    if span.is_some_and(|span| span.is_zero() || span > SPAN_MAX) {
        faults.add("duration", "must be more than nothing and at most 24h");
    }
    if request.reset && !request.directives.is_empty() {
        faults.add("reset", "must be unset where directives are given");
    }
    faults.check()?;
    if !request.directives.is_empty() {
        let span = span.unwrap_or(SPAN_DEFAULT);
        level.set(&request.directives, span).map_err(|refused| {
            let mut faults = Faults::default();
            faults.add("directives", refused.to_string());
            faults.check().expect_err("there is a fault")
        })?;
        let by = caller.owner().as_str();
        tracing::info!(
            by,
            seconds = span.as_secs(),
            level = request.directives,
            "log level changed"
        );
    } else if request.reset {
        level.reset();
    }
    let LevelStand { directives, configured, falls_back_in } = level.stand();
    let falls_back_in = falls_back_in.map(convert::duration);
    Ok(proto::SetLogLevelResponse { directives, configured, falls_back_in })
}
