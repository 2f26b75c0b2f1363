use super::*;
use crate::domain::{
    envelope::{Layout, NonceLength},
    secret::Secret,
};

const ISSUED: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const DEADLINE: Timestamp = Timestamp::from_millis(1_790_000_600_999);
const HEAD: &str = "https://form.argosidentity.com?pid=pid_abc123";
const TOKEN: &str = "ap-000000000000000000001";

fn token() -> TokenId {
    TokenId::parse(TOKEN).unwrap()
}

fn keyring() -> Keyring {
    Keyring::new(Cipher::Ecb, &Secret::new("test-api-key-0001".to_owned()), [])
}

fn form(mode: Mode) -> Form {
    Form::new("https://form.argosidentity.com/", "pid_abc123", mode, keyring())
}

fn rules(mode: Mode) -> Rules {
    Rules::new(mode, Pipeline::IdDocument)
}

fn params(mode: Mode, asked: &Asked) -> Params {
    rules(mode).resolve(asked, "", ISSUED).unwrap()
}

fn draft(form: Form, params: Params) -> Draft {
    Draft { form: Arc::new(form), params, nonce: Nonce::default() }
}

fn link(draft: &Draft) -> Link {
    let token = token();
    let occasion = Occasion { token: &token, issued: ISSUED, deadline: DEADLINE };
    draft.link(occasion, || "m".repeat(MARK_BYTES))
}

/// What stands in the open, and what in the envelope.
fn read(link: &Link) -> (String, Option<String>) {
    let tail = link.url.strip_prefix(HEAD).unwrap();
    let Some((before, rest)) = tail.split_once("&encrypted=") else {
        return (tail.to_owned(), None);
    };
    let sealed = percent_encoding::percent_decode_str(rest).decode_utf8().unwrap();
    (before.to_owned(), Some(form(Mode::Mixed).open(&sealed).unwrap()))
}

fn everything() -> Asked {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    Asked::default()
        .with(Parameter::Email, "kim+1@example.com")
        .with(Parameter::Lang, "ko")
        .with(Parameter::AgeLimit, false)
        .with(Parameter::RejectDuplicateUser, true)
        .with(Parameter::AllowedCountries, list(&["USA", "KOR"]))
        .with(Parameter::AllowedIdTypes, list(&["passport"]))
}

#[test]
fn a_link_without_parameters_is_what_the_guide_prints() {
    for mode in [Mode::Plain, Mode::Mixed] {
        let link = link(&draft(form(mode), Params::default()));
        assert_eq!(*link.url, format!("{HEAD}&token={TOKEN}"));
        assert_eq!((link.marked, &*link.sealed), (false, ""));
    }
}

#[test]
fn values_are_encoded_as_encode_uri_component_does_it() {
    let asked = Asked::default()
        .with(Parameter::Email, "kim+1@example.com")
        .with(Parameter::Userid, "a/b?c=d&e#f")
        .with(Parameter::Cf1, "김 선생")
        .with(Parameter::Cf2, "100%")
        .with(Parameter::Cf3, "-_.!~*'()")
        .with(Parameter::Lang, "ko");
    let link = link(&draft(form(Mode::Plain), params(Mode::Plain, &asked)));
    assert_eq!(
        read(&link).0,
        format!(
            "&token={TOKEN}&email=kim%2B1%40example.com&userid=a%2Fb%3Fc%3Dd%26e%23f\
             &cf1=%EA%B9%80%20%EC%84%A0%EC%83%9D&cf2=100%25&cf3=-_.!~*'()&lang=ko"
        )
    );
}

#[test]
fn modes_are_called_as_the_configuration_spells_them() {
    let names = [Mode::Plain, Mode::Mixed, Mode::Sealed].map(Mode::as_str);
    assert_eq!(names, ["plain", "mixed", "sealed"]);
}

/// GCM is broken by a nonce that is used twice.
#[test]
fn a_link_that_is_sealed_with_gcm_draws_its_nonce() {
    struct Sevens;
    impl Entropy for Sevens {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }
    let shape = Gcm::all().next().unwrap();
    let key = Secret::new("test-api-key-0001".to_owned());
    let keyring = Keyring::new(Cipher::Gcm(shape), &key, []);
    let form = Form::new("https://form.argosidentity.com/", "pid_abc123", Mode::Mixed, keyring);
    assert_eq!(form.nonce(&mut Sevens), [7; 16]);
}

