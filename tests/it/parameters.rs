//! The table of every parameter and what becomes of it in each mode, for whoever writes a caller.
//!
//! It is made by asking the rules, so that it cannot say what does not hold. What it says is kept in
//! `tests/golden/parameters.md`.

use std::{collections::BTreeMap, fs, sync::Arc};

use argospool::domain::{
    envelope::{Cipher, Keyring, Nonce},
    ids::TokenId,
    liveform::{
        Asked, Draft, Form, Kind, Mode, Occasion, Parameter, Params, Pipeline, Rules, Value,
    },
    secret::Secret,
    time::Timestamp,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/parameters.md");
/// Writes the table anew instead of holding it against the one that is kept.
const WRITE: &str = "ARGOSPOOL_WRITE_GOLDEN";
const MODES: [Mode; 3] = [Mode::Plain, Mode::Mixed, Mode::Sealed];
const HEAD: &str = "\
# Parameters of a link

What becomes of each parameter in the modes of `liveform.mode`: it stands in the open, it stands sealed
inside of `encrypted`, or the request is refused.

| parameter | field | plain | mixed | sealed | notes |
| --- | --- | --- | --- | --- | --- |
";
const NOON: Timestamp = Timestamp::from_millis(1_776_000_000_000);

/// A value that nothing but other parameters can make wrong.
fn value(parameter: Parameter) -> Value {
    match parameter.kind() {
        Kind::Text => Value::from("text"),
        Kind::Verification => Value::from("phoneNumber"),
        Kind::Email => Value::from("person@example.com"),
        Kind::Language => Value::from("ko"),
        Kind::Words => Value::from(vec!["word".to_owned()]),
        Kind::OffSwitch | Kind::Switch => Value::from(false),
        Kind::Country => Value::from("KOR"),
        Kind::Countries => Value::from(vec!["KOR".to_owned()]),
        Kind::IdType => Value::from("passport"),
        Kind::IdTypes => Value::from(vec!["passport".to_owned()]),
        Kind::Submission => Value::from("sub-1"),
        Kind::Action => Value::from("addveri"),
        Kind::Texts => Value::from(BTreeMap::from([("name".to_owned(), "text".to_owned())])),
        Kind::Time => Value::from(NOON.plus(std::time::Duration::from_secs(60))),
    }
}

fn resolved(mode: Mode, pipeline: Pipeline, said: &[Parameter]) -> Option<Params> {
    let rules = Rules { mode, pipeline, ..crate::links::rules() };
    let asked = said.iter().fold(Asked::default(), |asked, it| asked.with(*it, value(*it)));
    rules.resolve(&asked, "", NOON).ok()
}

/// The pipeline of most projects, unless this one parameter is not known there.
fn pipeline(parameter: Parameter) -> Pipeline {
    parameter.pipeline().unwrap_or(Pipeline::IdDocument)
}

fn accepts(parameter: Parameter, said: &[Parameter]) -> bool {
    resolved(Mode::Mixed, pipeline(parameter), said).is_some()
}

/// The others without which it is refused.
fn needs(parameter: Parameter) -> Vec<Parameter> {
    if accepts(parameter, &[parameter]) {
        return Vec::new();
    }
    let others = Parameter::ALL.iter().copied();
    others.filter(|other| accepts(parameter, &[parameter, *other])).collect()
}

/// The others beside which it is refused, although each of the two has what it needs.
fn excludes(parameter: Parameter) -> Vec<Parameter> {
    let whole = |it: Parameter| [vec![it], needs(it)].concat();
    let others = Parameter::ALL.iter().copied().filter(|other| {
        let foreign = other.pipeline().is_some_and(|it| it != pipeline(parameter));
        !foreign && !accepts(parameter, &[whole(parameter), whole(*other)].concat())
    });
    others.collect()
}

/// What becomes of it, beside others that are said.
fn place(parameter: Parameter, mode: Mode, others: &[Parameter]) -> &'static str {
    let said = [&[parameter], others].concat();
    let Some(params) = resolved(mode, pipeline(parameter), &said) else { return "refused" };
    let keyring = Keyring::new(Cipher::Ecb, &Secret::new("test-api-key-0001".to_owned()), []);
    let form = Form::new("https://form.example", "pid_test", mode, keyring);
    let draft = Draft { form: Arc::new(form), params, nonce: Nonce::default() };
    let token = TokenId::parse("kyc-000000000001a").unwrap();
    let occasion = Occasion { token: &token, issued: NOON, deadline: NOON };
    let url = draft.link(occasion, String::new).url;
    let (open, envelope) = url.split_once("&encrypted=").unwrap_or((&url, ""));
    let envelope = percent_encoding::percent_decode_str(envelope).decode_utf8().unwrap();
    let inside = draft.form.open(&envelope).unwrap_or_default();
    let stands = (
        open.contains(&format!("&{}=", parameter.name())),
        inside.contains(&format!("\"{}\":", parameter.name())),
    );
    match stands {
        (true, false) => "open",
        (false, true) => "sealed",
        other => panic!("{parameter:?} in {mode:?}: in both places or in none: {other:?}"),
    }
}

fn notes(parameter: Parameter) -> String {
    let fields = |all: Vec<Parameter>| {
        all.into_iter().map(|it| format!("`{}`", it.field())).collect::<Vec<_>>().join(", ")
    };
    let mut notes = Vec::new();
    match parameter.pipeline() {
        Some(Pipeline::IdDocument) => notes.push("pipeline `id_document` only".to_owned()),
        Some(Pipeline::Knowledge) => notes.push("pipeline `knowledge` only".to_owned()),
        None => {}
    }
    if parameter.kind() == Kind::OffSwitch {
        notes.push("only `false`".to_owned());
    }
    for (word, others) in [("needs", needs(parameter)), ("excludes", excludes(parameter))] {
        if !others.is_empty() {
            notes.push(format!("{word} {}", fields(others)));
        }
    }
    let needed = needs(parameter);
    let beside = [needed.clone(), vec![Parameter::MainColor]].concat();
    let alone = place(parameter, Mode::Mixed, &needed);
    let in_company = place(parameter, Mode::Mixed, &beside);
    if alone != in_company {
        notes.push(format!("mixed: {in_company} beside what is sealed"));
    }
    if Parameter::MARKABLE.contains(&parameter) {
        notes.push("may carry our mark (`liveform.correlation_field`)".to_owned());
    }
    notes.join("; ")
}

fn table() -> String {
    let row = |parameter: &Parameter| {
        let places = MODES.map(|mode| place(*parameter, mode, &needs(*parameter)));
        let (name, field, notes) = (parameter.name(), parameter.field(), notes(*parameter));
        format!("| `{name}` | `{field}` | {} | {notes} |\n", places.join(" | "))
    };
    HEAD.to_owned() + &Parameter::ALL.iter().map(row).collect::<String>()
}

#[test]
fn the_table_of_parameters_says_what_the_rules_do() {
    let table = table().replace("|  |", "| |");
    if std::env::var_os(WRITE).is_some() {
        fs::write(GOLDEN, &table).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    let hint = format!("run `{WRITE}=1 cargo test --test it the_table_of_parameters`");
    assert_eq!(golden, table, "{hint}");
}
