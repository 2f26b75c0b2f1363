//! The key table made searchable: from a path or a variable to its key, and from a misspelt one to
//! the one that was probably meant.
//!
//! A *pattern* has `*` where a name stands that operators choose (`projects.*.refill.mode`,
//! `projects.*.liveform.templates.*.lang`); a *path* is what they write (`projects.kyc.refill.mode`,
//! `defaults.refill.mode`). What stands before such a name is a *group*.

use super::{kind::Kind, table::tables};

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
    all().any(|(pattern, _)| pattern.starts_with(&below))
}

/// Every chosen name in a path, with the path of its group, from left to right.
pub(super) fn names_in(path: &str) -> Vec<(&str, &str)> {
    let mut names = Vec::new();
    let mut end = 0;
    for Part { text, group } in taken_apart(path).0 {
        if group.is_some() {
            names.push((&path[..end - 1], text));
        }
        end += text.len() + 1;
    }
    names
}

/// A pattern with a name for every star; `name_of` is asked with the pattern of its group.
pub(super) fn filled(pattern: &str, name_of: impl Fn(&str) -> String) -> String {
    let part = |part: Part<'_>| match part.group {
        Some(group) => name_of(&group),
        None => part.text.to_owned(),
    };
    taken_apart(pattern).0.into_iter().map(part).collect::<Vec<_>>().join(".")
}

/// What stands for a name in texts about nobody in particular.
pub(super) fn any_name(group: &str) -> String {
    if group.ends_with(".templates") { "TEMPLATE" } else { "NAME" }.to_owned()
}

/// Where the same is said for all projects: `defaults.refill.mode` for `projects.kyc.refill.mode`.
pub(super) fn general(path: &str) -> Option<String> {
    let (_, rest) = path.strip_prefix("projects.")?.split_once('.')?;
    Some(format!("defaults.{rest}"))
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

/// The path that a variable sets. A name may hold two underscores in a row, so what stands around
/// the names decides, the longest first.
pub(super) fn path_of_variable(name: &str) -> Option<String> {
    let fits = |pattern: &str| {
        let mut names = names_for(&variable(pattern), name)?.into_iter();
        let parts = pattern.split('.').map(|part| match part {
            "*" => names.next().unwrap_or_default(),
            part => part.to_owned(),
        });
        Some(parts.collect::<Vec<_>>().join("."))
    };
    all()
        .flat_map(|(pattern, key)| {
            let default = general(&pattern).filter(|_| key.shared);
            [Some(pattern), default].into_iter().flatten()
        })
        .filter_map(|pattern| Some((pattern.len(), fits(&pattern)?)))
        .max_by_key(|(length, _)| *length)
        .map(|(_, path)| path)
}

/// The names that stand where a variable's shape has its stars.
fn names_for(shape: &str, text: &str) -> Option<Vec<String>> {
    let Some((before, after)) = shape.split_once('*') else {
        return (shape == text).then(Vec::new);
    };
    let rest = text.strip_prefix(before)?;
    (1..=NAME_MAX.min(rest.len())).find_map(|end| {
        let (name, rest) = rest.split_at_checked(end)?;
        let name = name.to_lowercase();
        let others = is_name(&name).then(|| names_for(after, rest))??;
        Some([vec![name], others].concat())
    })
}

/// The path that was probably meant: a likely misspelling, or the same key in another table.
pub(super) fn meant(path: &str) -> Option<String> {
    let known = known_paths(path);
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
    let path = name.strip_prefix("ARGOSPOOL_").unwrap_or(name);
    let path = path.replace("__", ".").to_lowercase();
    let known: Vec<_> = known_paths(&path).iter().map(|path| variable(path)).collect();
    closest(name, &known, name.len() / 2)
}

/// Every path, keys and tables and groups, with the names that a path like it has.
fn known_paths(like: &str) -> Vec<String> {
    let mut known = vec!["defaults".to_owned()];
    for table in tables().filter(|table| !table.path.is_empty()) {
        let is_shared = table.keys.iter().any(|key| key.shared);
        for path in [Some(table.path), table.path.strip_suffix(".*")].into_iter().flatten() {
            known.extend(general(path).filter(|_| is_shared));
            known.push(path.to_owned());
        }
    }
    for (pattern, key) in all() {
        if key.shared {
            known.extend(general(&pattern));
        }
        known.push(pattern);
    }
    let (parts, _) = taken_apart(like);
    let names: Vec<_> =
        parts.into_iter().filter_map(|part| Some((part.group?, part.text))).collect();
    let name_of = |group: &str| {
        let name = names.iter().find(|(known, _)| known == group);
        name.map_or_else(|| any_name(group), |(_, name)| (*name).to_owned())
    };
    known.into_iter().map(|pattern| filled(&pattern, name_of)).collect()
}

/// What stands between two dots of a path or a pattern.
struct Part<'a> {
    text: &'a str,
    /// The pattern of the group that this is a name in.
    group: Option<String>,
}

