//! The layers laid over each other: whatever is written later wins, and every value keeps the place
//! where it was written. Within a project, its own key wins over `[defaults]` whatever layer either
//! comes from, because it says more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    error::{ConfigError, Origin, Problem, Warning},
    keys::{all, find, general, is_name, is_table, meant, names_in},
    kind::{Kind, Raw, Value},
};

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What was written so far.
#[derive(Default)]
pub(super) struct Written {
    entries: BTreeMap<String, Entry>,
    names: Names,
    /// Paths whose value was refused, so that no rule complains about the default in its place.
    failed: BTreeSet<String>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<Warning>,
}

/// Every key of the daemon, of each caller and of each project, defaults filled in.
#[derive(Debug)]
pub(super) struct Effective {
    entries: BTreeMap<String, Entry>,
    failed: BTreeSet<String>,
    names: Names,
}

/// The names that operators chose (projects, callers, templates), as (group, name): they exist even
/// when their table is empty.
#[derive(Debug, Default)]
struct Names(BTreeSet<(String, String)>);

impl Written {
    /// One value, over whatever was there.
    pub(super) fn set(&mut self, path: &str, raw: &Raw, origin: Origin) {
        if !self.admit_names(path, &origin) {
            return;
        }
        let Some(key) = find(path) else {
            let problem = if is_table(path) {
                Problem::Misfit { expected: "a table".to_owned(), found: "a value".to_owned() }
            } else {
                Problem::Unknown { meant: meant(path) }
            };
            return self.refuse(path, origin, problem);
        };
        if path.starts_with("defaults.") && !key.shared {
            let sentence = "belongs to one project; write it below [projects.NAME]".to_owned();
            return self.refuse(path, origin, Problem::Rule(sentence));
        }
        if matches!(key.kind, Kind::Secret) && !matches!(origin, Origin::Variable(_)) {
            let instead = format!("{path}_file");
            return self.refuse(path, origin, Problem::SecretInTheOpen { instead });
        }
        match key.kind.read(raw) {
            Ok(value) => {
                // A secret and the file that holds it are two ways to say one thing.
                if matches!(key.kind, Kind::Secret) {
                    self.entries.remove(&format!("{path}_file"));
                } else if let Some(secret) = path.strip_suffix("_file") {
                    self.entries.remove(secret);
                }
                self.entries.insert(path.to_owned(), Entry { value, origin });
            }
            Err(problem) => {
                self.failed.insert(path.to_owned());
                self.refuse(path, origin, problem);
            }
        }
    }

    /// A table that somebody opened; whether there is anything below it.
    pub(super) fn open(&mut self, path: &str, origin: Origin) -> bool {
        if !self.admit_names(path, &origin) {
            return false;
        }
        if let Some(key) = find(path) {
            let expected = key.kind.expected();
            self.failed.insert(path.to_owned());
            self.refuse(path, origin, Problem::Misfit { expected, found: "a table".to_owned() });
            return false;
        }
        if !is_table(path) {
            self.refuse(path, origin, Problem::Unknown { meant: meant(path) });
            return false;
        }
        true
    }

    pub(super) fn refuse(&mut self, key: &str, origin: Origin, problem: Problem) {
        self.errors.push(ConfigError { key: key.to_owned(), origin, problem });
    }

    pub(super) fn resolve(self) -> (Effective, Vec<ConfigError>, Vec<Warning>) {
        let mut entries = BTreeMap::new();
        let mut failed = BTreeSet::new();
        for (pattern, key) in all() {
            for path in self.names.paths(&pattern) {
                let general = general(&path);
                let ways = [Some(&path), general.as_ref()].into_iter().flatten();
                if ways.clone().any(|way| self.failed.contains(way)) {
                    failed.insert(path.clone());
                }
                let written = ways.filter_map(|way| self.entries.get(way)).next().cloned();
                let entry = written.unwrap_or_else(|| Entry {
                    value: default_of(&key.kind, key.default),
                    origin: Origin::Default,
                });
                entries.insert(path, entry);
            }
        }
        let effective = Effective { entries, failed, names: self.names };
        (effective, self.errors, self.warnings)
    }

    /// Notes every name that a path leads by; one that cannot be a name is refused once.
    fn admit_names(&mut self, path: &str, origin: &Origin) -> bool {
        for (group, name) in names_in(path) {
            if is_name(name) {
                self.names.0.insert((group.to_owned(), name.to_owned()));
                continue;
            }
            let path = format!("{group}.{name}");
            if self.failed.insert(path.clone()) {
                let expected = "a name of at most 32 lower-case letters, digits and underscores, \
                                a letter first"
                    .to_owned();
                let problem = Problem::Misfit { expected, found: format!("{name:?}") };
                self.refuse(&path, origin.clone(), problem);
            }
            return false;
        }
        true
    }
}

impl Names {
    /// The names of a group of paths. What `[defaults]` names exists in every project.
    fn of(&self, group: &str) -> BTreeSet<&str> {
        let general = general(group);
        let is_meant = |known: &str| known == group || Some(known) == general.as_deref();
        let meant = self.0.iter().filter(|(known, _)| is_meant(known));
        meant.map(|(_, name)| name.as_str()).collect()
    }

    /// Every path of a pattern.
    fn paths(&self, pattern: &str) -> Vec<String> {
        let mut parts = pattern.split('.');
        let mut paths = vec![parts.next().unwrap_or_default().to_owned()];
        for part in parts {
            let mut below = Vec::new();
            for above in &paths {
                let names = if part == "*" { self.of(above) } else { BTreeSet::from([part]) };
                below.extend(names.iter().map(|name| format!("{above}.{name}")));
            }
            paths = below;
        }
        paths
    }
}

impl Effective {
    pub(super) fn entry(&self, path: &str) -> &Entry {
        self.entries.get(path).expect("every path that is read stands in the key table")
    }

    pub(super) fn origin(&self, path: &str) -> &Origin {
        &self.entry(path).origin
    }

    pub(super) fn is_sound(&self, path: &str) -> bool {
        !self.failed.contains(path)
    }

    /// The names in a group such as `projects`.
    pub(super) fn names(&self, group: &str) -> BTreeSet<&str> {
        self.names.of(group)
    }

    /// Every path of the pattern of a key or a table.
    pub(super) fn paths(&self, pattern: &str) -> Vec<String> {
        self.names.paths(pattern)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }
}

/// The value of a default as the table writes it.
pub(super) fn default_of(kind: &Kind, text: &str) -> Value {
    kind.read(&Raw::Loose(text.to_owned())).expect("every default in the key table is of its kind")
}
