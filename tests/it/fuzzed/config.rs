//! Configuration files: any text loads and prints to what it says, or is refused by key or line (P1).
//!
//! A comment that begins with `#$` is a variable of the environment and one with `#!` a flag, so that one
//! text is all of the three layers.

use std::{ffi::OsString, fs, path::Path};

use argospool::config::{ConfigError, Loaded, Origin, Sources, load};

/// Of the project `default`, and in no sentence and no print.
const KEY: &str = "key-that-nobody-may-see";

pub fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("argospool.toml");
    let sources = sources(text, &path);
    match load(&sources) {
        Ok(loaded) => prints_and_reads_back(&loaded, &sources, &path),
        Err(errors) => name_a_key_or_a_line(&errors, text),
    }
}

fn sources(text: &str, path: &Path) -> Sources {
    fs::write(path, text).unwrap();
    let said = |mark: &'static str| {
        let lines = text.lines().filter_map(move |line| line.strip_prefix(mark));
        // Neither a shell nor the command line lets an empty name through.
        let pairs = lines.filter_map(|line| line.trim().split_once('='));
        pairs.filter(|(name, _)| !name.is_empty())
    };
    let variables = [("ARGOS_API_KEY", KEY), ("ARGOS_PROJECT_ID", "pid-1")];
    let pair = |(name, value): (&str, &str)| (OsString::from(name), OsString::from(value));
    Sources {
        files: vec![path.to_owned()],
        environment: variables.into_iter().chain(said("#$")).map(pair).collect(),
        overrides: said("#!").map(|(key, text)| (key.to_owned(), text.to_owned())).collect(),
    }
}

/// Every error says where, on one line, and repeats no secret.
fn name_a_key_or_a_line(errors: &[ConfigError], text: &str) {
    assert!(!errors.is_empty(), "refused without a word");
    // The end of a text without a line feed, and the line after its last one, are places too.
    let lines = text.split('\n').count();
    for error in errors {
        let somewhere = match &error.origin {
            Origin::File { line, .. } => (1..=lines).contains(line),
            Origin::Variable(name) => !name.is_empty(),
            Origin::Default | Origin::CommandLine => !error.key.is_empty(),
        };
        assert!(somewhere, "nobody knows where: {error}");
        let sentence = error.to_string();
        // A name is repeated whatever it is: how else would anybody find it. A value never is.
        let repeated = |text: &str| text.matches(KEY).count();
        let by_name = repeated(&error.key) + repeated(&error.origin.to_string());
        assert!(repeated(&sentence) <= by_name, "P1: a secret is repeated");
        assert!(!sentence.contains(char::is_control), "more than a line: {sentence:?}");
    }
}

fn prints_and_reads_back(loaded: &Loaded, sources: &Sources, path: &Path) {
    for origins in [false, true] {
        let print = loaded.dump(origins);
        assert!(!print.contains(KEY), "P1: a secret is printed");
        fs::write(path, &print).unwrap();
        let secrets = sources.environment.iter().filter(|(name, _)| holds_a_secret(name));
        let again = Sources {
            files: vec![path.to_owned()],
            environment: secrets.cloned().collect(),
            overrides: Vec::new(),
        };
        let again = load(&again).unwrap_or_else(|errors| panic!("{errors:#?} of\n{print}"));
        assert!(again.settings == loaded.settings, "prints as something else:\n{print}");
    }
    let printed = format!("{:?} {:?}", loaded.settings, loaded.warnings);
    assert!(!printed.contains(KEY), "P1: a secret is printed");
}

/// Variables that a print leaves to the environment.
fn holds_a_secret(name: &OsString) -> bool {
    let name = name.to_str().unwrap();
    ["API_KEY", "SECRET_KEY", "WEBHOOK__SECRET", "__TOKEN"].iter().any(|it| name.ends_with(it))
}
