//! Links: whatever is asked, faults or a link by ARGOS's rules (U1).
//!
//! A line of letters says how links of the project are written: mode, pipeline, cipher, mark, and whether
//! every link has a last start. The pid and the named template follow, and then what is asked, a parameter
//! a line: `c` for the caller, `t` for the template, `d` for the defaults, the field, and its value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use argospool::domain::{
    envelope::{Keyring, Nonce},
    ids::{Sequence, TokenId},
    limits::{LINK_BYTES_MAX, MARK_BYTES},
    liveform::{
        Asked, Draft, Form, Kind, Mode, Occasion, Parameter, Params, Pipeline, Rules, Secrecy,
        Value as Wish,
    },
    secret::Secret,
    time::Timestamp,
};
use percent_encoding::percent_decode_str;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{
    draw::Draw,
    pool::{self, NOW},
    sealed,
};

const BASE_URL: &str = "https://form.example";
const TEMPLATE: &str = "kr";
const RESERVED: [&str; 3] = ["pid", "token", "encrypted"];
/// What links carry as they are; everything else is percent-encoded.
const LETTERS: &str = "-_.!~*'()%&=?:/";

pub fn holds(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let mut head = Draw::of(draw.line());
    let mode = head.one_of(&[Mode::Plain, Mode::Mixed, Mode::Sealed]);
    let pipeline = head.one_of(&[Pipeline::IdDocument, Pipeline::Knowledge]);
    let cipher = head.one_of(&sealed::every_cipher());
    let mark = Parameter::MARKABLE.get(usize::from(head.byte() % 8)).copied();
    let always = head.flag();
    let (pid, template) = (draw.text(), draw.text());
    let [caller, preset, defaults] = asked(draw);
    // Nobody knows a mark before the link that carries it; the fuzzer finds it in the judge.
    let the_mark = pool::seal().mark(Sequence::ZERO);
    if bytes.windows(the_mark.len()).any(|part| part == the_mark.as_bytes()) {
        return;
    }
    let rules = Rules {
        extra_countries: vec!["XKX".to_owned()],
        defaults: defaults.clone(),
        templates: BTreeMap::from([(TEMPLATE.to_owned(), preset.clone())]),
        ..Rules::new(mode, pipeline)
    };
    name_fields(&rules.check_presets());
    let params = match rules.resolve(&caller, &template, NOW) {
        Ok(params) => params,
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a word");
            return name_fields(&faults);
        }
    };
    let keyring = Keyring::new(cipher, &Secret::new("test-api-key-0001".to_owned()), []);
    // A configuration with plain links has no last start in them.
    let always = always && mode != Mode::Plain;
    let form = Form::new(BASE_URL, &pid, mode, keyring).marked_by(mark).until_deadline(always);
    let layers = [Some(&caller), (template == TEMPLATE).then_some(&preset), Some(&defaults)];
    let expected = expected(layers.into_iter().flatten(), always);
    let draft = Draft { form: Arc::new(form), params, nonce: nonce(bytes) };
    says_what_was_asked(&draft, &Scene { mode, mark, pid, expected });
    comes_back_from_what_is_kept(&draft);
}

/// Names and values in one place of a link.
type Said = Vec<(String, Value)>;

/// What a link is held against.
struct Scene {
    mode: Mode,
    mark: Option<Parameter>,
    pid: String,
    /// Names as ARGOS reads them, and what they must say.
    expected: BTreeMap<String, Value>,
}

fn asked(mut draw: Draw<'_>) -> [Asked; 3] {
    let mut asked = <[Asked; 3]>::default();
    while !draw.is_empty() {
        let line = draw.text();
        let Some((who, (name, value))) =
            line.split_at_checked(1).and_then(|(who, rest)| Some((who, rest.split_once('=')?)))
        else {
            continue;
        };
        let asked = &mut asked["ctd".find(who).unwrap_or_default()];
        match Parameter::of_field(name) {
            Some(parameter) => asked.set(parameter, wish(parameter.kind(), value)),
            None if name == "!" => asked.until_deadline = true,
            None => drop(asked.unchecked.insert(name.to_owned(), value.to_owned())),
        }
    }
    asked
}

