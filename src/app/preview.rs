//! Links without a daemon: what a configuration makes of parameters, and what its keys open.
//!
//! A link is drafted and written by the code that leases use, so what is shown is what a lease gets,
//! but for its token and its mark. Both are made up and say so: no token is spent, and ARGOS admits
//! nobody with one. Nothing here calls ARGOS, opens a ledger, or tells a key.

mod sample;

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Unfit, World,
    policy::{self, Project},
};
use crate::{
    api::{Links, proto::LiveformParams},
    config::{Liveform, SecretSource, Settings},
    domain::{
        envelope::{Keyring, OpenedBy},
        ids::TokenId,
        limits::MARK_BYTES,
        liveform::{Occasion, envelope_of, said_inside},
        secret::Secret,
    },
    port::Clock,
};

pub use self::sample::Sample;
pub use crate::domain::liveform::Violation;

/// What stands in a token and in a mark that nobody registered. No sealed id holds a dash.
const MADE_UP: &str = "preview-";

/// The links of one project, as its configuration makes them.
pub struct Preview {
    project: String,
    liveform: Liveform,
    links: Links,
    clock: Arc<dyn Clock>,
    token: TokenId,
    ttl: Duration,
    /// The key in use first.
    keys: Vec<(Key, Secret)>,
}

/// Why there is nothing to make links of.
#[derive(Debug, thiserror::Error)]
pub enum Unprepared {
    #[error("no such project; there are: {0}")]
    ProjectNotFound(String),
    #[error(transparent)]
    Unfit(Unfit),
}

/// A key of the configuration, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Api,
    Secret,
    /// The place in `previous_key_files`, from 1.
    Previous(usize),
}

/// A link that nobody can use.
pub struct PreviewLink {
    pub url: String,
    /// Names as ARGOS spells them, of what is inside of the envelope and of what is in the open.
    pub sealed: Vec<String>,
    pub plain: Vec<String>,
}

/// An envelope that was opened.
pub struct Opened {
    /// The JSON object inside, to the byte.
    pub content: String,
    pub key: Key,
}

impl Preview {
    /// `project` may be empty while there is only one.
    pub fn of(settings: &Settings, project: &str, world: &World) -> Result<Self, Unprepared> {
        let mut projects = policy::projects(settings).map_err(Unprepared::Unfit)?;
        let wanted = if project.is_empty() && projects.len() == 1 {
            Some(0)
        } else {
            projects.iter().position(|it| it.name.as_str() == project)
        };
        let Some(wanted) = wanted else {
            let names: Vec<_> = projects.iter().map(|it| it.name.as_str()).collect();
            return Err(Unprepared::ProjectNotFound(names.join(", ")));
        };
        Ok(Self::of_project(&projects.remove(wanted), world))
    }

    fn of_project(project: &Project, world: &World) -> Self {
        let prefix = project.pool.prefix.as_str();
        let token = made_up(prefix, project.pool.token_bytes() - prefix.len());
        Self {
            project: project.name.to_string(),
            liveform: project.settings.liveform.clone(),
            links: project.links(world.entropy, world.clock.clone()),
            clock: world.clock.clone(),
            token: TokenId::parse(&token)
                .expect("a prefix, letters, a dash and zeros are a token id (U1)"),
            ttl: project.settings.lease.ttl_default,
            keys: keys(&project.settings.api_key, &project.settings.liveform),
        }
    }

    /// The link that a lease gets which is made at this moment and says this, or every field at fault
    /// as the daemon names it.
    pub fn link(
        &self,
        params: LiveformParams,
        template: &str,
    ) -> Result<PreviewLink, Vec<Violation>> {
        let draft = self.links.draft(params, template, self.token.expose().len())?;
        let issued = self.clock.now();
        let deadline = issued.plus(self.ttl);
        let occasion = Occasion { token: &self.token, issued, deadline };
        let mark = || made_up("mark-", MARK_BYTES - "mark-".len());
        let url = draft.link(occasion, mark).url.into_string();
        let sealed = envelope_of(&url).and_then(|sealed| draft.form.open(&sealed));
        let inside: Option<serde_json::Map<_, _>> =
            sealed.and_then(|text| serde_json::from_str(&text).ok());
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let names = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0));
        let plain = names.filter(|name| *name != "encrypted").map(str::to_owned).collect();
        let sealed = inside.into_iter().flatten().map(|(name, _)| name).collect();
        Ok(PreviewLink { url, sealed, plain })
    }

    /// What is inside of an envelope, given as it is or in a URL: opened with the cipher of the
    /// configuration and the key in use, then with the previous ones. `None` when none of them opens it.
    pub fn open(&self, text: &str) -> Option<Opened> {
        let ((in_use, sealing), others) = self.keys.split_first()?;
        let previous: Vec<_> =
            others.iter().filter(|(key, _)| matches!(key, Key::Previous(_))).collect();
        let keyring =
            Keyring::new(self.liveform.cipher, sealing, previous.iter().map(|(_, secret)| secret));
        let opened = keyring.open(&envelope_of(text)?, &[], said_inside)?;
        let key = match opened.by {
            OpenedBy::Current => *in_use,
            OpenedBy::Previous(place) => previous.get(place)?.0,
        };
        Some(Opened { content: opened.content, key })
    }

    /// The key that seals.
    pub fn key_in_use(&self) -> Key {
        if self.liveform.secret_key.is_some() { Key::Secret } else { Key::Api }
    }

    /// As the configuration spells it.
    pub fn mode(&self) -> &'static str {
        self.liveform.mode.as_str()
    }

    /// As the configuration spells it.
    pub fn cipher(&self) -> &'static str {
        self.liveform.cipher.as_str()
    }

    pub fn url_max_bytes(&self) -> usize {
        self.links.url_max_bytes
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => f.write_str("the API key"),
            Self::Secret => f.write_str("the secret key"),
            Self::Previous(place) => write!(f, "previous key {place}"),
        }
    }
}

/// Links seal with the secret key where there is one.
fn keys(api_key: &SecretSource, liveform: &Liveform) -> Vec<(Key, Secret)> {
    let named = |key| move |source: &SecretSource| (key, source.secret.clone());
    let secret = liveform.secret_key.iter().map(named(Key::Secret));
    let previous = liveform.previous_keys.iter().zip(1..);
    let previous = previous.map(|(source, place)| (Key::Previous(place), source.secret.clone()));
    secret.chain([(Key::Api, api_key.secret.clone())]).chain(previous).collect()
}

/// `prefix`, and so many symbols that say what this is.
fn made_up(prefix: &str, symbols: usize) -> String {
    format!("{prefix}{MADE_UP:0<symbols$}")
}

#[cfg(test)]
mod tests;
