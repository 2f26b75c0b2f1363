//! What ARGOS accepts in a link (contract 4), held against what somebody asks.
//!
//! Everything at fault is named at once, with the fix. What is said more than once counts once: the
//! caller's word before the template's, the template's before the project's defaults.

use std::collections::BTreeMap;

use super::{
    Mode, Violation,
    asked::{Asked, Value},
    countries,
    parameter::{Kind, Parameter, Pipeline, RESERVED, Secrecy},
    params::{Name, Params, Said, Until},
    shape,
};
use crate::domain::time::Timestamp;

/// Codes of documents that ARGOS's pages name.
const ID_TYPES: [&str; 5] =
    ["drivers_license", "government_id", "passport", "residence_permit", "visa"];
/// Parameters that one link may pass on unchecked.
const UNCHECKED_MAX: usize = 16;

/// What links of a project may say, and what they say when nobody asks.
#[derive(Clone, Debug)]
pub struct Rules {
    pub mode: Mode,
    pub pipeline: Pipeline,
    /// Codes beyond ISO 3166-1 and beyond those of documents that this version knows.
    pub extra_countries: Vec<String>,
    pub extra_id_types: Vec<String>,
    pub defaults: Asked,
    pub templates: BTreeMap<String, Asked>,
}

/// Who said something.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Caller,
    Template(&'a str),
    Defaults,
}

impl Rules {
    /// Rules without defaults and templates.
    pub const fn new(mode: Mode, pipeline: Pipeline) -> Self {
        Self {
            mode,
            pipeline,
            extra_countries: Vec::new(),
            extra_id_types: Vec::new(),
            defaults: Asked::EMPTY,
            templates: BTreeMap::new(),
        }
    }

    /// What a link says for a caller who asks this, with a template or without one. `now` is held
    /// against times.
    pub fn resolve(
        &self,
        asked: &Asked,
        template: &str,
        now: Timestamp,
    ) -> Result<Params, Vec<Violation>> {
        let mut faults = Faults(Vec::new());
        let named = self.templates.get_key_value(template);
        if named.is_none() && !template.is_empty() {
            faults.add("template", self.known_templates());
        }
        let mut layers = vec![(Origin::Caller, asked)];
        layers.extend(named.map(|(name, asked)| (Origin::Template(name), asked)));
        layers.push((Origin::Defaults, &self.defaults));
        self.settle(&layers, now, faults)
    }

    /// What is wrong with the defaults, and with each template over them, whoever asks.
    pub fn check_presets(&self) -> Vec<Violation> {
        let defaults = (Origin::Defaults, &self.defaults);
        let nothing = |layers: &[_]| {
            self.settle(layers, Timestamp::ZERO, Faults(Vec::new())).err().unwrap_or_default()
        };
        let mut violations = nothing(&[defaults]);
        violations.iter_mut().for_each(|fault| fault.field.insert_str(0, "defaults."));
        if violations.is_empty() {
            for (name, template) in &self.templates {
                let faults = nothing(&[(Origin::Template(name), template), defaults]);
                violations.extend(faults.into_iter().map(|Violation { field, rule }| Violation {
                    field: format!("templates.{name}.{field}"),
                    rule,
                }));
            }
        }
        violations
    }

