//! What ARGOS tells of how the project is set. It calls that a snapshot whose structure may change, so
//! what it does not tell is not a failure (contract 6).

use super::{failed, not_checkable, passed};
use crate::{argos::ManagementSettings, domain::secret::Secret, port::Finding};

const WEBHOOK: &str = "webhook_url";
const STATUS: &str = "project_status";
const STOP: &str = "emergency_stop";
const WHITELIST: &str = "ip_whitelist";

/// What stands between the host and the secret; a proxy may put a path of its own before it.
const PATH: &str = "/webhooks/argos/";
const UNTOLD: &str = "ARGOS does not tell";

/// The address that ARGOS has on file against ours. Only its host is ever repeated.
pub(super) fn webhook(url: Option<&Secret>, secret: Option<&Secret>) -> Finding {
    let integration = "Project Settings, Integration Info";
    let Some(secret) = secret else {
        let on_file = if url.is_some() { "ARGOS has an address on file, and " } else { "" };
        let summary = format!("{on_file}no webhook is taken here: no secret is configured");
        let advice =
            "set webhook.secret_file to hear of outcomes at once; until then ARGOS is asked";
        return not_checkable(WEBHOOK, summary, advice);
    };
    let Some(url) = url else {
        let advice =
            format!("see that {integration} has https://<your host>{PATH}<the configured secret>");
        return not_checkable(WEBHOOK, "ARGOS tells of no address", advice);
    };
    let Some(Address { https, host, path }) = Address::read(url.expose()) else {
        let advice = format!("correct it under {integration}");
        return failed(WEBHOOK, "what ARGOS has on file is no web address", advice);
    };
    let fits = path.strip_suffix(secret.expose()).is_some_and(|path| path.ends_with(PATH));
    let advice =
        format!("correct it under {integration}: https, and {PATH}<the configured secret>");
    match (https, fits) {
        (true, true) => passed(WEBHOOK, format!("on {host}, by https; the path fits")),
        (false, true) => failed(WEBHOOK, format!("on {host}, not by https; the path fits"), advice),
        (true, false) => {
            let advice = format!("{advice}; a proxy that adds the secret itself may stay");
            failed(WEBHOOK, format!("on {host}, by https; the path does not fit"), advice)
        }
        (false, false) => {
            failed(WEBHOOK, format!("on {host}, not by https; the path does not fit"), advice)
        }
    }
}

pub(super) fn management(told: &ManagementSettings) -> [Finding; 3] {
    let by_hand = "look under System Operation in the dashboard";
    let status = match told.status.as_deref() {
        Some("open") => passed(STATUS, "open"),
        Some("test") => passed(STATUS, "test: fit for trying out, not for real users"),
        Some("trial") => passed(STATUS, "trial: ARGOS takes some 15 submissions"),
        Some("close") => {
            failed(STATUS, "close", "open the project under System Operation in the dashboard")
        }
        // A word of tomorrow is not repeated: nobody knows what it holds.
        Some(_) => not_checkable(STATUS, "ARGOS tells a status that is not known here", by_hand),
        None => not_checkable(STATUS, UNTOLD, by_hand),
    };
    let stop = match told.stopped {
        Some(false) => passed(STOP, "off"),
        Some(true) => failed(
            STOP,
            "on: no Liveform takes a submission",
            "end it under System Operation in the dashboard",
        ),
        None => not_checkable(STOP, UNTOLD, by_hand),
    };
    let whitelist = match told.addresses.as_deref() {
        Some([]) => passed(WHITELIST, "empty: any address may use the key"),
        Some([_]) => passed(WHITELIST, "1 address may use the key"),
        Some(more) => passed(WHITELIST, format!("{} addresses may use the key", more.len())),
        None => not_checkable(WHITELIST, UNTOLD, by_hand),
    };
    [status, stop, whitelist]
}

/// The parts of a web address that are looked at.
struct Address<'a> {
    https: bool,
    host: &'a str,
    /// Without query and fragment.
    path: &'a str,
}

impl<'a> Address<'a> {
    fn read(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let rest = rest.split(['?', '#']).next()?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // A name and a password before the host are nobody's business.
        let host = authority.rsplit('@').next()?;
        let known = |symbol: char| symbol.is_ascii_alphanumeric() || "-._:[]".contains(symbol);
        (!host.is_empty() && host.chars().all(known)).then_some(Self { https, host, path })
    }
}
