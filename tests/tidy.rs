//! The shape of the code and of its documents, as tests (A1).
//!
//! What a reviewer would have to remember stands here as a table: who may use whom, which crate has
//! which home, what every file must have. ARCHITECTURE.md is read as data: the promises it states are
//! those of `domain::invariant`, and the homes it gives to crates are the only ones they have.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Who may use whom. A layer that is not named on the right is out of reach; `app` and `main` compose,
/// and may use everything.
const LAW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("port", &["domain"]),
    ("engine", &["domain", "port"]),
    ("store", &["domain", "port"]),
    ("argos", &["domain", "port"]),
    ("supply", &["domain", "port", "argos"]),
    ("telemetry", &["domain", "port", "engine"]),
    ("api", &["domain", "port", "engine", "telemetry"]),
    // A webhook and an answer say the same about a submission in the same words.
    ("http", &["domain", "port", "engine", "telemetry", "argos"]),
    ("jobs", &["engine"]),
    ("config", &["domain"]),
    ("task", &[]),
    // The command line speaks to the daemon as any client does, in the words of the proto.
    ("cli", &["api", "app", "config", "engine", "sim"]),
    // A simulator that shared our wire code would share our mistakes.
    ("sim", &[]),
];
const COMPOSERS: &[&str] = &["app", "lib", "main"];

/// Of all the crates in Cargo.toml, the pure core may name only these, and of `std` none of those.
const PURE_CRATES: &[&str] = &[
    "aes",
    "aes_gcm",
    "data_encoding",
    "ecb",
    "hmac",
    "jiff",
    "percent_encoding",
    "serde_json",
    "sha2",
    "thiserror",
    "zeroize",
];
const IMPURE_STD: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];

const LINES_MAX: usize = 500;
const VAGUE_NAMES: &[&str] = &["common", "ctx", "helper", "helpers", "manager", "util", "utils"];
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!"];
/// Comments say what is, not what changed.
const CHANGE_TALK: &[&str] = &["no longer", "previously"];

/// Promises that no single test names, and what holds them instead.
const HELD_OTHERWISE: &[(&str, &str)] = &[("A1", "the tests of this file")];

#[test]
fn layers_only_look_down() {
    let mut breaches = Vec::new();
    for source in sources() {
        let home = source.layer();
        if COMPOSERS.contains(&home.as_str()) {
            continue;
        }
        let law = LAW.iter().find(|(layer, _)| *layer == home);
        let (_, allowed) = law.unwrap_or_else(|| panic!("{home} has no place in the law"));
        for used in named_below("crate", &source.code) {
            if used != home && !allowed.contains(&used.as_str()) {
                breaches.push(format!("{}: {home} uses {used}", source.path.display()));
            }
        }
    }
    none(&breaches);
}

#[test]
fn the_law_names_every_layer() {
    let layers: BTreeSet<_> = sources().iter().map(Source::layer).collect();
    let law = LAW.iter().map(|(layer, _)| *layer).chain(COMPOSERS.iter().copied());
    assert_eq!(layers, law.map(str::to_owned).collect());
}

/// The list is derived from Cargo.toml: a dependency is banned from the core on the day it is added.
#[test]
fn the_core_names_nothing_impure() {
    let crates = dependencies();
    let banned: Vec<_> =
        crates.iter().filter(|name| !PURE_CRATES.contains(&name.as_str())).collect();
    assert!(banned.len() > 20, "the manifest was not read");
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|source| source.layer() == "domain") {
        let path = source.path.display();
        for name in banned.iter().filter(|name| names_crate(&source.code, name)) {
            breaches.push(format!("{path} names the crate {name}"));
        }
        for name in named_below("std", &source.code) {
            if IMPURE_STD.contains(&name.as_str()) {
                breaches.push(format!("{path} names std::{name}"));
            }
        }
    }
    none(&breaches);
}

