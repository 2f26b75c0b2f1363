//! Keys that can be replaced while the daemon runs, and what is made of them: envelopes and links.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    argos::{Argos, KeySource, transfer},
    config::{self, SecretSource},
    domain::{envelope::Keyring, ids::ProjectName, liveform::Form, secret::Secret},
    port::Current,
};

/// Keys of this process that are still tried on what comes in after they were replaced.
const RETIRED_MAX: usize = 4;

/// The keys of one project.
pub(super) struct ProjectKeys {
    settings: config::Project,
    state: RwLock<State>,
}

struct State {
    texts: Texts,
    /// Keys that were in use earlier, the latest first.
    retired: Vec<Secret>,
    envelopes: Arc<Keyring>,
    links: Arc<Keyring>,
    form: Arc<Form>,
}

/// Every key as its file held it when it was read last.
#[derive(Clone, PartialEq)]
struct Texts {
    api_key: Secret,
    secret_key: Option<Secret>,
    previous: Vec<Secret>,
}

impl ProjectKeys {
    pub(super) fn new(settings: &config::Project) -> Arc<Self> {
        let secret = |source: &SecretSource| source.secret.clone();
        let texts = Texts {
            api_key: settings.api_key.secret.clone(),
            secret_key: settings.liveform.secret_key.as_ref().map(secret),
            previous: settings.liveform.previous_keys.iter().map(secret).collect(),
        };
        let state = RwLock::new(State::of(settings, texts, Vec::new()));
        Arc::new(Self { settings: settings.clone(), state })
    }

    /// What Secure Data Transfer is sealed and opened with.
    pub(super) fn envelopes(self: &Arc<Self>) -> Current<Keyring> {
        let keys = self.clone();
        Arc::new(move || keys.read_state(|state| state.envelopes.clone()))
    }

    /// What links are sealed with.
    pub(super) fn links(self: &Arc<Self>) -> Current<Keyring> {
        let keys = self.clone();
        Arc::new(move || keys.read_state(|state| state.links.clone()))
    }

    /// How links are written.
    pub(super) fn form(self: &Arc<Self>) -> Current<Form> {
        let keys = self.clone();
        Arc::new(move || keys.read_state(|state| state.form.clone()))
    }

    /// Reads every file again. Says whether anything changed; with an error nothing has.
    fn read_again(&self) -> io::Result<bool> {
        let read = |source: &SecretSource| {
            Ok::<_, io::Error>(source.read_again()?.unwrap_or_else(|| source.secret.clone()))
        };
        let liveform = &self.settings.liveform;
        let texts = Texts {
            api_key: read(&self.settings.api_key)?,
            secret_key: liveform.secret_key.as_ref().map(read).transpose()?,
            previous: liveform.previous_keys.iter().map(read).collect::<io::Result<_>>()?,
        };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.texts == texts {
            return Ok(false);
        }
        let mut retired = state.retired.clone();
        let before = [Some(&state.texts.api_key), state.texts.secret_key.as_ref()];
        for key in before.into_iter().flatten() {
            if *key != texts.api_key && Some(key) != texts.secret_key.as_ref() {
                retired.insert(0, key.clone());
            }
        }
        retired.truncate(RETIRED_MAX);
        *state = State::of(&self.settings, texts, retired);
        Ok(true)
    }

    fn api_key(&self) -> Secret {
        self.read_state(|state| state.texts.api_key.clone())
    }

    /// No state of it is half a state, so a panic elsewhere spoils nothing.
    fn read_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn of(settings: &config::Project, texts: Texts, retired: Vec<Secret>) -> Self {
        let Texts { api_key, secret_key, previous } = &texts;
        let earlier = || retired.iter().chain(previous);
        let envelopes = Keyring::new(transfer::CIPHER, api_key, earlier());
        let liveform = &settings.liveform;
        let sealing = secret_key.as_ref().unwrap_or(api_key);
        let links = Keyring::new(liveform.cipher, sealing, earlier());
        let form = Form::new(&liveform.base_url, &settings.pid, liveform.mode, links.clone())
            .marked_by(liveform.correlation_field.parameter())
            .until_deadline(liveform.start_valid_until);
        let (envelopes, links) = (Arc::new(envelopes), Arc::new(links));
        Self { envelopes, links, form: Arc::new(form), texts, retired }
    }
}

/// For the client, which reads the key again when ARGOS refuses the one in use. What is sealed with it
/// has changed when it returns.
impl KeySource for ProjectKeys {
    fn read(&self) -> Option<Secret> {
        self.read_again().ok()?;
        Some(self.api_key())
    }
}

/// The keys of every project, and who calls ARGOS with them.
#[derive(Clone, Default)]
pub struct Keys(Vec<(ProjectName, Arc<Argos>, Arc<ProjectKeys>)>);

impl Keys {
    pub(super) fn add(&mut self, project: ProjectName, argos: Arc<Argos>, keys: Arc<ProjectKeys>) {
        self.0.push((project, argos, keys));
    }

    /// Reads every key file again and uses what changed from the next call and the next link on.
    pub fn read_again(&self) {
        for (project, argos, keys) in &self.0 {
            match keys.read_again() {
                Ok(changed) => {
                    argos.set_key(keys.api_key());
                    let told = if changed { "keys replaced" } else { "keys unchanged" };
                    tracing::info!(%project, "{told}");
                }
                Err(error) => {
                    tracing::error!(%project, kind = ?error.kind(), "a key file cannot be read");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