/// A value of the kind, or of another one: `~` and text where a list stands, and so on.
fn wish(kind: Kind, value: &str) -> Wish {
    let items = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
    if let Some(other) = value.strip_prefix('~') {
        return if kind == Kind::Words { other.into() } else { items(other).into() };
    }
    match kind {
        Kind::Words | Kind::Countries | Kind::IdTypes => items(value).into(),
        Kind::OffSwitch | Kind::Switch => (value == "true").into(),
        Kind::Texts => {
            let pairs = value.split(',').filter_map(|pair| pair.split_once(':'));
            let texts = pairs.map(|(name, text)| (name.to_owned(), text.to_owned()));
            texts.collect::<BTreeMap<_, _>>().into()
        }
        Kind::Time => Timestamp::from_millis(value.parse().unwrap_or_default()).into(),
        Kind::Text
        | Kind::Email
        | Kind::Language
        | Kind::Verification
        | Kind::Country
        | Kind::IdType
        | Kind::Submission
        | Kind::Action => value.into(),
    }
}

/// No fault repeats a value: names and rules are ours, and ASCII but for the dots in place of a name.
fn name_fields(faults: &[argospool::domain::liveform::Violation]) {
    for fault in faults {
        assert!(!fault.field.is_empty() && !fault.rule.is_empty(), "a fault without a field");
        let ours =
            |text: &str| text.chars().all(|it| it == '…' || it == ' ' || it.is_ascii_graphic());
        assert!(ours(&fault.field) && ours(&fault.rule), "P1: a fault repeats a value");
    }
}

/// As even as chance makes it: lengths of links rest on that.
fn nonce(bytes: &[u8]) -> Nonce {
    let mut hasher = DefaultHasher::new();
    let mut half = || {
        bytes.hash(&mut hasher);
        hasher.finish()
    };
    let (first, second) = (half(), half());
    (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
}

fn occasion(token: &TokenId) -> Occasion<'_> {
    Occasion { token, issued: NOW, deadline: NOW.plus(Duration::from_secs(600)) }
}

/// The last word on each parameter, as ARGOS has to read it.
fn expected<'a>(layers: impl Iterator<Item = &'a Asked>, always: bool) -> BTreeMap<String, Value> {
    let mut expected = BTreeMap::new();
    let until = Parameter::StartValidUntil.name();
    let deadline = || Value::from("2027-01-15T08:10:00Z");
    let layers: Vec<_> = layers.collect();
    for asked in &layers {
        for (parameter, value) in asked.values() {
            let said = match value {
                Wish::Text(text) => Value::from(text.as_str()),
                Wish::Flag(flag) => Value::from(*flag),
                Wish::List(items) => Value::from(items.join(",")),
                Wish::Texts(texts) => texts.iter().map(|(k, v)| (k.clone(), v.as_str())).collect(),
                Wish::Time(at) => Value::from(at.as_millis() / 1_000),
            };
            expected.entry(parameter.name().to_owned()).or_insert(said);
        }
    }
    for asked in &layers {
        for (name, text) in &asked.unchecked {
            let said = match text.as_str() {
                "true" => Value::from(true),
                "false" => Value::from(false),
                text => Value::from(text),
            };
            expected.entry(name.clone()).or_insert(said);
        }
    }
    if always || layers.iter().any(|asked| asked.until_deadline) {
        expected.entry(until.to_owned()).or_insert_with(deadline);
    }
    expected
}