#[test]
fn every_crate_is_named_only_where_it_is_at_home() {
    let homes = homes();
    let mut breaches = Vec::new();
    for source in sources() {
        let module = source.module();
        for (name, homes) in &homes {
            let at_home = homes.iter().any(|home| {
                home == "everywhere" || module == *home || module.starts_with(&format!("{home}::"))
            });
            if !at_home && names_crate(&source.code, name) {
                breaches.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    none(&breaches);
}

#[test]
fn every_dependency_is_explained_and_nothing_else_is() {
    let explained: BTreeSet<_> = homes().into_keys().collect();
    assert_eq!(dependencies(), explained, "Cargo.toml on the left, ARCHITECTURE.md on the right");
}

#[test]
fn one_file_knows_grpc_codes() {
    let mut breaches = Vec::new();
    for source in sources() {
        let path = source.path.display().to_string();
        if !path.starts_with("src/api") || path == "src/api/status.rs" {
            continue;
        }
        for (at, _) in
            source.code.match_indices("Code::").chain(source.code.match_indices("Status::"))
        {
            let before = source.code[..at].chars().next_back();
            if !before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
                breaches.push(format!("{path} makes a status of its own"));
            }
        }
    }
    none(&breaches);
}

#[test]
fn files_are_short_named_for_what_they_are_and_say_so_first() {
    let mut breaches = Vec::new();
    for source in all_sources() {
        let path = source.path.display();
        let stem = source.path.file_stem().unwrap().to_str().unwrap();
        if source.text.lines().count() > LINES_MAX {
            breaches.push(format!("{path} has more than {LINES_MAX} lines: split it by meaning"));
        }
        if stem == "mod" || VAGUE_NAMES.contains(&stem) {
            breaches.push(format!("{path} has a name that says nothing"));
        }
        if !source.is_test && !source.text.starts_with("//!") {
            breaches.push(format!("{path} does not say what it owns"));
        }
    }
    none(&breaches);
}

#[test]
fn nothing_is_left_unfinished_and_no_comment_talks_of_changes() {
    let mut breaches = Vec::new();
    let tests = rust_files("tests").into_iter().filter(|path| *path != Path::new(file!()));
    let tests = tests.map(|path| (path.clone(), fs::read_to_string(path).unwrap()));
    let sources = all_sources().into_iter().map(|source| (source.path, source.text));
    for (path, text) in sources.chain(tests) {
        for (number, line) in text.lines().enumerate() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment).to_lowercase();
            let bad = UNFINISHED.iter().filter(|word| line.contains(**word));
            let bad = bad.chain(CHANGE_TALK.iter().filter(|words| comment.contains(**words)));
            for words in bad {
                breaches.push(format!("{}:{}: {words}", path.display(), number + 1));
            }
        }
    }
    none(&breaches);
}

/// A test that sleeps in real time is slow on a good day and wrong on a bad one.
#[test]
fn tests_sleep_only_in_paused_time_or_say_what_bounds_them() {
    let mut breaches = Vec::new();
    for path in rust_files("tests").into_iter().filter(|path| path.starts_with("tests/it")) {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let paused = line.contains("tokio::time::sleep") && text.contains("start_paused");
            let reason = number.checked_sub(1).map_or("", |above| lines[above]);
            let bounded = line.contains("// bounded:") || reason.contains("// bounded:");
            if line.contains("::sleep(") && !paused && !bounded {
                breaches.push(format!("{}:{}: sleeps", path.display(), number + 1));
            }
        }
    }
    none(&breaches);
}

#[test]
fn architecture_and_code_state_the_same_promises() {
    let code = fs::read_to_string("src/domain/invariant.rs").unwrap();
    let list = code.split_once("\npromises! {").unwrap().1.split_once("\n}").unwrap().0;
    let in_code: Vec<_> =
        list.lines().filter_map(|line| line.trim().strip_suffix(',')).map(str::to_owned).collect();
    assert!(in_code.len() > 15, "the promises were not read");
    let stated: Vec<_> = rows("Promises").into_iter().map(|row| row[0].replace("**", "")).collect();
    assert_eq!(in_code, stated);
}

#[test]
fn every_promise_is_named_by_a_test() {
    let mut tests = String::new();
    for path in rust_files("tests").into_iter().filter(|path| *path != Path::new(file!())) {
        tests.push_str(&fs::read_to_string(path).unwrap());
    }
    for source in all_sources() {
        tests.push_str(if source.is_test { &source.text } else { &source.tail });
    }
    let named: BTreeSet<_> = tests.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    let unnamed = rows("Promises").into_iter().map(|row| row[0].replace("**", ""));
    let unnamed = unnamed.filter(|id| !named.contains(id.as_str()));
    let otherwise: Vec<_> = HELD_OTHERWISE.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(unnamed.collect::<Vec<_>>(), otherwise);
}

#[test]
fn the_code_map_shows_every_module_in_src() {
    let map = section("Code map");
    let missing: Vec<_> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".rs").map(|stem| format!("`{stem}`")))
        .filter(|module| !map.contains(module.as_str()))
        .collect();
    none(&missing);
}

/// The repository builds anywhere and gives nobody's machine away.
#[test]
fn no_file_names_a_registry_or_a_place_on_this_machine() {
    // Put together, so that this file does not name them either.
    let places = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("/", "work/"),
        concat!("/", "root/"),
        concat!("/", "home/"),
        concat!("/", "tmp/wt"),
    ];
    let mut breaches = Vec::new();
    for path in files(Path::new(".")) {
        // The lock file names the registry of every crate; cargo writes it.
        if path.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for place in places.iter().filter(|place| text.contains(**place)) {
            breaches.push(format!("{} names {place}", path.display()));
        }
    }
    none(&breaches);
}

