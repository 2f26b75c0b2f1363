//! What no machine here can see: ARGOS tells it to the dashboard alone, or it takes a phone.

use super::not_checkable;
use crate::{config, domain::envelope::Cipher, port::Finding};

pub(super) fn findings(settings: &config::Project) -> Vec<Finding> {
    let target = settings.refill.target_tokens;
    let access = "Security Settings, Access Control";
    let unseen = "only the dashboard shows it";
    let mut findings = vec![
        not_checkable(
            "private_mode",
            unseen,
            format!("see that Private Mode and Token ID Pre-registration are on under {access}"),
        ),
        not_checkable(
            "deletion_conditions",
            unseen,
            format!(
                "see that volume-based deletion is off under {access}, or begins well above \
                 {target} tokens: it deletes the oldest first, used or not"
            ),
        ),
        not_checkable("token_expiration", unseen, expiration(settings, access)),
        not_checkable(
            "liveform",
            "it takes a person with a phone",
            "open the link of `argospool lease`, and see that the page and the camera work",
        ),
    ];
    if let Cipher::Gcm(_) = settings.liveform.cipher {
        findings.push(not_checkable(
            "gcm_layout",
            "ARGOS does not publish its layout",
            "seal a sample in the dashboard and run `argospool url --self-test SAMPLE`",
        ));
    }
    findings
}

fn expiration(settings: &config::Project, access: &str) -> String {
    match settings.tokens.unused_age_max {
        Some(age) => format!(
            "see that no token expires unused under {access} before tokens.unused_age_max, which is \
             {} min",
            age.as_secs() / 60
        ),
        None => format!(
            "see that tokens do not expire unused under {access}, or set tokens.unused_age_max \
             below that time"
        ),
    }
}
