//! Secure Data Transfer (contract 1.6): what is between ARGOS and its customer is sealed under the API
//! key: the bodies of POST and DELETE, all answers, and webhooks.
//!
//! Whether requests may be sealed with GCM is not known and ECB is certain, so ECB opens always and
//! the cipher of the project besides. What an API gateway answers by itself is never sealed.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{
    faults::Operation,
    project::Project,
    sealed::Cipher,
    wire::{ApiRequest, ErrorCode, Reply},
};

/// The member that carries a ciphertext in a JSON body.
const DATA: &str = "data";
/// Statuses with which ARGOS itself answers an error; all others are the gateway's.
const OWN_ERRORS: [u16; 2] = [400, 500];

impl Project {
    /// The request as the API reads it: opened where it has to be sealed.
    pub(super) fn receive<'a>(
        &mut self,
        operation: Operation,
        request: &'a ApiRequest,
    ) -> Result<Cow<'a, ApiRequest>, ErrorCode> {
        // What is too large is answered by its size alone.
        if !carries_ids(operation, request) || request.body.len() > self.rules.body_bytes {
            return Ok(Cow::Borrowed(request));
        }
        if !self.rules.secure_transfer {
            return match enclosed(&request.body) {
                Some(_) => Err(ErrorCode::InvalidPayload),
                None => Ok(Cow::Borrowed(request)),
            };
        }
        let opened = self.unseal(&request.body);
        let counters = self.witness.counters_mut();
        match opened {
            Some(body) => {
                counters.bodies_opened += 1;
                Ok(Cow::Owned(ApiRequest { body, ..request.clone() }))
            }
            None => {
                counters.bodies_unopened += 1;
                Err(ErrorCode::DecryptionFailed)
            }
        }
    }

    /// The answer as it leaves: sealed where it has to be.
    pub(super) fn send(&mut self, reply: Reply) -> Reply {
        let own_error = self.rules.sealed_errors && OWN_ERRORS.contains(&reply.status);
        let from_argos = serde_json::from_str::<Value>(&reply.body).is_ok();
        if !self.rules.secure_transfer || !from_argos || !(reply.status == 200 || own_error) {
            return reply;
        }
        self.witness.counters_mut().answers_sealed += 1;
        let text = self.rules.transfer_cipher.seal(reply.body.as_bytes(), self.keys.api());
        Reply { body: json!({ DATA: text }).to_string(), ..reply }
    }

    /// The JSON inside a body that is the ciphertext itself, or encloses it.
    fn unseal(&self, body: &[u8]) -> Option<Vec<u8>> {
        let enclosed = enclosed(body);
        let text = enclosed.as_deref().or_else(|| str::from_utf8(body).ok())?;
        let opened = |cipher: Cipher| {
            let plain = cipher.open(text, self.keys.api())?;
            serde_json::from_slice::<Value>(&plain).is_ok().then_some(plain)
        };
        opened(Cipher::Ecb).or_else(|| opened(self.rules.transfer_cipher))
    }
}

/// Whether the ids of a call stand in its body; those of a deletion in order of time do not.
fn carries_ids(operation: Operation, request: &ApiRequest) -> bool {
    match operation {
        Operation::Post => true,
        Operation::Delete => request.query.is_empty(),
        Operation::Get
        | Operation::List
        | Operation::Count
        | Operation::Submission
        | Operation::Settings
        | Operation::Unknown => false,
    }
}

/// The text in `{"data":"…"}`; `None` for anything else.
fn enclosed(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let members = body.as_object().filter(|members| members.len() == 1)?;
    members.get(DATA)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