/// One file below `src`.
struct Source {
    path: PathBuf,
    text: String,
    /// Without comments and without the tests at the end.
    code: String,
    /// The tests at the end.
    tail: String,
    is_test: bool,
}

impl Source {
    fn layer(&self) -> String {
        self.module().split("::").next().unwrap().to_owned()
    }

    /// `src/store/sled/fold.rs` is `store::sled::fold`.
    fn module(&self) -> String {
        let inside = self.path.strip_prefix("src").unwrap().with_extension("");
        inside.to_str().unwrap().replace('/', "::")
    }
}

/// What is compiled into the daemon.
fn sources() -> Vec<Source> {
    all_sources().into_iter().filter(|source| !source.is_test).collect()
}

fn all_sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut tests = Vec::new();
    for path in rust_files("src") {
        let text = fs::read_to_string(&path).unwrap();
        let mut parts = text.splitn(2, "#[cfg(test)]\nmod tests {");
        let (head, tail) = (parts.next().unwrap(), parts.next().unwrap_or_default().to_owned());
        let children =
            if path.ends_with("lib.rs") { "src".into() } else { path.with_extension("") };
        for declared in head.split("#[cfg(test)]\n").skip(1) {
            let declared = declared.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if let Some((name, _)) = declared.strip_prefix("mod ").and_then(|it| it.split_once(';'))
            {
                tests.push(children.join(name));
            }
        }
        let code = head.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.flat_map(|line| [line, "\n"]).collect();
        sources.push(Source { path, code, tail, is_test: false, text });
    }
    for source in &mut sources {
        let bare = source.path.with_extension("");
        source.is_test = tests.iter().any(|test| bare.starts_with(test));
    }
    assert!(sources.len() > 50 && tests.len() > 5, "the sources were not read");
    sources
}

fn rust_files(below: &str) -> Vec<PathBuf> {
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files(Path::new(below)).into_iter().filter(rust).collect()
}

/// Every file below a directory that is part of the repository, in order.
fn files(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(below).unwrap().map(|it| it.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        let ours = !["target", ".git", "argospool-data", "__pycache__"].contains(&name);
        if path.is_dir() && ours {
            files.extend(self::files(&path));
        } else if path.is_file() && ours {
            files.push(path);
        }
    }
    files
}

/// The crates of Cargo.toml, as code spells them.
fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let tables = manifest.split("\n[").filter(|table| {
        let name = table.split(']').next().unwrap();
        ["dependencies", "build-dependencies", "dev-dependencies"].contains(&name)
    });
    let lines = tables.flat_map(|table| table.lines().skip(1));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    names.map(|name| name.trim().replace('-', "_")).collect()
}

/// The home of every crate, as ARCHITECTURE.md gives it: modules, `build.rs`, `tests` or everywhere.
fn homes() -> BTreeMap<String, Vec<String>> {
    let home = |row: Vec<String>| {
        let places = row[1].split(',').map(|place| place.trim().trim_matches('`').to_owned());
        (row[0].trim_matches('`').replace('-', "_"), places.collect())
    };
    rows("Dependencies").into_iter().map(home).collect()
}

/// The rows of the table in a section of ARCHITECTURE.md, without its head.
fn rows(title: &str) -> Vec<Vec<String>> {
    let section = section(title);
    let table = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|it| it.trim().to_owned()).collect();
    let rows: Vec<_> = table.map(cells).collect();
    assert!(!rows.is_empty(), "{title} has no table");
    rows
}

fn section(title: &str) -> String {
    let text = fs::read_to_string("ARCHITECTURE.md").expect("there is an ARCHITECTURE.md");
    let section = text.split("\n## ").find(|section| section.starts_with(&format!("{title}\n")));
    section.unwrap_or_else(|| panic!("ARCHITECTURE.md has no section {title}")).to_owned()
}

/// Whether code names a crate: in a path, or in a derive or attribute that is one.
fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        // `store::sled::…`, `super::sled::…` and `crate::{sled::…` are modules of our own.
        !before.is_some_and(|it| it.is_alphanumeric() || it == '_' || it == ':')
            && !within_group(code, at)
    })
}

/// Whether the name at this place stands in the braces of a longer path.
fn within_group(code: &str, at: usize) -> bool {
    let statement = code[..at].rsplit(';').next().unwrap();
    let Some((_, import)) = statement.rsplit_once("use ") else { return false };
    import.matches("::{").count() > import.matches('}').count()
}

/// The names directly below `root` in every path and every group of an import.
fn named_below(root: &str, code: &str) -> BTreeSet<String> {
    let path = format!("{root}::");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(&path) {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut fresh) = (1, true);
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => fresh = true,
                _ if fresh && depth == 1 && !letter.is_whitespace() => {
                    names.insert(word(&group[at..]));
                    fresh = false;
                }
                _ => (),
            }
        }
    }
    names.remove("");
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}
