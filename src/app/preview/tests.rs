use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use crate::{
    config::{self, Sources},
    domain::{
        envelope::{Cipher, Gcm, Nonce},
        limits::{BIRTH_SYMBOLS, SEALED_SYMBOLS},
    },
};

const WITH_SECRET_KEY: (&str, &str) = ("liveform.secret_key_file", "secret");

/// The links of a project with these settings below `projects.default` and of the ledger, where the text of a key file
/// follows from its name.
fn preview(settings: &[(&str, &str)]) -> Preview {
    let dir = tempfile::tempdir().unwrap();
    let files = [("api_key_file", "api"), ("liveform.previous_key_files", "old")];
    let mut overrides = vec![("projects.default.pid".to_owned(), "pid_demo".to_owned())];
    for (key, value) in files.iter().chain(settings) {
        let value =
            if key.contains("_file") { key_file(dir.path(), value) } else { (*value).to_owned() };
        let of_the_daemon = key.starts_with("ledger.");
        let key = if of_the_daemon { (*key).to_owned() } else { format!("projects.default.{key}") };
        overrides.push((key, value));
    }
    let loaded = config::load(&Sources { overrides, ..Sources::default() }).unwrap();
    Preview::of(&loaded.settings, "", &World::system()).unwrap()
}

fn key_file(dir: &Path, name: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, format!("test-{name}-key")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn sealed(cipher: Cipher, key: &str, plain: &str) -> String {
    let secret = Secret::new(format!("test-{key}-key"));
    Keyring::new(cipher, &secret, []).seal(plain.as_bytes(), &Nonce::default())
}

fn korean() -> LiveformParams {
    LiveformParams { allowed_countries: vec!["KOR".to_owned()], ..LiveformParams::default() }
}

/// U1.
#[test]
fn a_made_up_token_is_as_long_as_a_real_one_and_says_that_it_is_none() {
    let preview = preview(&[("tokens.prefix", "kyc.")]);
    let link = preview.link(LiveformParams::default(), "").unwrap();
    let token = "kyc.preview-00000000000000";
    let mark = "mark-preview-00000000000000";
    assert_eq!((token.len(), mark.len()), ("kyc.".len() + SEALED_SYMBOLS, MARK_BYTES));
    let url = format!("https://form.argosidentity.com?pid=pid_demo&token={token}&userid={mark}");
    assert_eq!(link.url, url);
    assert_eq!(
        (link.plain, link.sealed),
        (["pid", "token", "userid"].map(str::to_owned).into(), vec![])
    );
}

/// U1: ids that tell the hour of their birth are longer.
#[test]
fn a_made_up_token_of_an_ephemeral_ledger_is_as_long_as_a_real_one() {
    let preview = preview(&[("tokens.prefix", "kyc."), ("ledger.storage", "ephemeral")]);
    let link = preview.link(LiveformParams::default(), "").unwrap();
    let token = link.url.split_once("token=").unwrap().1.split_once('&').unwrap().0;
    assert_eq!(token.len(), "kyc.".len() + BIRTH_SYMBOLS + SEALED_SYMBOLS);
}

#[test]
fn every_parameter_is_named_at_the_place_where_the_link_says_it() {
    let link = preview(&[]).link(korean(), "").unwrap();
    assert_eq!((link.plain.len(), link.sealed), (3, vec!["allowedCountries".to_owned()]));
    let link = preview(&[("liveform.mode", "sealed")]).link(korean(), "").unwrap();
    assert_eq!(link.plain, ["pid"]);
    assert_eq!(link.sealed, ["allowedCountries", "token", "userid"]);
}

#[test]
fn every_field_at_fault_is_told_as_the_daemon_tells_it() {
    let params = LiveformParams { age_limit: Some(true), sid: "sub-1".to_owned(), ..korean() };
    let Err(violations) = preview(&[("liveform.mode", "plain")]).link(params, "kr") else {
        panic!("a plain link cannot say this");
    };
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let expected = ["template", "params.age_limit", "params.allowed_countries", "params.sid"];
    assert_eq!(fields, expected);
}

#[test]
fn an_envelope_opens_with_the_key_in_use_and_with_those_before_it() {
    let with_secret = preview(&[WITH_SECRET_KEY]);
    assert_eq!(with_secret.key_in_use(), Key::Secret);
    for (key, opens) in
        [("secret", Some(Key::Secret)), ("old", Some(Key::Previous(1))), ("api", None)]
    {
        let opened = with_secret.open(&sealed(Cipher::Ecb, key, r#"{"b":1,"a":2}"#));
        let opened = opened.map(|opened| (opened.content, opened.key));
        assert_eq!(opened, opens.map(|key| (r#"{"b":1,"a":2}"#.to_owned(), key)));
    }
    let link = with_secret.link(korean(), "").unwrap();
    assert_eq!(with_secret.open(&link.url).unwrap().content, r#"{"allowedCountries":"KOR"}"#);
    let bare = with_secret.link(LiveformParams::default(), "").unwrap();
    assert!(with_secret.open(&bare.url).is_none());
}

#[test]
fn a_sample_tells_every_cipher_and_what_must_be_written_for_it() {
    let preview = preview(&[]);
    for gcm in Gcm::all() {
        let sample = preview.identify(&sealed(Cipher::Gcm(gcm), "api", "any text")).unwrap();
        let (layout, encoding) = (gcm.layout.as_str(), gcm.encoding.as_str());
        let expected = [
            ("cipher", "\"gcm\"".to_owned()),
            ("gcm_layout", format!("\"{layout}\"")),
            ("gcm_nonce", gcm.nonce.bytes().to_string()),
            ("gcm_encoding", format!("\"{encoding}\"")),
        ];
        assert_eq!((sample.content.as_str(), sample.agrees), ("any text", false));
        assert_eq!(
            (sample.to_write.as_slice(), sample.cipher),
            (&expected[..], expected.clone().into())
        );
    }
    let sample = preview.identify(&sealed(Cipher::Ecb, "api", "any text")).unwrap();
    assert_eq!((sample.key, sample.agrees), (Key::Api, true));
}

#[test]
fn a_sample_of_another_key_says_which_and_one_of_none_says_nothing() {
    let preview = preview(&[WITH_SECRET_KEY, ("liveform.cipher", "gcm")]);
    let shapes: Vec<_> = Gcm::all().collect();
    let sample = preview.identify(&sealed(Cipher::Gcm(shapes[0]), "api", "text")).unwrap();
    assert_eq!((sample.key, sample.agrees), (Key::Api, false));
    assert_eq!(sample.to_write, [("secret_key_file", "\"\"".to_owned())]);
    let sample = preview.identify(&sealed(Cipher::Gcm(shapes[1]), "old", "text")).unwrap();
    assert_eq!((sample.key, sample.agrees), (Key::Previous(1), false));
    assert_eq!(sample.to_write, [("gcm_encoding", "\"hex\"".to_owned())]);
    assert!(preview.identify(&sealed(Cipher::Ecb, "nobodys", "text")).is_none());
    assert!(preview.identify("not sealed at all").is_none());
}

#[test]
fn a_project_must_be_named_where_there_are_several() {
    let mut overrides = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        overrides.push((format!("projects.{name}.pid"), format!("pid_{name}")));
        overrides.push((format!("projects.{name}.api_key_file"), key_file(dir.path(), name)));
    }
    let settings = config::load(&Sources { overrides, ..Sources::default() }).unwrap().settings;
    let refused = |project| Preview::of(&settings, project, &World::system()).err();
    for project in ["", "three"] {
        let told = refused(project).unwrap().to_string();
        assert_eq!(told, "no such project; there are: one, two");
    }
    assert!(refused("two").is_none());
}