fn says_what_was_asked(draft: &Draft, scene: &Scene) {
    let seal = pool::seal();
    let (token, mark) = (pool::token_id(&seal, 0), seal.mark(Sequence::ZERO));
    assert_eq!(mark.len(), MARK_BYTES);
    let link = draft.link(occasion(&token), || mark.clone());
    let length = draft.length(token.expose().len());
    assert!(link.url.len() <= length.url, "{} bytes, and foretold {length:?}", link.url.len());
    assert!(link.url.len() + link.sealed.len() <= length.kept, "more is kept than was foretold");
    let plain = |letter: char| letter.is_ascii_alphanumeric() || LETTERS.contains(letter);
    assert!(link.url.chars().all(plain), "a link holds what no link may");

    let (open, sealed) = read(&draft.form, &link.url);
    let names: BTreeSet<_> = open.iter().chain(&sealed).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), open.len() + sealed.len(), "U1: something stands there twice");
    let find = |list: &Said, name: &str| {
        list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    assert_eq!(find(&open, "pid"), Some(Value::from(scene.pid.as_str())), "U1: another pid");
    let token_place = if scene.mode == Mode::Sealed { &sealed } else { &open };
    assert_eq!(find(token_place, "token"), Some(Value::from(token.expose())), "U1: another token");

    let mut expected = scene.expected.clone();
    let marked = scene.mark.filter(|it| !expected.contains_key(it.name()));
    assert_eq!(link.marked, marked.is_some());
    expected.extend(marked.map(|it| (it.name().to_owned(), Value::from(mark.as_str()))));
    for (name, value) in open.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())) {
        let asked = expected.remove(name).expect("in the open stands what nobody asked");
        let text = asked.as_str().map_or_else(|| asked.to_string(), str::to_owned);
        assert_eq!(*value, Value::from(text), "the value of {name}");
        in_its_place(name, scene.mode, false, !sealed.is_empty());
    }
    for (name, value) in sealed.iter().filter(|(name, _)| name != "token") {
        let asked = expected.remove(name).expect("in the envelope stands what nobody asked");
        in_its_place(name, scene.mode, true, true);
        if let (Parameter::StartValidUntil, Some(seconds)) =
            (Parameter::of_name(name).unwrap_or(Parameter::Email), asked.as_u64())
        {
            assert_eq!(seconds_of(value), last_second().min(seconds), "another last start");
        } else {
            assert_eq!(*value, asked, "the value of {name} in the envelope");
        }
    }
    assert_eq!(expected, BTreeMap::new(), "asked, and not said");
}

/// Whether a parameter may stand where it stands.
fn in_its_place(name: &str, mode: Mode, sealed: bool, envelope: bool) {
    let place = match Parameter::of_name(name) {
        Some(Parameter::Sid | Parameter::Action) => envelope,
        Some(parameter) => match parameter.secrecy() {
            Secrecy::Open => false,
            Secrecy::Either => mode == Mode::Sealed,
            Secrecy::Sealed => true,
        },
        None => mode != Mode::Plain,
    };
    assert_eq!(sealed, place, "U1: {name} has no effect there");
}

/// The parameters of a link in the open and in its envelope, in their order and as often as they stand.
fn read(form: &Form, url: &str) -> (Said, Said) {
    let query = url.strip_prefix(BASE_URL).and_then(|rest| rest.strip_prefix('?')).unwrap();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').expect("a name and a value");
        let value = percent_decode_str(value).decode_utf8().expect("UTF-8");
        (name.to_owned(), Value::from(value.into_owned()))
    };
    let open: Vec<_> = query.split('&').map(pair).collect();
    let envelope = open.iter().find(|(name, _)| name == "encrypted");
    let Some((_, Value::String(envelope))) = envelope else { return (open, Vec::new()) };
    let said = form.open(envelope).expect("the envelope of a link opens");
    let Pairs(sealed) = serde_json::from_str(&said).unwrap();
    assert!(!sealed.is_empty(), "an envelope around nothing");
    (open, sealed)
}

/// Of the last moment that can be written.
fn last_second() -> u64 {
    jiff::Timestamp::MAX.as_second().unsigned_abs()
}

fn seconds_of(value: &Value) -> u64 {
    let written: jiff::Timestamp =
        value.as_str().and_then(|text| text.parse().ok()).expect("a time");
    u64::try_from(written.as_second()).unwrap()
}

/// A link and what is kept beside it tell everything that was said.
fn comes_back_from_what_is_kept(draft: &Draft) {
    let seal = pool::seal();
    let (token, mark) = (pool::token_id(&seal, 0), seal.mark(Sequence::ZERO));
    let link = draft.link(occasion(&token), || mark.clone());
    if link.url.len() + link.sealed.len() > LINK_BYTES_MAX {
        return;
    }
    let back =
        Params::of_link(&link.url, &link.sealed, Some(&mark)).expect("what was kept is read");
    assert!(back == draft.params, "something of a link is lost");
    let kept = draft.params.to_text();
    assert!(Params::from_text(&kept).expect("what was kept is read") == draft.params);
    let again = Draft { params: back, ..draft.clone() };
    assert_eq!(again.link(occasion(&token), || mark.clone()).url, link.url, "L3: another link");
}

/// The members of a JSON object, those of one name too.
struct Pairs(Said);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Members)
    }
}
