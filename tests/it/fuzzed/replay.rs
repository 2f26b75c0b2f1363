//! The corpus and the regressions, through the targets of the fuzzer.

use std::{
    collections::BTreeSet,
    fs, panic,
    path::{Path, PathBuf},
};

use super::{config, envelope, liveform, record, response, webhook};

const CORPUS: &str = "tests/fuzz/corpus";
const REGRESSIONS: &str = "tests/fuzz/regressions";
const TARGETS: [&str; 6] = ["config", "envelope", "liveform", "record", "response", "webhook"];
/// Bytes of one corpus: more is a search that nobody minimized.
const CORPUS_BYTES_MAX: usize = 300 << 10;

/// W1.
#[test]
fn no_body_of_a_webhook_breaks_its_reader_or_the_pool_that_hears_it() {
    replay("webhook", webhook::holds);
}

/// B1, B3.
#[test]
fn no_answer_of_argos_is_taken_for_more_than_it_says() {
    replay("response", response::holds);
}

/// J2.
#[test]
fn no_bytes_in_place_of_a_record_break_the_ledger_and_records_read_back_as_written() {
    replay("record", record::holds);
}

/// U1.
#[test]
fn whatever_is_asked_of_a_link_ends_in_faults_or_in_a_link_by_argos_s_rules() {
    replay("liveform", liveform::holds);
}

#[test]
fn envelopes_open_to_what_was_sealed_and_to_nothing_else() {
    replay("envelope", envelope::holds);
}

/// P1.
#[test]
fn any_configuration_loads_and_prints_or_is_refused_by_key_or_line() {
    replay("config", config::holds);
}

#[test]
fn every_target_of_the_fuzzer_is_replayed() {
    let manifest = fs::read_to_string("tests/fuzz/Cargo.toml").unwrap();
    let built = manifest.split("[[bin]]\nname = \"").skip(1).map(|bin| bin.split('"').next());
    let targets = BTreeSet::from(TARGETS.map(str::to_owned));
    assert_eq!(built.flatten().map(str::to_owned).collect::<BTreeSet<_>>(), targets);
    assert_eq!(names_in(Path::new(CORPUS)), targets);
    assert!(names_in(Path::new(REGRESSIONS)).is_subset(&targets));
}

fn replay(target: &str, holds: fn(&[u8])) {
    let corpus = inputs(&Path::new(CORPUS).join(target));
    assert!(!corpus.is_empty(), "{CORPUS}/{target} is missing or empty");
    let bytes: usize = corpus.iter().map(|(_, input)| input.len()).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{CORPUS}/{target} has {bytes} bytes: minimize it");
    for (path, input) in corpus.into_iter().chain(inputs(&Path::new(REGRESSIONS).join(target))) {
        let broken = panic::catch_unwind(|| holds(&input)).is_err();
        assert!(!broken, "{} breaks {target}", path.display());
    }
}

/// Every file of a directory; none where there is no such directory.
fn inputs(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = names_in(directory).into_iter().map(|name| directory.join(name));
    names.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
