use std::fs;

use super::*;
use crate::{config::Sources, domain::envelope::Nonce};

/// A project whose keys are in files that can be changed.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for name in ["api", "secret", "previous"] {
            files.write(name, &format!("{name}-1"));
        }
        files
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn keys(&self, secret_key: bool) -> Arc<ProjectKeys> {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let mut overrides = vec![
            ("projects.default.pid".to_owned(), "p".to_owned()),
            ("projects.default.api_key_file".to_owned(), path("api")),
            ("projects.default.liveform.previous_key_files".to_owned(), path("previous")),
        ];
        if secret_key {
            let key = "projects.default.liveform.secret_key_file".to_owned();
            overrides.push((key, path("secret")));
        }
        let loaded = config::load(&Sources { overrides, ..Sources::default() }).unwrap();
        ProjectKeys::new(&loaded.settings.projects["default"])
    }
}

fn sealed_by(key: &str) -> String {
    let secret = Secret::new(key.to_owned());
    Keyring::new(transfer::CIPHER, &secret, []).seal(b"{}", &Nonce::default())
}

fn opens(keys: &Arc<ProjectKeys>, key: &str) -> bool {
    let read = |plain: &[u8]| (plain == b"{}").then_some(());
    keys.envelopes()().open(&sealed_by(key), &[], read).is_some()
}

#[test]
fn what_was_sealed_with_a_replaced_key_opens_still() {
    let files = Files::new();
    let keys = files.keys(false);
    assert!(opens(&keys, "api-1") && opens(&keys, "previous-1") && !opens(&keys, "api-2"));
    files.write("api", "api-2");
    assert!(keys.read_again().unwrap());
    assert!(opens(&keys, "api-2") && opens(&keys, "api-1") && opens(&keys, "previous-1"));
    assert_eq!(keys.api_key().expose(), "api-2");
    assert!(!keys.read_again().unwrap(), "nothing has changed since");
}

/// Links are sealed with the secret key where there is one, and what is sent with the API key.
#[test]
fn a_link_and_a_call_are_sealed_with_keys_of_their_own() {
    let files = Files::new();
    for (secret_key, sealing) in [(false, "api-1"), (true, "secret-1")] {
        let keys = files.keys(secret_key);
        let form = keys.form()();
        assert!(form.open(&sealed_by(sealing)).is_some());
        assert!(opens(&keys, "api-1") && !opens(&keys, "secret-1"));
    }
}

#[test]
fn a_link_is_sealed_with_the_key_of_the_moment() {
    let files = Files::new();
    let keys = files.keys(true);
    let form = keys.form();
    assert!(form().open(&sealed_by("secret-2")).is_none());
    files.write("secret", "secret-2");
    assert!(KeySource::read(&*keys).is_some());
    assert!(form().open(&sealed_by("secret-2")).is_some());
    assert!(form().open(&sealed_by("secret-1")).is_some(), "what it sealed before");
}

#[test]
fn a_file_that_cannot_be_read_changes_nothing() {
    let files = Files::new();
    let keys = files.keys(true);
    files.write("api", "api-2");
    files.write("secret", "");
    assert!(keys.read_again().is_err());
    assert!(KeySource::read(&*keys).is_none());
    assert_eq!(keys.api_key().expose(), "api-1");
}

#[test]
fn a_key_that_was_replaced_long_ago_is_forgotten() {
    let files = Files::new();
    let keys = files.keys(false);
    for number in 2..=RETIRED_MAX + 2 {
        files.write("api", &format!("api-{number}"));
        assert!(keys.read_again().unwrap());
    }
    assert!(opens(&keys, "api-2") && !opens(&keys, "api-1"));
}
