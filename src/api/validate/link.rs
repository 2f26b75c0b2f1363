//! What a caller wants its link to say: from the words of the proto to a draft.

use std::{mem::take, sync::Arc};

use prost::Message as _;

use super::{Wish, proto, timestamp};
use crate::{
    api::validate::Faults,
    domain::{
        entropy::Entropy,
        limits::LINK_BYTES_MAX,
        liveform::{Asked, Draft, Form, Length, Parameter, Params, Rules, Violation},
    },
    port::{Clock, Current},
};

/// How the links of a project are made.
#[derive(Clone)]
pub struct Links {
    /// What they may say.
    pub rules: Arc<Rules>,
    /// How they are written; another one when a key was replaced.
    pub form: Current<Form>,
    pub url_max_bytes: usize,
    pub entropy: fn() -> Box<dyn Entropy>,
    /// What times are held against.
    pub clock: Arc<dyn Clock>,
}

impl Links {
    /// A draft of a link for a token of this length.
    ///
    /// Every field at fault is named as the request spells it, such as `params.allowed_countries[1]`.
    pub fn draft(
        &self,
        params: proto::LiveformParams,
        template: &str,
        token_bytes: usize,
    ) -> Result<Draft, Vec<Violation>> {
        let mut faults = Faults::default();
        let asked = asked(params, &mut faults);
        let resolved = self.rules.resolve(&asked, template, self.clock.now());
        let mut violations = faults.0;
        let params = resolved.unwrap_or_else(|more| {
            violations.extend(more);
            Params::default()
        });
        for violation in &mut violations {
            if violation.field != "template" {
                violation.field.insert_str(0, "params.");
            }
        }
        let draft = Draft { params, ..self.blank() };
        let Length { url, kept } = draft.length(token_bytes);
        if url > self.url_max_bytes || kept > LINK_BYTES_MAX {
            let rule = if url > self.url_max_bytes {
                format!("the URL would have {url} bytes and may have {}", self.url_max_bytes)
            } else {
                format!(
                    "the URL and what is kept of it would have {kept} bytes and may have \
                     {LINK_BYTES_MAX}"
                )
            };
            violations.push(Violation { field: "params".to_owned(), rule });
        }
        if violations.is_empty() { Ok(draft) } else { Err(violations) }
    }

    /// A draft that says nothing yet.
    pub fn blank(&self) -> Draft {
        let form = (self.form)();
        let nonce = form.nonce((self.entropy)().as_mut());
        Draft { form, params: Params::default(), nonce }
    }
}

/// Adds to a wish what is not among the first six parameters, where there is anything.
pub(super) fn tell(wish: &mut Wish, params: &proto::LiveformParams, template: &str) {
    let mut more = params.clone();
    for first in [
        &mut more.email,
        &mut more.userid,
        &mut more.cf1,
        &mut more.cf2,
        &mut more.cf3,
        &mut more.lang,
    ] {
        first.clear();
    }
    let more = more.encode_to_vec();
    if !more.is_empty() || !template.is_empty() {
        wish.divide();
        wish.text(template);
        wish.bytes(&more);
    }
}

fn asked(mut params: proto::LiveformParams, faults: &mut Faults) -> Asked {
    use Parameter as P;
    let mut asked = Asked::default();
    for (parameter, text) in [
        (P::Email, &mut params.email),
        (P::Userid, &mut params.userid),
        (P::Cf1, &mut params.cf1),
        (P::Cf2, &mut params.cf2),
        (P::Cf3, &mut params.cf3),
        (P::Lang, &mut params.lang),
        (P::Action, &mut params.action),
        (P::Sid, &mut params.sid),
        (P::SelectedIssuingCountry, &mut params.selected_issuing_country),
        (P::SelectedIdType, &mut params.selected_id_type),
        (P::AuxidField, &mut params.auxid_field),
        (P::ProjectionId, &mut params.projection_id),
        (P::ProjectionName, &mut params.projection_name),
        (P::KnowledgeField, &mut params.knowledge_field),
        (P::MainColor, &mut params.main_color),
        (P::InnerColor, &mut params.inner_color),
    ] {
        asked.set(parameter, take(text));
    }
    for (parameter, flag) in [
        (P::BlacklistCountries, params.blacklist_countries),
        (P::ApprovePeriod, params.approve_period),
        (P::RejectPeriod, params.reject_period),
        (P::AgeLimit, params.age_limit),
        (P::RejectDuplicateUser, params.reject_duplicate_user),
    ] {
        if let Some(flag) = flag {
            asked.set(parameter, flag);
        }
    }
    asked.set(P::AllowedCountries, params.allowed_countries);
    asked.set(P::AllowedIdTypes, params.allowed_id_types);
    asked.set(P::AllowedDocumentFields, params.allowed_document_fields);
    asked.set(P::KnowledgePrefill, params.knowledge_prefill);
    let field = P::StartValidUntil.field();
    if let Some(at) = timestamp(params.start_valid_until, field, faults) {
        asked.set(P::StartValidUntil, at);
    }
    asked.until_deadline = params.start_valid_until_deadline;
    asked.unchecked = params.unchecked;
    asked
}