    fn settle(
        &self,
        layers: &[(Origin<'_>, &Asked)],
        now: Timestamp,
        mut faults: Faults,
    ) -> Result<Params, Vec<Violation>> {
        let mut said = BTreeMap::new();
        for (origin, asked) in layers {
            for (parameter, value) in asked.values() {
                said.entry(parameter).or_insert((*origin, value));
            }
        }
        let mut entries = Vec::with_capacity(said.len());
        for (parameter, (_, value)) in &said {
            self.place(*parameter, &mut faults);
            entries.extend(
                self.value(*parameter, value, now, &mut faults)
                    .map(|value| (Name::Known(*parameter), value)),
            );
        }
        self.relations(&said, &mut faults);
        if let Some((_, asked)) = layers.iter().find(|(_, asked)| asked.until_deadline) {
            if asked.get(Parameter::StartValidUntil).is_some() {
                let rule = "must be false beside start_valid_until: one link has one last start";
                faults.add("start_valid_until_deadline", rule);
            } else if !said.contains_key(&Parameter::StartValidUntil) {
                self.place(Parameter::StartValidUntil, &mut faults);
                let until = Said::Until(Until::Deadline);
                entries.push((Name::Known(Parameter::StartValidUntil), until));
            }
        }
        let mut others = BTreeMap::new();
        for (name, text) in layers.iter().flat_map(|(_, asked)| &asked.unchecked) {
            others.entry(name.as_str()).or_insert(text.as_str());
        }
        unchecked(&others, &mut entries, &mut faults);
        if faults.0.is_empty() { Ok(Params::new(entries)) } else { Err(faults.0) }
    }

    /// Whether a parameter exists in links of this project.
    fn place(&self, parameter: Parameter, faults: &mut Faults) {
        let field = parameter.field();
        if self.mode == Mode::Plain && parameter.secrecy() == Secrecy::Sealed {
            let rule = "must be encrypted, and the links of this project are plain: leave it out, or \
                        set liveform.mode to mixed or sealed";
            faults.add(field, rule);
        }
        if parameter.pipeline().is_some_and(|pipeline| pipeline != self.pipeline) {
            let rule = match self.pipeline {
                Pipeline::IdDocument => {
                    "exists in knowledge-based projects only: leave it out, or set \
                     liveform.pipeline to knowledge if this is one"
                }
                Pipeline::Knowledge => {
                    "does not exist in knowledge-based projects: leave it out, or set \
                     liveform.pipeline to id_document if this is none"
                }
            };
            faults.add(field, rule);
        }
    }

    fn value(
        &self,
        parameter: Parameter,
        value: &Value,
        now: Timestamp,
        faults: &mut Faults,
    ) -> Option<Said> {
        let field = parameter.field();
        match (parameter.kind(), value) {
            (Kind::Text, Value::Text(text)) => text_of(text, shape::text(text), field, faults),
            (Kind::Email, Value::Text(text)) => text_of(text, shape::email(text), field, faults),
            (Kind::Language, Value::Text(text)) => {
                text_of(text, shape::language(text), field, faults)
            }
            (Kind::Verification, Value::Text(text)) => {
                text_of(text, shape::verification(text), field, faults)
            }
            (Kind::Submission, Value::Text(text)) => {
                text_of(text, shape::submission(text), field, faults)
            }
            (Kind::Action, Value::Text(text)) => text_of(text, shape::action(text), field, faults),
            (Kind::Country, Value::Text(text)) => text_of(text, self.country(text), field, faults),
            (Kind::IdType, Value::Text(text)) => text_of(text, self.id_type(text), field, faults),
            (Kind::Countries, Value::List(items)) => {
                list_of(items, |item| self.country(item), field, faults)
            }
            (Kind::IdTypes, Value::List(items)) => {
                list_of(items, |item| self.id_type(item), field, faults)
            }
            (Kind::Words, Value::List(items)) => list_of(items, shape::word, field, faults),
            (Kind::OffSwitch, Value::Flag(true)) => {
                let rule = "must be false or left out: only false has an effect, for this link it \
                            turns the policy of the project off";
                faults.add(field, rule);
                None
            }
            (Kind::OffSwitch | Kind::Switch, Value::Flag(flag)) => Some(Said::Flag(*flag)),
            (Kind::Texts, Value::Texts(texts)) => {
                for (name, text) in texts {
                    let at = format!("{field}[{}]", shape::shown(name));
                    faults.check(&at, shape::word(name).err().or(shape::text(text).err()));
                }
                Some(Said::Texts(texts.clone()))
            }
            (Kind::Time, Value::Time(at)) => {
                let at = in_whole_seconds(*at);
                faults.check(field, (at <= now).then(|| "must be in the future".to_owned()));
                Some(Said::Until(Until::Time(at)))
            }
            (kind, _) => {
                faults.add(field, kind.expected());
                None
            }
        }
    }

    /// What goes together, and what does not.
    fn relations(&self, said: &BTreeMap<Parameter, (Origin<'_>, &Value)>, faults: &mut Faults) {
        use Parameter::{
            Action, AllowedCountries, AllowedIdTypes, AuxidField, SelectedIdType,
            SelectedIssuingCountry, Sid,
        };
        let by = |parameter| said.get(&parameter).map(|(origin, _)| origin.as_text());
        let mut needs = |one: Parameter, other: Parameter| {
            if let (Some(origin), None) = (by(one), by(other)) {
                faults.add(one.field(), format!("needs {} beside it{origin}", other.field()));
            }
        };
        needs(SelectedIdType, SelectedIssuingCountry);
        needs(Action, Sid);
        needs(Sid, Action);
        for other in [SelectedIssuingCountry, SelectedIdType] {
            if let (Some(_), Some(origin)) = (by(AuxidField), by(other)) {
                let rule = format!("cannot be combined with {}{origin}", other.field());
                faults.add(AuxidField.field(), rule);
            }
        }
        for (one, of) in
            [(SelectedIssuingCountry, AllowedCountries), (SelectedIdType, AllowedIdTypes)]
        {
            if let (Some((_, Value::Text(one_said))), Some((origin, Value::List(allowed)))) =
                (said.get(&one), said.get(&of))
                && !allowed.contains(one_said)
            {
                let rule = format!("must be one of {}{}", of.field(), origin.as_text());
                faults.add(one.field(), rule);
            }
        }
    }

    fn country(&self, code: &str) -> Result<(), String> {
        let known = |code: &str| {
            countries::is_assigned(code) || self.extra_countries.iter().any(|it| it == code)
        };
        if known(code) {
            return Ok(());
        }
        let upper = code.to_ascii_uppercase();
        Err(if known(&upper) {
            format!("must be in upper case: {upper}")
        } else {
            "must be a country code of ISO 3166-1 alpha-3 such as KOR; others are allowed by \
             liveform.extra_countries"
                .to_owned()
        })
    }

    fn id_type(&self, code: &str) -> Result<(), String> {
        let known = ID_TYPES.contains(&code) || self.extra_id_types.iter().any(|it| it == code);
        if known {
            return Ok(());
        }
        Err(format!(
            "must be one of {}; others are allowed by liveform.extra_id_types",
            ID_TYPES.join(", ")
        ))
    }

    fn known_templates(&self) -> String {
        if self.templates.is_empty() {
            return "must be empty: this project has no templates".to_owned();
        }
        let names: Vec<_> = self.templates.keys().map(String::as_str).collect();
        format!("must be one of {}", names.join(", "))
    }
}

impl Origin<'_> {
    fn as_text(self) -> String {
        match self {
            Self::Caller => String::new(),
            Self::Template(name) => format!(" (template {name})"),
            Self::Defaults => " (defaults of the project)".to_owned(),
        }
    }
}

impl Kind {
    /// What a value of another type is told.
    const fn expected(self) -> &'static str {
        match self {
            Self::Text
            | Self::Email
            | Self::Language
            | Self::Verification
            | Self::Country
            | Self::IdType
            | Self::Submission
            | Self::Action => "must be text",
            Self::Words | Self::Countries | Self::IdTypes => "must be a list of text",
            Self::OffSwitch | Self::Switch => "must be true or false",
            Self::Texts => "must be names with text",
            Self::Time => "must be a time",
        }
    }
}

/// As links carry times: what is left of a second is cut off.
fn in_whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() / 1_000 * 1_000)
}

