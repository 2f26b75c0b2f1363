//! What is said about a configuration that cannot be used: the key, the place where it was written,
//! what was expected and what was found. A secret's text has no way in: whoever makes an error about
//! a secret has only its key to hand over.

use std::{fmt, path::PathBuf};

/// Where the value of a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// One thing that is wrong. `load` returns all of them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The full key, such as `projects.default.refill.target_tokens`; empty when a whole file is at fault.
    pub key: String,
    pub origin: Origin,
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", on_one_line(&self.key))?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ConfigError {}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    #[error("not valid TOML: {0}")]
    Syntax(String),
    #[error("unknown key{}", suggestion(.meant.as_deref()))]
    Unknown { meant: Option<String> },
    #[error("expected {expected}, found {found}")]
    Misfit { expected: String, found: String },
    #[error("a secret is never written here; name a file with {instead}")]
    SecretInTheOpen { instead: String },
    #[error("also set by {0}; keep one of the two")]
    SetTwice(String),
    #[error("cannot use the secret file: {0}")]
    SecretFile(String),
    /// A relation between keys, or a value that is missing, said as a whole sentence.
    #[error("{0}")]
    Rule(String),
}

/// Something that is probably not meant, and does not stop the daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("{name}: unknown variable{}", suggestion(.meant.as_deref()))]
    UnknownVariable { name: String, meant: Option<String> },
    #[error("grpc.insecure: everybody who reaches {listen} may lease")]
    OpenToEverybody { listen: std::net::SocketAddr },
    #[error("ledger.kind: memory forgets every lease at exit while ARGOS keeps the tokens")]
    ForgetfulLedger,
    #[error("{key}: one of them holds the key in use, which opens what it sealed anyway")]
    PreviousKeyInUse { key: String },
}

/// A key that nobody knows may hold anything that TOML lets quotes hold.
fn on_one_line(key: &str) -> String {
    let letter = |letter: char| match letter.is_control() {
        true => letter.escape_debug().to_string(),
        false => letter.to_string(),
    };
    key.chars().map(letter).collect()
}

fn suggestion(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default()
}
