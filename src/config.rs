//! The configuration: files, environment and flags in, checked [`Settings`] out.
//!
//! Layers, each over the one before: defaults, files in the order given, environment, flags. One
//! table of keys ([`table`]) knows every name, kind, range and default; everything else here reads
//! it. What is wrong is reported all at once, each error with the key and the place where it was
//! written, and an unknown key is an error: a misspelt limit that is silently ignored is found out
//! on the worst day.
//!
//! What is refused here: reading the environment by itself (it arrives as an argument, so that tests
//! and `config check` see exactly what they pass), keys that have no effect, and a secret inside of a
//! file that people copy, print and commit.

mod environment;
mod error;
mod extract;
mod file;
mod keys;
mod kind;
mod merge;
mod network;
mod notation;
mod print;
mod rules;
mod secrets;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, fs, path::PathBuf};

pub use self::{
    error::{ConfigError, Origin, Problem, Warning},
    keys::closest,
    network::Network,
    print::{example, reference},
    secrets::SecretSource,
    settings::{
        Argos, Caller, CallerProof, Grpc, Http, Jobs, Lease, Ledger, LedgerKind, LedgerStorage,
        Life, Liveform, Log, LogFormat, Project, ProjectWebhook, Refill, RefillMode, RequestShape,
        Role, Settings, Telemetry, Tokens, Transfer, Webhook,
    },
};
use self::{
    kind::Raw,
    merge::{Effective, Written},
};

/// Everything that may say something about the settings.
#[derive(Clone, Default)]
pub struct Sources {
    /// TOML files; a later one wins.
    pub files: Vec<PathBuf>,
    /// Variables that are no keys (the ones of the command line itself) are left out by the caller.
    pub environment: Vec<(OsString, OsString)>,
    /// Full key and text, such as `("grpc.listen", "127.0.0.1:0")`; a later one wins.
    pub overrides: Vec<(String, String)>,
}

/// Settings that may be used.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    effective: Effective,
}

/// Reads all layers and the secret files they name, and checks everything.
///
/// # Errors
///
/// Everything that is wrong, in the order in which it was found; never empty.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<ConfigError>> {
    let mut written = Written::default();
    environment::read_state_directory(&sources.environment, &mut written);
    for path in &sources.files {
        match fs::read_to_string(path) {
            Ok(text) => file::read(path, &text, &mut written),
            Err(error) => {
                let origin = Origin::File { path: path.clone(), line: 1 };
                written.refuse("", origin, Problem::Unreadable(error.to_string()));
            }
        }
    }
    environment::read(&sources.environment, &mut written);
    for (path, text) in &sources.overrides {
        written.set(path, &Raw::Loose(text.clone()), Origin::CommandLine);
    }
    let (effective, mut errors, mut warnings) = written.resolve();
    // Without one of the files, whatever it holds would be called missing.
    if errors
        .iter()
        .any(|error| matches!(error.problem, Problem::Unreadable(_) | Problem::Syntax(_)))
    {
        return Err(errors);
    }
    let settings = extract::extract(&effective, &mut errors);
    rules::check(&settings, &effective, &mut errors, &mut warnings);
    if errors.is_empty() { Ok(Loaded { settings, warnings, effective }) } else { Err(errors) }
}