/// The parts of a path, and its pattern. What holds for all projects stands where a project stands.
fn taken_apart(path: &str) -> (Vec<Part<'_>>, String) {
    let (mut parts, mut pattern) = (Vec::new(), String::new());
    for (at, text) in path.split('.').enumerate() {
        let group = is_group(&pattern).then(|| pattern.clone());
        if at > 0 {
            pattern.push('.');
        }
        pattern.push_str(match (at, text) {
            _ if group.is_some() => "*",
            (0, "defaults") => "projects.*",
            _ => text,
        });
        parts.push(Part { text, group });
    }
    (parts, pattern)
}

fn pattern_of(path: &str) -> String {
    taken_apart(path).1
}

fn is_group(pattern: &str) -> bool {
    tables().any(|table| table.path.strip_suffix(".*") == Some(pattern))
}

/// The nearest text, if no more than a third of `length` (and at least two) letters differ.
pub fn closest(text: &str, known: &[String], length: usize) -> Option<String> {
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
            for (name, template) in [("default", "kr_passport"), ("kyc_eu", "a__b"), ("a__b", "a")]
            {
                let name_of =
                    |group: &str| if group.contains('.') { template } else { name }.to_owned();
                let path = filled(&pattern, name_of);
                assert_eq!(path_of_variable(&variable(&path)).as_ref(), Some(&path));
                if key.shared {
                    let path = general(&path).unwrap();
                    assert_eq!(path_of_variable(&variable(&path)), Some(path));
                }
            }
        }
    }

    #[test]
    fn a_path_tells_every_name_that_was_chosen_and_where() {
        let template = "projects.kyc.liveform.templates.kr.lang";
        let groups = [("projects", "kyc"), ("projects.kyc.liveform.templates", "kr")];
        assert_eq!(names_in(template), groups);
        assert_eq!(find(template).unwrap().name, "lang");
        let general_template = general(template).unwrap();
        assert_eq!(names_in(&general_template), [("defaults.liveform.templates", "kr")]);
        assert_eq!(find(&general_template).unwrap().name, "lang");
        assert_eq!(names_in("defaults.refill.mode"), []);
        assert_eq!(names_in("grpc.listen"), []);
    }

    #[test]
    fn a_dot_too_many_makes_another_path() {
        for path in [".grpc.listen", "grpc..listen", "grpc.listen.", ".defaults.refill.mode", ""] {
            assert!(find(path).is_none() && !is_table(path), "{path:?}");
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
            ("projects.kyc.moon.phase", None),
            ("defaults.refil", Some("defaults.refill")),
            ("projects.kyc.liveform.template", Some("projects.kyc.liveform.templates")),
            (
                "projects.kyc.liveform.templates.kr.allowedCountries",
                Some("projects.kyc.liveform.templates.kr.allowed_countries"),
            ),
            ("defaults.liveform.defaults.lnag", Some("defaults.liveform.defaults.lang")),
            (
                "defaults.liveform.templates.kr.agelimit",
                Some("defaults.liveform.templates.kr.age_limit"),
            ),
            ("projects.kyc.liveform.lang", Some("projects.kyc.liveform.defaults.lang")),
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