/// Contract 4: what must be encrypted is, and nothing stands in both places.
#[test]
fn a_mixed_link_seals_what_must_be_and_nothing_else() {
    let link = link(&draft(form(Mode::Mixed), params(Mode::Mixed, &everything())));
    let (open, sealed) = read(&link);
    assert_eq!(
        open,
        format!(
            "&token={TOKEN}&email=kim%2B1%40example.com&lang=ko&ageLimit=false\
             &rejectDuplicateUser=true"
        )
    );
    assert_eq!(sealed.unwrap(), r#"{"allowedCountries":"USA,KOR","allowedIdTypes":"passport"}"#);
}

/// Contract 4: encryption-only mode.
#[test]
fn a_sealed_link_shows_the_pid_and_the_language_alone() {
    let sealing = form(Mode::Sealed).marked_by(Some(Parameter::Cf3));
    let link = link(&draft(sealing, params(Mode::Sealed, &everything())));
    let (open, sealed) = read(&link);
    assert_eq!(open, "&lang=ko");
    assert_eq!(
        sealed.unwrap(),
        format!(
            r#"{{"token":"{TOKEN}","email":"kim+1@example.com","ageLimit":false,"rejectDuplicateUser":true,"allowedCountries":"USA,KOR","allowedIdTypes":"passport","cf3":"{}"}}"#,
            "m".repeat(MARK_BYTES)
        )
    );
    assert!(link.marked);
}

#[test]
fn what_is_sealed_is_percent_encoded() {
    let link = link(&draft(form(Mode::Sealed), params(Mode::Sealed, &everything())));
    let sealed = link.url.split_once("&encrypted=").unwrap().1;
    assert!(!sealed.contains(['+', '/', '=', '&']), "{sealed}");
    assert!(sealed.contains('%'));
}

#[test]
fn an_injection_stands_in_the_open_alone_and_inside_of_an_envelope_that_is_there() {
    let asked = Asked::default().with(Parameter::Action, "addveri").with(Parameter::Sid, "sub-1");
    let alone = link(&draft(form(Mode::Mixed), params(Mode::Mixed, &asked)));
    assert_eq!(read(&alone), (format!("&token={TOKEN}&action=addveri&sid=sub-1"), None));
    let asked = asked.with(Parameter::AllowedCountries, vec!["KOR".to_owned()]);
    let beside = link(&draft(form(Mode::Mixed), params(Mode::Mixed, &asked)));
    let (open, sealed) = read(&beside);
    assert_eq!(open, format!("&token={TOKEN}"));
    assert_eq!(sealed.unwrap(), r#"{"action":"addveri","sid":"sub-1","allowedCountries":"KOR"}"#);
    let asked = Asked::default().with(Parameter::Action, "addveri").with(Parameter::Sid, "sub-1");
    let dated = form(Mode::Mixed).until_deadline(true);
    let (open, sealed) = read(&link(&draft(dated, params(Mode::Mixed, &asked))));
    assert_eq!(open, format!("&token={TOKEN}"));
    assert!(sealed.unwrap().starts_with(r#"{"action":"addveri","sid":"sub-1","startValidUntil":"#));
}

#[test]
fn a_link_can_be_started_until_its_own_time_or_the_deadline_of_its_lease() {
    let until = |form: Form, asked: &Asked| {
        let params = params(Mode::Mixed, asked);
        read(&link(&draft(form, params))).1
    };
    let deadline = Some(r#"{"startValidUntil":"2026-09-21T14:23:20Z"}"#.to_owned());
    let asked = Asked { until_deadline: true, ..Asked::default() };
    assert_eq!(until(form(Mode::Mixed), &asked), deadline);
    assert_eq!(until(form(Mode::Mixed).until_deadline(true), &Asked::default()), deadline);
    let own = ISSUED.plus(std::time::Duration::from_millis(60_999));
    let asked = Asked::default().with(Parameter::StartValidUntil, own);
    let sealed = Some(r#"{"startValidUntil":"2026-09-21T14:14:20Z"}"#.to_owned());
    assert_eq!(until(form(Mode::Mixed), &asked), sealed);
    assert_eq!(until(form(Mode::Mixed).until_deadline(true), &asked), sealed);
}

/// A link that takes the place of another has a deadline of its own.
#[test]
fn a_last_start_that_has_passed_gives_way_to_the_deadline() {
    let asked = Asked::default().with(Parameter::StartValidUntil, ISSUED);
    let earlier = Timestamp::ZERO;
    let params = rules(Mode::Mixed).resolve(&asked, "", earlier).unwrap();
    let (_, sealed) = read(&link(&draft(form(Mode::Mixed), params)));
    assert_eq!(sealed.unwrap(), r#"{"startValidUntil":"2026-09-21T14:23:20Z"}"#);
}

#[test]
fn a_mark_stands_where_nobody_said_anything() {
    for mode in [Mode::Plain, Mode::Mixed, Mode::Sealed] {
        let marking = || form(mode).marked_by(Some(Parameter::Userid));
        let asked = Asked::default().with(Parameter::Userid, "u1");
        let own = link(&draft(marking(), params(mode, &asked)));
        assert!(!own.marked);
        let free = link(&draft(marking(), Params::default()));
        assert!(free.marked);
        let (open, sealed) = read(&free);
        let all = format!("{open}{}", sealed.unwrap_or_default());
        assert_eq!(all.matches(&"m".repeat(MARK_BYTES)).count(), 1);
    }
}

/// A replaced lease, whatever mode either link is written in.
#[test]
fn what_a_lease_keeps_of_its_link_tells_everything_that_was_said() {
    let mut asked = everything().with(Parameter::Cf1, "a&b=c %+\"\\\u{1f600}");
    asked.unchecked.insert("newOption".to_owned(), "true".to_owned());
    asked.until_deadline = true;
    let mark = "m".repeat(MARK_BYTES);
    for mode in [Mode::Mixed, Mode::Sealed] {
        let said = params(mode, &asked);
        let link = link(&draft(form(mode).marked_by(Some(Parameter::Userid)), said.clone()));
        assert!(link.marked);
        assert!(Params::of_link(&link.url, &link.sealed, Some(&mark)).unwrap() == said);
    }
    let plain = Asked::default()
        .with(Parameter::Cf1, "a b")
        .with(Parameter::Cf2, "true")
        .with(Parameter::AgeLimit, false);
    let said = params(Mode::Plain, &plain);
    let link = link(&draft(form(Mode::Plain), said.clone()));
    assert_eq!(&*link.sealed, "");
    assert!(Params::of_link(&link.url, &link.sealed, None).unwrap() == said);
}

#[test]
fn a_parameter_that_is_not_checked_is_sealed_unless_nothing_need_be() {
    let mut asked = Asked::default();
    asked.unchecked.insert("newOption".to_owned(), "a".to_owned());
    for (mode, sealed) in [(Mode::Plain, false), (Mode::Mixed, true), (Mode::Sealed, true)] {
        let (open, envelope) = read(&link(&draft(form(mode), params(mode, &asked))));
        assert_eq!(open.contains("newOption"), !sealed, "{mode:?}");
        assert_eq!(envelope.is_some_and(|it| it.contains("newOption")), sealed, "{mode:?}");
    }
}

/// Of 64 symbols two must be percent-encoded, more by chance, and two more for padding.
#[test]
fn an_envelope_has_room_for_what_is_percent_encoded_by_chance() {
    assert_eq!(room_for_escapes(0), 2 * (6 + 6));
    assert_eq!(room_for_escapes(64), 2 * (2 + 6 * 2 + 6));
    assert_eq!(room_for_escapes(1_024), 2 * (32 + 6 * 6 + 6));
}

#[test]
fn chance_is_left_to_the_blocks_that_are_another_in_every_link() {
    let form = form(Mode::Sealed).marked_by(Some(Parameter::Userid)).until_deadline(true);
    let params = params(Mode::Sealed, &Asked::default());
    let (token, mark) = ("-".repeat(TOKEN.len()), "-".repeat(MARK_BYTES));
    let parts = form.parts(&params, &token, (Timestamp::ZERO, Timestamp::ZERO), || mark);
    // Token, mark and time are longer than one block, not longer than two, and begin anywhere.
    assert_eq!(parts.blocks_to_come, 3 * 3);
    let sealed = keyring().seal(parts.sealed.as_bytes(), &Nonce::default());
    let known = utf8_percent_encode(&sealed, COMPONENT).to_string().len();
    assert_eq!(form.escaped_length(&parts), known + room_for_escapes(9 * 23));
}

#[test]
fn a_text_that_begins_anywhere_touches_at_most_so_many_blocks() {
    for (bytes, blocks) in [(1, 1), (2, 2), (17, 2), (18, 3), (33, 3), (34, 4)] {
        let mut parts = Parts::default();
        parts.expect(bytes);
        assert_eq!(parts.blocks_to_come, blocks, "{bytes}");
    }
}

/// With ECB the same block is the same envelope again and again: what of it is percent-encoded is no
/// matter of a few symbols more or less.
#[test]
fn a_text_that_repeats_itself_is_foretold_as_long_as_it_becomes() {
    for number in 0..500 {
        let keyring = Keyring::new(Cipher::Ecb, &Secret::new(format!("key {number}")), []);
        let form = Form::new("https://form.example", "p", Mode::Sealed, keyring);
        let mut asked = Asked::default();
        for option in 'a'..='f' {
            // Each of them 15 blocks, five times what base64 makes 64 symbols of.
            asked.unchecked.insert(format!("option{option}"), "x".repeat(227));
        }
        let draft = draft(form, params(Mode::Sealed, &asked));
        let (length, link) = (draft.length(TOKEN.len()), link(&draft));
        assert!(link.url.len() <= length.url, "{} and {length:?}", link.url.len());
        assert!(length.url <= link.url.len() + 150, "{} and {length:?}", link.url.len());
    }
}

#[test]
fn a_length_is_never_less_than_that_of_the_link() {
    let hex = Gcm {
        layout: Layout::NonceCiphertextTag,
        nonce: NonceLength::Twelve,
        encoding: Encoding::Hex,
    };
    let base64 = Gcm { encoding: Encoding::Base64, ..hex };
    for cipher in [Cipher::Ecb, Cipher::Gcm(hex), Cipher::Gcm(base64)] {
        for mode in [Mode::Plain, Mode::Mixed, Mode::Sealed] {
            for number in 0..200_u16 {
                let keyring = Keyring::new(cipher, &Secret::new(format!("key {number}")), []);
                let form = Form::new("https://form.example", "p", mode, keyring)
                    .marked_by(Some(Parameter::Userid))
                    .until_deadline(mode != Mode::Plain);
                let mut asked = Asked::default().with(Parameter::Cf1, "x".repeat(number.into()));
                if mode != Mode::Plain {
                    asked.set(Parameter::AllowedCountries, vec!["KOR".to_owned()]);
                }
                let draft = draft(form, params(mode, &asked));
                let (length, link) = (draft.length(TOKEN.len()), link(&draft));
                assert!(link.url.len() <= length.url);
                assert!(length.url <= link.url.len() + link.url.len() / 3 + 64);
                assert_eq!(length.kept, length.url + link.sealed.len());
            }
        }
    }
}

/// P1.
#[test]
fn parameters_are_not_printed() {
    let asked = Asked::default().with(Parameter::Userid, "u-17");
    let draft = draft(form(Mode::Plain), params(Mode::Plain, &asked));
    assert!(!format!("{asked:?} {draft:?}").contains("17"));
    assert_eq!(format!("{asked:?}"), r#"{"userid"}"#);
    assert_eq!(format!("{:?}", Value::from("u-17")), "Value(…)");
    assert_eq!(format!("{:?}", draft.params), "Params(…)");
}

#[test]
fn an_envelope_is_found_however_somebody_copied_it() {
    let sealed = "a+b/c==";
    for text in [
        "a+b/c==",
        " a%2Bb%2Fc%3D%3D\n",
        "encrypted=a%2Bb%2Fc%3D%3D",
        "https://form.example?pid=p&token=t&encrypted=a%2Bb%2Fc%3D%3D",
        "https://form.example/?pid=p&encrypted=a%2bb%2fc%3d%3d&lang=ko",
    ] {
        assert_eq!(envelope_of(text).as_deref(), Some(sealed), "{text}");
    }
    assert_eq!(envelope_of("https://form.example?pid=p&token=t"), None);
}
