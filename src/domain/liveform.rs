//! The URL a caller receives (contract 4).
//!
//! It has two parts: a head that is the project's, and a query that is the caller's. The token stands
//! between them, so that leasing is one concatenation.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    ids::TokenId,
    limits::{MARK_BYTES, PARAM_BYTES_MAX},
};

/// What JavaScript's `encodeURIComponent` leaves alone, as ARGOS's own samples use it.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The part of every URL that belongs to the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    head: String,
    /// The parameter that carries a mark of ours when the caller leaves it empty.
    mark_field: Option<&'static str>,
}

/// Parameters that may carry a mark.
pub const MARK_FIELDS: [&str; 4] = ["userid", "cf1", "cf2", "cf3"];

impl Form {
    /// `base_url` without query, such as `https://form.argosidentity.com`.
    pub fn new(base_url: &str, pid: &str) -> Self {
        let base_url = base_url.trim_end_matches('/');
        let head = format!("{base_url}?pid={}&token=", utf8_percent_encode(pid, COMPONENT));
        Self { head, mark_field: None }
    }

    /// The same, with marks in one of [`MARK_FIELDS`].
    #[must_use]
    pub fn marked_by(mut self, field: Option<&'static str>) -> Self {
        self.mark_field = field;
        self
    }

    /// The whole URL, and whether it carries the mark. Neither a token id nor a mark needs encoding
    /// (U1).
    pub fn url(
        &self,
        token: &TokenId,
        query: &Query,
        mark: impl FnOnce() -> String,
    ) -> (Box<str>, bool) {
        let mut url = String::with_capacity(self.length(token.expose().len(), query));
        url.push_str(&self.head);
        url.push_str(token.expose());
        url.push_str(&query.0);
        let field = self.free_field(query);
        if let Some(field) = field {
            url.push_str(&parameter(field));
            url.push_str(&mark());
        }
        (url.into(), field.is_some())
    }

    /// The caller's part of a URL that was made for this token, with this mark.
    pub fn query_of(url: &str, token: &TokenId, mark: Option<&str>) -> Query {
        let tail = url.split_once(token.expose()).map_or("", |(_, tail)| tail);
        let marked = mark.and_then(|mark| {
            let own = |field: &&str| tail.strip_suffix(mark)?.strip_suffix(&parameter(field));
            MARK_FIELDS.iter().find_map(own)
        });
        Query(marked.unwrap_or(tail).to_owned())
    }

    /// Bytes of a URL with a token of this length.
    pub fn length(&self, token_bytes: usize, query: &Query) -> usize {
        let mark = self.free_field(query).map_or(0, |field| parameter(field).len() + MARK_BYTES);
        self.head.len() + token_bytes + query.0.len() + mark
    }

    fn free_field(&self, query: &Query) -> Option<&'static str> {
        self.mark_field.filter(|field| !query.0.contains(&parameter(field)))
    }
}

fn parameter(field: &str) -> String {
    format!("&{field}=")
}

/// The caller's part of a URL: checked, percent-encoded, in a fixed order. Empty for a caller who
/// said nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query(String);

/// Parameters are personal: they are not printed.
impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Query(…)")
    }
}

/// What the Liveform is told about a person. Empty means not given.
#[derive(Clone, Copy, Default)]
pub struct Params<'a> {
    pub email: &'a str,
    pub userid: &'a str,
    pub cf1: &'a str,
    pub cf2: &'a str,
    pub cf3: &'a str,
    pub lang: &'a str,
}

/// A field that breaks a rule. The value, which may be personal, is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub field: String,
    pub rule: String,
}

impl Query {
    /// Checks every parameter, and names all that are at fault.
    pub fn build(params: &Params<'_>) -> Result<Self, Vec<Violation>> {
        let fields = [
            ("email", params.email),
            ("userid", params.userid),
            ("cf1", params.cf1),
            ("cf2", params.cf2),
            ("cf3", params.cf3),
            ("lang", params.lang),
        ];
        let mut query = String::new();
        let mut violations = Vec::new();
        for (field, value) in fields {
            if value.is_empty() {
                continue;
            }
            if let Some(rule) = broken_rule(field, value) {
                violations.push(Violation { field: field.to_owned(), rule });
                continue;
            }
            query.push('&');
            query.push_str(field);
            query.push('=');
            query.extend(utf8_percent_encode(value, COMPONENT));
        }
        if violations.is_empty() { Ok(Self(query)) } else { Err(violations) }
    }
}

