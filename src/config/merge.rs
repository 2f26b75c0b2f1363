//! The layers laid over each other: whatever is written later wins, and every value keeps the place
//! where it was written. Within a project, its own key wins over `[defaults]` whatever layer either
//! comes from, because it says more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    error::{ConfigError, Origin, Problem, Warning},
    keys::{all, find, is_name, is_table, meant, name_in},
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
    /// Projects and callers, as (group, name): they exist even when their table is empty.
    names: BTreeSet<(String, String)>,
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
    pub(super) projects: Vec<String>,
    pub(super) callers: Vec<String>,
}

impl Written {
    /// One value, over whatever was there.
    pub(super) fn set(&mut self, path: &str, raw: &Raw, origin: Origin) {
        if !self.admit_name(path, &origin) {
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
        if !self.admit_name(path, &origin) {
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
        let named = |wanted: &str| -> Vec<String> {
            self.names
                .iter()
                .filter(|(group, _)| group == wanted)
                .map(|(_, name)| name.clone())
                .collect()
        };
        let (projects, callers) = (named("projects"), named("callers"));
        let mut entries = BTreeMap::new();
        let mut failed = BTreeSet::new();
        for (pattern, key) in all() {
            let names: &[String] = match pattern.split('.').next() {
                Some("projects") => &projects,
                Some("callers") => &callers,
                _ => &[String::new()],
            };
            for name in names {
                let path = pattern.replacen('*', name, 1);
                let general = pattern.replacen("projects.*", "defaults", 1);
                if self.failed.contains(&path) || self.failed.contains(&general) {
                    failed.insert(path.clone());
                }
                let written =
                    self.entries.get(&path).or_else(|| self.entries.get(&general)).cloned();
                let entry = match written {
                    Some(entry) => entry,
                    None => {
                        Entry { value: default_of(&key.kind, key.default), origin: Origin::Default }
                    }
                };
                entries.insert(path, entry);
            }
        }
        (Effective { entries, failed, projects, callers }, self.errors, self.warnings)
    }

    /// Notes the project or caller that a path leads to; a name that cannot be one is refused once.
    fn admit_name(&mut self, path: &str, origin: &Origin) -> bool {
        let Some((group, name)) = name_in(path) else { return true };
        if is_name(name) {
            self.names.insert((group.to_owned(), name.to_owned()));
            return true;
        }
        let path = format!("{group}.{name}");
        if self.failed.insert(path.clone()) {
            let expected =
                "a name of at most 32 lower-case letters, digits and underscores, a letter first"
                    .to_owned();
            let problem = Problem::Misfit { expected, found: format!("{name:?}") };
            self.refuse(&path, origin.clone(), problem);
        }
        false
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

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }
}

/// The value of a default as the table writes it.
pub(super) fn default_of(kind: &Kind, text: &str) -> Value {
    kind.read(&Raw::Loose(text.to_owned())).expect("every default in the key table is of its kind")
}
