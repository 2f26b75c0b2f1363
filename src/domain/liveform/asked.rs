//! What somebody asks a link to say, before any rule was held against it.

use std::collections::BTreeMap;

use super::parameter::Parameter;
use crate::domain::time::Timestamp;

/// Parameters as a caller, a template or the configuration names them. What is empty was not said.
///
/// Parameters are personal: they are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub(super) values: BTreeMap<Parameter, Value>,
    /// Parameters that this version does not know, at the caller's own risk.
    pub unchecked: BTreeMap<String, String>,
    /// The link can be started until the deadline of its lease.
    pub until_deadline: bool,
}

/// One value as it was said.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Flag(bool),
    List(Vec<String>),
    Texts(BTreeMap<String, String>),
    Time(Timestamp),
}

impl Value {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Texts(texts) => texts.is_empty(),
            Self::Flag(_) | Self::Time(_) => false,
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Self {
        Self::List(items)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(texts: BTreeMap<String, String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl Asked {
    pub(super) const EMPTY: Self =
        Self { values: BTreeMap::new(), unchecked: BTreeMap::new(), until_deadline: false };

    /// Sets a parameter. An empty value changes nothing: it means that nothing was said.
    pub fn set(&mut self, parameter: Parameter, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_empty() {
            self.values.insert(parameter, value);
        }
    }

    /// The same, in a chain.
    #[must_use]
    pub fn with(mut self, parameter: Parameter, value: impl Into<Value>) -> Self {
        self.set(parameter, value);
        self
    }

    pub(super) fn get(&self, parameter: Parameter) -> Option<&Value> {
        self.values.get(&parameter)
    }

    pub fn values(&self) -> impl Iterator<Item = (Parameter, &Value)> {
        self.values.iter().map(|(parameter, value)| (*parameter, value))
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.values.keys().map(|parameter| parameter.field());
        f.debug_set().entries(names).finish()
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}
