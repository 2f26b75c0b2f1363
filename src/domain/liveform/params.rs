//! Parameters that were checked: what a link says, in the order in which it says it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::parameter::{Kind, Parameter, RESERVED};
use crate::domain::{ids::Malformed, time::Timestamp};

/// What a link says. Made by [`super::Rules::resolve`] alone, or read back from what that made.
///
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(Name, Said)>);

/// Parameters are personal: they are not printed.
impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Params(…)")
    }
}

/// A parameter by the name that ARGOS reads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Known(Parameter),
    /// Passed on unchecked.
    Other(Box<str>),
}

impl Name {
    fn of(name: &str) -> Self {
        Parameter::of_name(name).map_or_else(|| Self::Other(name.into()), Self::Known)
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Known(parameter) => parameter.name(),
            Self::Other(name) => name,
        }
    }

    /// Whether `true` and `false` are more than words here.
    fn is_switch(&self) -> bool {
        match self {
            Self::Known(parameter) => {
                matches!(parameter.kind(), Kind::Switch | Kind::OffSwitch)
            }
            Self::Other(_) => true,
        }
    }
}

/// A value as ARGOS reads it. Booleans are native inside an envelope (contract 4).
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(Box<str>),
    Flag(bool),
    Texts(BTreeMap<String, String>),
    Until(Until),
}

/// When a link can be started for the last time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At this time, unless it has passed by the time of the lease: then at its deadline.
    Time(Timestamp),
    /// At the deadline of the lease.
    Deadline,
}

impl Params {
    /// Sorts; a name stands once.
    pub(super) fn new(mut entries: Vec<(Name, Said)>) -> Self {
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        Self(entries)
    }

    /// A part of what is said.
    pub(super) fn those(&self, wanted: impl Fn(&Name) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Name, &Said)> {
        self.0.iter().map(|(name, said)| (name, said))
    }

    pub fn says(&self, parameter: Parameter) -> bool {
        self.0.iter().any(|(name, _)| *name == Name::Known(parameter))
    }

    /// The same as text that can be kept: a JSON object, or nothing where nothing is said.
    pub fn to_text(&self) -> Box<str> {
        if self.0.is_empty() {
            return Box::default();
        }
        let members = self.0.iter().map(|(name, said)| (name.as_str().to_owned(), said.kept()));
        Value::Object(members.collect()).to_string().into()
    }

    /// What [`Params::to_text`] kept.
    pub fn from_text(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let malformed = Malformed::new("parameters are not what was kept");
        let members: Map<String, Value> = serde_json::from_str(text).map_err(|_| malformed)?;
        let entry = |(name, kept): (String, Value)| Some((Name::of(&name), Said::of_kept(kept)?));
        let entries: Option<Vec<_>> = members.into_iter().map(entry).collect();
        entries.map(Self::new).ok_or(malformed)
    }

    /// What a link says: in the open, and by what was kept of its envelope. A mark of ours is no part
    /// of it.
    pub fn of_link(url: &str, sealed: &str, mark: Option<&str>) -> Result<Self, Malformed> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let said = pairs.filter(|(name, value)| !RESERVED.contains(name) && Some(*value) != mark);
        let open = said.map(|(name, value)| {
            let (name, value) = (Name::of(name), percent_decode_str(value).decode_utf8_lossy());
            let said =
                if name.is_switch() { Said::of_switch(&value) } else { Said::Text(value.into()) };
            (name, said)
        });
        let sealed = Self::from_text(sealed)?;
        Ok(Self::new(open.chain(sealed.0).collect()))
    }
}

impl Said {
    /// `true` and `false` where they are native.
    pub(super) fn of_switch(text: &str) -> Self {
        match text {
            "true" => Self::Flag(true),
            "false" => Self::Flag(false),
            text => Self::Text(text.into()),
        }
    }

    fn kept(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(&**text),
            Self::Flag(flag) => Value::from(*flag),
            Self::Texts(texts) => {
                texts.iter().map(|(name, text)| (name.clone(), text.as_str())).collect()
            }
            // No other parameter is a number or nothing.
            Self::Until(Until::Time(at)) => Value::from(at.as_millis()),
            Self::Until(Until::Deadline) => Value::Null,
        }
    }

    fn of_kept(kept: Value) -> Option<Self> {
        match kept {
            Value::String(text) => Some(Self::Text(text.into())),
            Value::Bool(flag) => Some(Self::Flag(flag)),
            Value::Number(millis) => {
                Some(Self::Until(Until::Time(Timestamp::from_millis(millis.as_u64()?))))
            }
            Value::Null => Some(Self::Until(Until::Deadline)),
            Value::Object(texts) => {
                let text = |(name, text): (String, Value)| Some((name, text.as_str()?.to_owned()));
                texts.into_iter().map(text).collect::<Option<_>>().map(Self::Texts)
            }
            Value::Array(_) => None,
        }
    }
}
