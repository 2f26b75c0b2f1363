//! The tables of `tests/guards` against the code: what stands there can be taken out and is judged by
//! tests that exist.
//!
//! That the tests fail without their guard is what `tests/guards/run` shows; it takes long, because it
//! builds once for each. What rots is found here: a text that moved, a test that has another name, a
//! promise that nothing stands for.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use toml::{Table, Value};

/// Promises about the architecture are no guard's: `tests/tidy.rs` holds them.
const ARCHITECTURE: char = 'A';

/// Cases of the fleet: replicas, hubs and sidecars.
const OF_THE_FLEET: &[i64] = &[5, 8, 16, 20, 21, 22, 23, 24, 25, 26];
const CASES: std::ops::RangeInclusive<i64> = 1..=33;

#[test]
fn every_guard_stands_in_its_file_once() {
    let mut breaches = Vec::new();
    for guard in entries("guards", "guard") {
        let (file, text) = (said(&guard, "file"), said(&guard, "text"));
        let times = fs::read_to_string(file).unwrap_or_default().matches(text).count();
        if times != 1 {
            breaches.push(format!("{}: {times} times in {file}", said(&guard, "what")));
        }
        if said(&guard, "out") == text {
            breaches.push(format!("{}: is not taken out", said(&guard, "what")));
        }
    }
    none(&breaches);
}

#[test]
fn no_two_guards_say_the_same() {
    let mut seen = BTreeSet::new();
    let mut breaches = Vec::new();
    for guard in entries("guards", "guard") {
        let what = said(&guard, "what").to_owned();
        if !seen.insert(what.clone()) {
            breaches.push(what);
        }
    }
    none(&breaches);
}

#[test]
fn every_promise_has_a_guard_and_every_guard_a_promise() {
    let document = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| **"));
    let promises: BTreeSet<_> =
        rows.filter_map(|row| row.split_once("**")).map(|it| it.0).collect();
    assert!(promises.len() > 15, "the promises were not read");
    let promises: BTreeSet<_> = promises
        .into_iter()
        .filter(|id| !id.starts_with(ARCHITECTURE))
        .map(str::to_owned)
        .collect();
    let guards = entries("guards", "guard");
    let guarded: BTreeSet<_> = guards.iter().map(|it| said(it, "promise").to_owned()).collect();
    assert_eq!(promises, guarded);
}

#[test]
fn every_hard_case_of_a_single_node_has_a_rule() {
    let cases = entries("hard-cases", "case");
    let ruled: BTreeSet<_> =
        cases.iter().map(|case| case["number"].as_integer().unwrap()).collect();
    let open: Vec<_> =
        CASES.filter(|case| !OF_THE_FLEET.contains(case) && !ruled.contains(case)).collect();
    assert!(open.is_empty(), "no rule for {open:?}");
}

#[test]
fn every_test_that_is_named_exists() {
    let tests = tests();
    let mut breaches = Vec::new();
    let named = entries("guards", "guard").into_iter().chain(entries("hard-cases", "case"));
    for entry in named {
        let names = entry["tests"].as_array().unwrap();
        if names.is_empty() {
            breaches.push(format!("{entry:?} names no test"));
        }
        for name in names.iter().map(|name| name.as_str().unwrap()) {
            let is_there = if name.starts_with("tests/") {
                Path::new(name).exists()
            } else {
                let (module, test) = name.rsplit_once("::").unwrap();
                tests.get(module).is_some_and(|text| text.contains(&format!("fn {test}(")))
            };
            if !is_there {
                breaches.push(format!("there is no {name}"));
            }
        }
    }
    none(&breaches);
}

/// The package in which guards and mutants are judged is put together by `tests/mutants/lay`, and has a
/// manifest of its own.
#[test]
fn the_small_package_has_the_crates_that_it_names_in_the_same_versions() {
    let read = |path: &str| -> Table { fs::read_to_string(path).unwrap().parse().unwrap() };
    let (whole, small) = (read("Cargo.toml"), read("tests/mutants/core/Cargo.toml"));
    let version = |value: &Value| {
        let version = value.get("version").unwrap_or(value);
        version.as_str().unwrap().to_owned()
    };
    let laid = ["src/domain", "src/engine", "src/store", "src/app/clock"];
    let files = laid.iter().flat_map(|below| rust_files(Path::new(below)));
    let alone =
        ["src/domain.rs", "src/port.rs", "src/engine.rs", "src/task.rs", "src/app/clock.rs"];
    let files = files.chain(alone.iter().map(Into::into));
    let code: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut breaches = Vec::new();
    for (name, asked) in whole["dependencies"].as_table().unwrap() {
        let path = format!("{}::", name.replace('-', "_"));
        let known = ["dependencies", "dev-dependencies"].iter().find_map(|it| small[*it].get(name));
        match known {
            Some(known) if version(known) != version(asked) => {
                breaches.push(format!("{name} has another version"));
            }
            // A crate whose name our own modules have as well is no use of it.
            None if code.contains(&format!("use {path}")) => {
                breaches.push(format!("{name} is missing"))
            }
            Some(_) | None => (),
        }
    }
    none(&breaches);
}

/// The text of every module that may hold tests, by its path in its binary. The suite of all ledgers
/// makes one module for each of them.
fn tests() -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    for (below, root) in [("src", ""), ("tests/it", "it::")] {
        for path in rust_files(Path::new(below)) {
            let text = fs::read_to_string(&path).unwrap();
            let inside = path.strip_prefix(below).unwrap().with_extension("");
            let module = format!("{root}{}", inside.to_str().unwrap().replace('/', "::"));
            if text.contains("#[cfg(test)]\nmod tests {") {
                tests.insert(format!("{module}::tests"), text.clone());
            }
            tests.insert(module, text);
        }
    }
    let laws = ["it::ledger", "it::ledger::watched"].map(|module| tests[module].clone()).concat();
    for ledger in ["on_memory", "on_sled"] {
        tests.insert(format!("it::ledger::{ledger}"), laws.clone());
    }
    tests
}

fn rust_files(below: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn entries(file: &str, name: &str) -> Vec<Table> {
    let text = fs::read_to_string(format!("tests/guards/{file}.toml")).unwrap();
    let mut table: Table = text.parse().unwrap();
    let Some(Value::Array(entries)) = table.remove(name) else { panic!("no {name} in {file}") };
    entries.into_iter().map(|entry| entry.try_into().unwrap()).collect()
}

fn said<'a>(entry: &'a Table, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key} in {entry:?}"))
}

fn none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}
