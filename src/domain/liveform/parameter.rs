//! The parameters of the Liveform, and what each of them may hold: the table of contract 4.

/// Whether a parameter may be read by whoever sees the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Has effect in plain text only.
    Open,
    /// Works either way.
    Either,
    /// Has effect only inside `encrypted`, or nobody could test that it has one outside.
    Sealed,
}

/// What a project verifies with. Some parameters exist in one of the two only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    IdDocument,
    Knowledge,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Email,
    Language,
    /// Names of letters and digits.
    Words,
    /// A verification beside document and face.
    Verification,
    /// `false` turns something off for this link; `true` is what holds anyway.
    OffSwitch,
    Switch,
    /// ISO 3166-1 alpha-3.
    Country,
    Countries,
    IdType,
    IdTypes,
    /// The id of a submission.
    Submission,
    /// What is done with that submission.
    Action,
    /// Names and what is filled in for them.
    Texts,
    Time,
}

macro_rules! parameters {
    ($($variant:ident: $name:literal, $field:literal, $secrecy:ident, $kind:ident, $pipeline:expr;)+) => {
        /// One parameter of a link. Their order is their order in links.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Parameter { $($variant),+ }

        impl Parameter {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As ARGOS spells it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// As the proto and the configuration spell it.
            pub const fn field(self) -> &'static str {
                match self { $(Self::$variant => $field),+ }
            }

            pub const fn secrecy(self) -> Secrecy {
                match self { $(Self::$variant => Secrecy::$secrecy),+ }
            }

            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),+ }
            }

            /// The one pipeline that knows it; `None`: both do.
            pub const fn pipeline(self) -> Option<Pipeline> {
                match self { $(Self::$variant => $pipeline),+ }
            }
        }
    };
}

const ID_DOCUMENT: Option<Pipeline> = Some(Pipeline::IdDocument);
const KNOWLEDGE: Option<Pipeline> = Some(Pipeline::Knowledge);

parameters! {
    Email: "email", "email", Either, Email, None;
    Userid: "userid", "userid", Either, Text, None;
    Cf1: "cf1", "cf1", Either, Text, None;
    Cf2: "cf2", "cf2", Either, Text, None;
    Cf3: "cf3", "cf3", Either, Text, None;
    Lang: "lang", "lang", Open, Language, None;
    BlacklistCountries: "blacklistCountries", "blacklist_countries", Either, OffSwitch, None;
    ApprovePeriod: "approvePeriod", "approve_period", Either, OffSwitch, ID_DOCUMENT;
    RejectPeriod: "rejectPeriod", "reject_period", Either, OffSwitch, ID_DOCUMENT;
    AgeLimit: "ageLimit", "age_limit", Either, OffSwitch, None;
    RejectDuplicateUser: "rejectDuplicateUser", "reject_duplicate_user", Either, Switch, None;
    Action: "action", "action", Either, Action, None;
    Sid: "sid", "sid", Either, Submission, None;
    AllowedCountries: "allowedCountries", "allowed_countries", Sealed, Countries, None;
    AllowedIdTypes: "allowedIdTypes", "allowed_id_types", Sealed, IdTypes, None;
    SelectedIssuingCountry: "selectedIssuingCountry", "selected_issuing_country", Sealed, Country, None;
    SelectedIdType: "selectedIdType", "selected_id_type", Sealed, IdType, None;
    AuxidField: "auxidField", "auxid_field", Sealed, Verification, ID_DOCUMENT;
    ProjectionId: "projectionId", "projection_id", Sealed, Text, None;
    ProjectionName: "projectionName", "projection_name", Sealed, Text, None;
    KnowledgeField: "knowledgeField", "knowledge_field", Sealed, Text, KNOWLEDGE;
    KnowledgePrefill: "knowledgePrefill", "knowledge_prefill", Sealed, Texts, KNOWLEDGE;
    AllowedDocumentFields: "allowedDocumentFields", "allowed_document_fields", Sealed, Words, None;
    MainColor: "mainColor", "main_color", Sealed, Text, None;
    InnerColor: "innerColor", "inner_color", Sealed, Text, None;
    StartValidUntil: "startValidUntil", "start_valid_until", Sealed, Time, None;
}

impl Parameter {
    /// Parameters that may carry a mark of ours, because ARGOS echoes them.
    pub const MARKABLE: [Self; 4] = [Self::Userid, Self::Cf1, Self::Cf2, Self::Cf3];

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|parameter| parameter.name() == name)
    }

    pub fn of_field(field: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|parameter| parameter.field() == field)
    }
}

/// Names in a link that are not a caller's to use.
pub(super) const RESERVED: [&str; 3] = ["pid", "token", "encrypted"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_its_name_in_snake_case() {
        for parameter in Parameter::ALL {
            let mut field = String::new();
            for letter in parameter.name().chars() {
                if letter.is_ascii_uppercase() {
                    field.push('_');
                }
                field.push(letter.to_ascii_lowercase());
            }
            assert_eq!(field, parameter.field());
            assert_eq!(Parameter::of_name(parameter.name()), Some(*parameter));
            assert_eq!(Parameter::of_field(&field), Some(*parameter));
            assert!(!RESERVED.contains(&parameter.name()));
        }
    }

    #[test]
    fn what_carries_a_mark_works_in_every_mode() {
        for parameter in Parameter::MARKABLE {
            assert_eq!((parameter.secrecy(), parameter.kind()), (Secrecy::Either, Kind::Text));
        }
    }
}
