//! The key table made searchable: from a path or a variable to its key, and from a misspelt one to
//! the one that was probably meant.
//!
//! A *pattern* has `*` where the name of a project or caller stands (`projects.*.refill.mode`); a
//! *path* is what an operator writes (`projects.kyc.refill.mode`, `defaults.refill.mode`).

use super::{kind::Kind, table::tables};

/// What stands for a name in texts about no project in particular.
const ANY_NAME: &str = "NAME";
const NAME_MAX: usize = 32;

pub(super) struct Table {
    /// A pattern; empty for the top.
    pub(super) path: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
}

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As it would be written in a variable.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
    /// May stand in `[defaults]` for all projects.
    pub(super) shared: bool,
}

/// A key that means something in one place only.
pub(super) const fn own(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, about, shared: false }
}

/// A key of a project that `[defaults]` may set for all of them.
pub(super) const fn shared(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, about, shared: true }
}

impl Table {
    /// The pattern of a key of this table.
    pub(super) fn pattern(&self, key: &Key) -> String {
        if self.path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{}.{}", self.path, key.name)
        }
    }
}

/// Every key with its pattern, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = (String, &'static Key)> {
    tables().flat_map(|table| table.keys.iter().map(|key| (table.pattern(key), key)))
}

/// The key at a path. A path into `[defaults]` leads to the key of the projects, shared or not.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let wanted = pattern_of(path);
    all().find(|(pattern, _)| *pattern == wanted).map(|(_, key)| key)
}

/// Whether keys stand below a path.
pub(super) fn is_table(path: &str) -> bool {
    let below = format!("{}.", pattern_of(path));
    below == "projects."
        || below == "callers."
        || all().any(|(pattern, _)| pattern.starts_with(&below))
}

/// The group and the name in a path that leads to a project or a caller.
pub(super) fn name_in(path: &str) -> Option<(&str, &str)> {
    let (group, rest) = path.split_once('.')?;
    let name = rest.split('.').next()?;
    matches!(group, "projects" | "callers").then_some((group, name))
}

/// `[a-z][a-z0-9_]{0,31}`: the same name fits a metric label, a variable and a TOML key.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX
        && text.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `grpc.listen` is `ARGOSPOOL_GRPC__LISTEN`.
pub(super) fn variable(path: &str) -> String {
    format!("ARGOSPOOL_{}", path.replace('.', "__").to_uppercase())
}

/// The path that a variable sets. A name may hold two underscores in a row, so the end of the
/// variable decides, the longest first.
pub(super) fn path_of_variable(name: &str) -> Option<String> {
    let fits = |pattern: &str| {
        let shape = variable(pattern);
        let Some((before, after)) = shape.split_once('*') else {
            return (shape == name).then(|| pattern.to_owned());
        };
        let middle = name.strip_prefix(before)?.strip_suffix(after)?.to_lowercase();
        is_name(&middle).then(|| pattern.replacen('*', &middle, 1))
    };
    all()
        .flat_map(|(pattern, key)| {
            let default = key.shared.then(|| pattern.replacen("projects.*", "defaults", 1));
            [Some(pattern), default].into_iter().flatten()
        })
        .filter_map(|pattern| Some((pattern.len(), fits(&pattern)?)))
        .max_by_key(|(length, _)| *length)
        .map(|(_, path)| path)
}

/// The path that was probably meant: a likely misspelling, or the same key in another table.
pub(super) fn meant(path: &str) -> Option<String> {
    let known = known_paths(name_in(path).map_or(ANY_NAME, |(_, name)| name));
    let last = path.rsplit('.').next().unwrap_or(path);
    closest(path, &known, last.len()).or_else(|| {
        let elsewhere = || known.iter().filter(|known| known.rsplit('.').next() == Some(last));
        let first = path.split('.').next();
        let nearby = elsewhere().find(|known| known.split('.').next() == first);
        nearby.or_else(|| elsewhere().next()).cloned()
    })
}

/// The variable that was probably meant.
pub(super) fn meant_variable(name: &str) -> Option<String> {
    let project = name
        .strip_prefix("ARGOSPOOL_PROJECTS__")
        .and_then(|rest| rest.split("__").next())
        .unwrap_or(ANY_NAME);
    let known: Vec<_> = known_paths(project).iter().map(|path| variable(path)).collect();
    closest(name, &known, name.len() / 2)
}

/// Every path, keys and tables, with one name put in for all stars.
fn known_paths(name: &str) -> Vec<String> {
    let mut known = Vec::new();
    for table in tables().filter(|table| !table.path.is_empty()) {
        known.push(table.path.to_owned());
    }
    for (pattern, key) in all() {
        if key.shared {
            known.push(pattern.replacen("projects.*", "defaults", 1));
        }
        known.push(pattern);
    }
    known.extend(["projects", "callers", "defaults"].map(str::to_owned));
    known.into_iter().map(|pattern| pattern.replacen('*', name, 1)).collect()
}

fn pattern_of(path: &str) -> String {
    if let Some((group, name)) = name_in(path) {
        let rest = &path[group.len() + 1 + name.len()..];
        return format!("{group}.*{rest}");
    }
    match path.strip_prefix("defaults") {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => format!("projects.*{rest}"),
        _ => path.to_owned(),
    }
}

/// The nearest text, if no more than a third of `length` (and at least two) letters differ.
fn closest(text: &str, known: &[String], length: usize) -> Option<String> {
    known
        .iter()
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance > 0 && *distance <= (length / 3).clamp(2, 6))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.clone())
}

/// Letters to put in, take out or change.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_of_its_kind() {
        for (pattern, key) in all() {
            let value = key.kind.read(&super::super::kind::Raw::Loose(key.default.to_owned()));
            assert!(value.is_ok(), "{pattern}: {value:?}");
        }
    }

    #[test]
    fn no_key_stands_in_the_table_twice() {
        let mut patterns: Vec<_> = all().map(|(pattern, _)| pattern).collect();
        patterns.sort();
        let count = patterns.len();
        patterns.dedup();
        assert_eq!(patterns.len(), count);
    }

    #[test]
    fn every_key_has_a_variable_that_leads_back_to_it() {
        for (pattern, key) in all() {
            for name in ["default", "kyc_eu", "a__b"] {
                let path = pattern.replacen('*', name, 1);
                assert_eq!(path_of_variable(&variable(&path)), Some(path));
            }
            if key.shared {
                let path = pattern.replacen("projects.*", "defaults", 1);
                assert_eq!(path_of_variable(&variable(&path)), Some(path));
            }
        }
    }

    #[test]
    fn a_misspelt_key_is_told_what_was_probably_meant() {
        for (path, meant_path) in [
            ("grpc.lisen", Some("grpc.listen")),
            ("grcp", Some("grpc")),
            ("projects.kyc.refil", Some("projects.kyc.refill")),
            ("projects.kyc.refill.target_token", Some("projects.kyc.refill.target_tokens")),
            ("projects.kyc.target_tokens", Some("projects.kyc.refill.target_tokens")),
            ("defaults.refill.mod", Some("defaults.refill.mode")),
            ("callers.web.rol", Some("callers.web.role")),
            ("jobs.moonlight", None),
            ("projects.kyc.transfer.seal_requests", None),
        ] {
            assert_eq!(meant(path).as_deref(), meant_path, "{path}");
        }
    }

    #[test]
    fn a_name_fits_a_label_a_variable_and_a_key() {
        for name in ["a", "default", "kyc_eu_2", &"a".repeat(32)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "_a", "Kyc", "kyc-eu", "a.b", "ä", &"a".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
