//! API keys that can be replaced while the daemon runs.

use std::sync::Arc;

use crate::{
    argos::{Argos, KeySource, transfer},
    config::ApiKeySource,
    domain::{envelope::Keyring, ids::ProjectName, secret::Secret},
    port::Current,
};

/// Where the key of each project came from, and who uses it.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    project: ProjectName,
    argos: Arc<Argos>,
    source: ApiKeySource,
}

impl Keys {
    pub(super) fn add(&mut self, project: ProjectName, argos: Arc<Argos>, source: &ApiKeySource) {
        self.0.push(Key { project, argos, source: source.clone() });
    }

    /// Reads every key file again and uses what changed from the next call on.
    pub fn read_again(&self) {
        for Key { project, argos, source } in &self.0 {
            let key = match source.read_again() {
                Ok(key) => key,
                Err(error) => {
                    tracing::error!(%project, kind = ?error.kind(), "API key cannot be read");
                    continue;
                }
            };
            if key.is_some_and(|key| argos.set_key(key)) {
                tracing::info!(%project, "API key replaced");
            } else {
                tracing::info!(%project, "API key unchanged");
            }
        }
    }
}

/// For the client, which reads the key again when ARGOS refuses the one in use.
pub(super) fn source(source: &ApiKeySource) -> Arc<dyn KeySource> {
    let source = source.clone();
    Arc::new(move || -> Option<Secret> { source.read_again().ok().flatten() })
}

/// The envelopes of Secure Data Transfer.
pub(super) fn envelopes(source: &ApiKeySource) -> Current<Keyring> {
    let keyring = Arc::new(Keyring::new(transfer::CIPHER, &source.secret, []));
    Arc::new(move || keyring.clone())
}
