//! The two keys of a project, and which of them seals what (contract 5).
//!
//! Both can be replaced while the simulator runs. What was sealed before stays as it is: a link in
//! somebody's hand opens nothing any more, and a webhook on its way arrives under the older key.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key of a simulated project. It is made up, and shows itself to nobody all the same.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(..)")
    }
}

pub(super) struct Keys {
    api: Key,
    secret: Option<Key>,
}

impl Keys {
    /// Without a secretKey, or with an empty one, the API key seals links.
    pub(super) fn new(api: &str, secret: Option<&str>) -> Self {
        let secret = secret.filter(|key| !key.is_empty()).map(Key::from);
        Self { api: api.into(), secret }
    }

    /// What is absent stays; an empty secretKey takes the one there is away.
    pub(super) fn change(&mut self, api: Option<Key>, secret: Option<Key>) {
        self.api = api.unwrap_or_else(|| self.api.clone());
        if let Some(key) = secret {
            self.secret = Some(key).filter(|key| !key.0.is_empty());
        }
    }

    /// What calls carry, and what seals them, their answers and webhooks.
    pub(super) fn api(&self) -> &str {
        &self.api.0
    }

    /// What seals links: the secretKey where one was issued.
    pub(super) fn link(&self) -> &str {
        self.secret.as_ref().map_or(self.api(), Key::expose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_sealed_under_the_secret_key_while_there_is_one() {
        let mut keys = Keys::new("api-1", None);
        assert_eq!((keys.api(), keys.link()), ("api-1", "api-1"));
        keys.change(None, Some("secret-1".into()));
        assert_eq!((keys.api(), keys.link()), ("api-1", "secret-1"));
        keys.change(Some("api-2".into()), None);
        assert_eq!((keys.api(), keys.link()), ("api-2", "secret-1"));
        keys.change(None, Some("".into()));
        assert_eq!(keys.link(), "api-2");
        assert_eq!(Keys::new("api-1", Some("")).link(), "api-1");
        assert_eq!(format!("{:?}", Key::from("api-1")), "Key(..)");
    }
}
