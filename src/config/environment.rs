//! The environment as a layer: `ARGOSPOOL_…` for every key, and for project `default` the names that
//! ARGOS's own guide uses.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    error::{Origin, Problem, Warning},
    keys::{find, meant_variable, path_of_variable},
    kind::{Kind, Raw},
    merge::Written,
};

/// Variables of ARGOS's guide, for the single project.
const GUIDE: [(&str, &str); 3] = [
    ("ARGOS_API_KEY", "projects.default.api_key"),
    ("ARGOS_API_KEY_FILE", "projects.default.api_key_file"),
    ("ARGOS_PROJECT_ID", "projects.default.pid"),
];

/// Where systemd puts the state of a unit. It is a better default than ours and no more than that,
/// so it goes below the files.
pub(super) fn read_state_directory(pairs: &[(OsString, OsString)], written: &mut Written) {
    let directories = pairs.iter().rfind(|(name, _)| name == "STATE_DIRECTORY");
    let Some(directories) = directories.and_then(|(_, value)| value.to_str()) else { return };
    if let Some(first) = directories.split(':').next().filter(|first| !first.is_empty()) {
        let origin = Origin::Variable("STATE_DIRECTORY".to_owned());
        written.set("data_dir", &Raw::Loose(first.to_owned()), origin);
    }
}

/// Lays the variables over what was written so far.
pub(super) fn read(pairs: &[(OsString, OsString)], written: &mut Written) {
    let mut setters: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in pairs {
        // Every name of ours is plain ASCII, so whatever is not cannot be one.
        let Some(name) = name.to_str() else { continue };
        let Some(path) = path_of(name, written) else { continue };
        let origin = Origin::Variable(name.to_owned());
        let Some(text) = value.to_str() else {
            let (expected, found) = ("text in UTF-8".to_owned(), "other bytes".to_owned());
            written.refuse(&path, origin, Problem::Misfit { expected, found });
            continue;
        };
        if text.is_empty() && is_unset_when_empty(&path) {
            continue;
        }
        let rivals = [path.clone(), twin_of(&path)];
        if let Some(other) = rivals.iter().find_map(|rival| setters.get(rival)) {
            written.refuse(&path, origin, Problem::SetTwice((*other).to_owned()));
            continue;
        }
        setters.insert(path.clone(), name);
        written.set(&path, &Raw::Loose(text.to_owned()), origin);
    }
}

/// The path that a variable sets; one that looks like ours and sets nothing earns a warning.
fn path_of(name: &str, written: &mut Written) -> Option<String> {
    if let Some((_, path)) = GUIDE.iter().find(|(guide, _)| *guide == name) {
        return Some((*path).to_owned());
    }
    let rest = name.strip_prefix("ARGOSPOOL_")?;
    let path = path_of_variable(name);
    if path.is_none() && !is_made_by_kubernetes(rest) {
        let meant = meant_variable(name);
        written.warnings.push(Warning::UnknownVariable { name: name.to_owned(), meant });
    }
    path
}

/// Compose files and charts pass variables on that nobody set, as empty text. A secret or a pid is
/// never empty, so there it means that nothing was said.
fn is_unset_when_empty(path: &str) -> bool {
    path.ends_with(".pid")
        || find(path).is_some_and(|key| {
            matches!(key.kind, Kind::Secret | Kind::SecretFile | Kind::SecretFiles)
        })
}

/// The other way to say the same secret: by itself, or by the name of its file.
fn twin_of(path: &str) -> String {
    match path.strip_suffix("_file") {
        Some(secret) => secret.to_owned(),
        None => format!("{path}_file"),
    }
}

/// For a Service named `argospool` Kubernetes makes `ARGOSPOOL_SERVICE_HOST`, `ARGOSPOOL_PORT` and
/// `ARGOSPOOL_PORT_7070_TCP_ADDR`, and for one named `argospool-hub` the same with `HUB_` between.
fn is_made_by_kubernetes(rest: &str) -> bool {
    let in_words = format!("_{rest}_");
    !rest.contains("__")
        && ["_SERVICE_HOST_", "_SERVICE_PORT_", "_PORT_"].iter().any(|mark| in_words.contains(mark))
}