fn broken_rule(field: &str, value: &str) -> Option<String> {
    if value.len() > PARAM_BYTES_MAX {
        return Some(format!("must have at most {PARAM_BYTES_MAX} bytes"));
    }
    if value.chars().any(char::is_control) {
        return Some("must not contain control characters".to_owned());
    }
    match field {
        "email" if !is_email(value) => Some("must be an e-mail address".to_owned()),
        "lang" if !is_language(value) => {
            Some("must be a language code such as \"ko\" or \"pt-BR\"".to_owned())
        }
        _ => None,
    }
}

fn is_email(value: &str) -> bool {
    let Some((local, host)) = value.rsplit_once('@') else { return false };
    !local.is_empty() && !host.is_empty() && !value.contains(char::is_whitespace)
}

fn is_language(value: &str) -> bool {
    let mut parts = value.split(['-', '_']);
    let first = parts.next().is_some_and(|part| {
        (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    let rest = parts.all(|part| {
        (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    first && rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenId {
        TokenId::parse("ap-000000000000000000001").unwrap()
    }

    #[test]
    fn a_url_without_parameters_is_what_the_guide_prints() {
        let form = Form::new("https://form.argosidentity.com/", "pid_abc123");
        assert_eq!(
            &*form.url(&token(), &Query::default(), String::new).0,
            "https://form.argosidentity.com?pid=pid_abc123&token=ap-000000000000000000001"
        );
    }

    #[test]
    fn values_are_encoded_as_encode_uri_component_does_it() {
        let params = Params {
            email: "kim+1@example.com",
            userid: "a/b?c=d&e#f",
            cf1: "김 선생",
            cf2: "100%",
            cf3: "-_.!~*'()",
            lang: "ko",
        };
        let query = Query::build(&params).unwrap();
        assert_eq!(
            query.0,
            "&email=kim%2B1%40example.com&userid=a%2Fb%3Fc%3Dd%26e%23f\
             &cf1=%EA%B9%80%20%EC%84%A0%EC%83%9D&cf2=100%25&cf3=-_.!~*'()&lang=ko"
        );
        let form = Form::new("https://form.argosidentity.com", "p");
        let (url, _) = form.url(&token(), &query, String::new);
        assert_eq!(url.len(), form.length(token().expose().len(), &query));
    }

    #[test]
    fn a_mark_stands_where_the_caller_said_nothing_and_is_taken_off_again() {
        let form = Form::new("https://form.argosidentity.com", "p").marked_by(Some("userid"));
        let mark = "m".repeat(MARK_BYTES);
        let params = Params { cf1: "1", ..Params::default() };
        let query = Query::build(&params).unwrap();
        let (url, marked) = form.url(&token(), &query, || mark.clone());
        assert!(marked && url.ends_with(&format!("&cf1=1&userid={mark}")));
        assert_eq!(url.len(), form.length(token().expose().len(), &query));
        assert_eq!(Form::query_of(&url, &token(), Some(&mark)), query);
    }

    #[test]
    fn a_caller_s_own_value_is_never_replaced_by_a_mark() {
        let form = Form::new("https://form.argosidentity.com", "p").marked_by(Some("userid"));
        let query = Query::build(&Params { userid: "u1", ..Params::default() }).unwrap();
        let (url, marked) = form.url(&token(), &query, || unreachable!("no mark is wanted"));
        assert!(!marked && url.ends_with("&userid=u1"));
        assert_eq!(Form::query_of(&url, &token(), None), query);
    }

    #[test]
    fn every_parameter_at_fault_is_named() {
        let long = "x".repeat(PARAM_BYTES_MAX + 1);
        let params = Params {
            email: "nobody",
            userid: &long,
            cf1: "a\nb",
            lang: "klingon!",
            ..Params::default()
        };
        let violations = Query::build(&params).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["email", "userid", "cf1", "lang"]);
    }

    /// P1.
    #[test]
    fn parameters_are_not_printed() {
        let query = Query::build(&Params { userid: "u-17", ..Params::default() }).unwrap();
        assert!(!format!("{query:?}").contains("17"));
    }
}