/// Everything that is wrong so far.
struct Faults(Vec<Violation>);

impl Faults {
    fn add(&mut self, field: &str, rule: impl Into<String>) {
        self.0.push(Violation { field: field.to_owned(), rule: rule.into() });
    }

    fn check(&mut self, field: &str, fault: Option<String>) {
        if let Some(rule) = fault {
            self.add(field, rule);
        }
    }
}

fn text_of(
    text: &str,
    checked: Result<(), String>,
    field: &str,
    faults: &mut Faults,
) -> Option<Said> {
    faults.check(field, checked.err());
    Some(Said::Text(text.into()))
}

fn list_of(
    items: &[String],
    check: impl Fn(&str) -> Result<(), String>,
    field: &str,
    faults: &mut Faults,
) -> Option<Said> {
    for (place, item) in items.iter().enumerate() {
        let at = format!("{field}[{place}]");
        faults.check(&at, check(item).err());
        if let Some(first) = items[..place].iter().position(|before| before == item) {
            faults.add(&at, format!("repeats {field}[{first}]"));
        }
    }
    Some(Said::Text(items.join(",").into()))
}

/// Parameters that are passed on as they are: of no other name than one that could be ARGOS's, and of
/// none that has a field.
fn unchecked(asked: &BTreeMap<&str, &str>, entries: &mut Vec<(Name, Said)>, faults: &mut Faults) {
    if asked.len() > UNCHECKED_MAX {
        faults.add("unchecked", format!("must have at most {UNCHECKED_MAX} entries"));
    }
    for (name, text) in asked {
        let at = format!("unchecked[{}]", shape::shown(name));
        let same = |known: &str| known.eq_ignore_ascii_case(name);
        if let Some(parameter) =
            Parameter::ALL.iter().find(|it| same(it.name()) || same(it.field()))
        {
            faults.add(&at, format!("has a field of its own: {}", parameter.field()));
        } else if RESERVED.into_iter().any(same) {
            faults.add(&at, "is the daemon's to set");
        } else {
            faults.check(&at, shape::word(name).err().or(shape::text(text).err()));
        }
        entries.push((Name::Other((*name).into()), Said::of_switch(text)));
    }
}

#[cfg(test)]
mod tests;
