//! What a key may hold: its kind, and the typed value that comes out of the text or the TOML value
//! that somebody wrote. A kind carries its range, so that a bound and the message about it are one.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    error::Problem,
    keys::is_name,
    network::Network,
    notation::{
        check_endpoint, check_schedule, check_url, is_country, is_log_filter, is_token_prefix,
        print_count, print_duration, print_size, read_count, read_duration, read_size,
    },
};
use crate::domain::{limits::TOKEN_PREFIX_MAX, secret::Secret};

/// Bytes of a unix socket's path that the kernel has room for, its closing zero left out.
const SOCKET_PATH_MAX: usize = 107;

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Path,
    PathOrNone,
    SocketPath,
    /// Comes from the environment only and is never printed.
    Secret,
    /// The path of a file that holds a secret; empty is none.
    SecretFile,
    SecretFiles,
    Duration(Duration, Duration),
    Size(u64, u64),
    Count(u64, u64),
    /// One of a few numbers.
    CountOf(&'static [u64]),
    Number(f64, f64),
    Flag,
    /// A flag, or empty for neither.
    FlagOrNone,
    Choice(&'static [&'static str]),
    Address,
    /// An address, or empty for none.
    AddressOrNone,
    Networks,
    Names,
    /// Codes of countries that ARGOS knows and we do not.
    Countries,
    /// The same with types of identity documents.
    IdTypes,
    FileMode,
    UserId,
    Schedule,
    Url,
    /// The address of something that is told no secret, or empty for none.
    Endpoint,
    TokenPrefix,
    LogFilter,
}

/// A value of the right kind and within its range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Path(Option<PathBuf>),
    Paths(Vec<PathBuf>),
    Secret(Secret),
    Duration(Duration),
    Size(u64),
    Count(u64),
    Number(f64),
    Flag(bool),
    FlagOrNone(Option<bool>),
    Address(Option<SocketAddr>),
    Networks(Vec<Network>),
    Names(Vec<String>),
    FileMode(u32),
    UserId(Option<u32>),
}

/// What somebody wrote, before it is held against the kind of its key.
pub(super) enum Raw {
    /// From the environment or the command line, where everything is text.
    Loose(String),
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
    List(Vec<String>),
    /// Something that no key takes, by its name.
    Other(&'static str),
}

impl Kind {
    pub(super) fn read(&self, raw: &Raw) -> Result<Value, Problem> {
        self.value_of(raw).map_err(|reason| {
            let expected = match reason {
                Some(reason) => format!("{} ({reason})", self.expected()),
                None => self.expected(),
            };
            Problem::Misfit { expected, found: self.found(raw) }
        })
    }

    /// What to write, for messages and for the reference.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text => "text without spaces around it".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::PathOrNone => "a path, or \"\"".to_owned(),
            Self::SocketPath => format!("a path of at most {SOCKET_PATH_MAX} bytes, or \"\""),
            Self::Secret => "a secret".to_owned(),
            Self::SecretFile => "the path of a file, or \"\"".to_owned(),
            Self::SecretFiles => "a list of paths of files".to_owned(),
            Self::Duration(least, most) => {
                format!("a duration from {} to {}", print_duration(*least), print_duration(*most))
            }
            Self::Size(least, most) => {
                format!("a size from {} to {}", print_size(*least), print_size(*most))
            }
            Self::Count(least, most) => {
                format!("a whole number from {} to {}", print_count(*least), print_count(*most))
            }
            Self::CountOf(choices) => {
                let choices: Vec<_> = choices.iter().map(|choice| print_count(*choice)).collect();
                format!("one of {}", choices.join(", "))
            }
            Self::Number(least, most) => format!("a number from {least:?} to {most:?}"),
            Self::Flag => "true or false".to_owned(),
            Self::FlagOrNone => "true, false, or \"\"".to_owned(),
            Self::Choice([only]) => format!("{only:?}"),
            Self::Choice(choices) => {
                let shown =
                    |choice: &&str| if choice.is_empty() { "\"\"" } else { choice }.to_owned();
                let shown: Vec<_> = choices.iter().map(shown).collect();
                format!("one of {}", shown.join(", "))
            }
            Self::Address => "an address such as 127.0.0.1:9464".to_owned(),
            Self::AddressOrNone => "an address such as 127.0.0.1:7070, or \"\"".to_owned(),
            Self::Networks => "a list of networks such as 10.0.0.0/8".to_owned(),
            Self::Names => "a list of names".to_owned(),
            Self::Countries => "a list of countries such as KOR".to_owned(),
            Self::IdTypes => "a list of document types such as passport".to_owned(),
            Self::FileMode => "an octal file mode such as \"0660\"".to_owned(),
            Self::UserId => "the number of a user".to_owned(),
            Self::Schedule => "a cron expression of six fields, seconds first, in UTC".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Endpoint => "a URL such as http://127.0.0.1:4318, or \"\"".to_owned(),
            Self::TokenPrefix => format!(
                "1 to {} letters, digits, dots, underscores or dashes, a letter or digit first",
                TOKEN_PREFIX_MAX
            ),
            Self::LogFilter => {
                "off, error, warn, info, debug or trace, and module=level behind commas".to_owned()
            }
        }
    }

    /// `Err` holds what the expectation alone would not tell.
    fn value_of(&self, raw: &Raw) -> Result<Value, Option<String>> {
        let value = match self {
            Self::Text => raw.text().filter(|text| is_tidy(text)).map(Value::text),
            Self::Path => raw.text().filter(|text| !text.is_empty()).map(Value::path),
            Self::PathOrNone => raw.text().map(Value::path),
            Self::SocketPath => {
                raw.text().filter(|text| text.len() <= SOCKET_PATH_MAX).map(Value::path)
            }
            Self::Secret => raw.text().map(|text| Value::Secret(Secret::new(text.to_owned()))),
            Self::SecretFile => raw.text().map(Value::path),
            Self::SecretFiles => raw
                .list()
                .filter(|paths| paths.iter().all(|path| !path.is_empty()))
                .map(|paths| Value::Paths(paths.into_iter().map(PathBuf::from).collect())),
            Self::Duration(least, most) => raw
                .text()
                .and_then(read_duration)
                .filter(|duration| least <= duration && duration <= most)
                .map(Value::Duration),
            Self::Size(least, most) => {
                raw.size().filter(|bytes| least <= bytes && bytes <= most).map(Value::Size)
            }
            Self::Count(least, most) => {
                raw.whole().filter(|count| least <= count && count <= most).map(Value::Count)
            }
            Self::CountOf(choices) => {
                raw.whole().filter(|count| choices.contains(count)).map(Value::Count)
            }
            Self::Number(least, most) => {
                raw.number().filter(|number| least <= number && number <= most).map(Value::Number)
            }
            Self::Flag => raw.flag().map(Value::Flag),
            Self::FlagOrNone if raw.text() == Some("") => Some(Value::FlagOrNone(None)),
            Self::FlagOrNone => raw.flag().map(|flag| Value::FlagOrNone(Some(flag))),
            Self::Choice(choices) => {
                raw.text().filter(|text| choices.contains(text)).map(Value::text)
            }
            Self::Address => raw.address().map(|address| Value::Address(Some(address))),
            Self::AddressOrNone if raw.text() == Some("") => Some(Value::Address(None)),
            Self::AddressOrNone => raw.address().map(|address| Value::Address(Some(address))),
            Self::Networks => match raw.list() {
                Some(list) => {
                    let networks: Result<_, String> =
                        list.iter().map(|text| text.parse()).collect();
                    Some(Value::Networks(networks.map_err(Some)?))
                }
                None => None,
            },
            Self::Names => raw.list().map(Value::Names),
            Self::Countries => raw.codes(is_country, "three capital letters")?.map(Value::Names),
            Self::IdTypes => raw
                .codes(is_name, "small letters, digits and underscores, a letter first")?
                .map(Value::Names),
            Self::FileMode => raw.text().and_then(read_file_mode).map(Value::FileMode),
            Self::UserId if raw.text() == Some("") => Some(Value::UserId(None)),
            Self::UserId => {
                raw.whole().and_then(|id| u32::try_from(id).ok()).map(|id| Value::UserId(Some(id)))
            }
            Self::Schedule => match raw.text() {
                Some(text) => {
                    check_schedule(text).map_err(Some)?;
                    Some(Value::text(text))
                }
                None => None,
            },
            Self::Url => match raw.text() {
                Some(text) => {
                    check_url(text).map_err(|reason| Some(reason.to_owned()))?;
                    Some(Value::text(text))
                }
                None => None,
            },
            Self::Endpoint => match raw.text() {
                Some(text) => {
                    if !text.is_empty() {
                        check_endpoint(text).map_err(|reason| Some(reason.to_owned()))?;
                    }
                    Some(Value::text(text))
                }
                None => None,
            },
            Self::TokenPrefix => raw.text().filter(|text| is_token_prefix(text)).map(Value::text),
            Self::LogFilter => raw.text().filter(|text| is_log_filter(text)).map(Value::text),
        };
        value.ok_or(None)
    }

    /// What was found, as far as it may be shown: a path is kept back because a secret is sometimes
    /// pasted where its file belongs, a URL because it may hold a password.
    fn found(&self, raw: &Raw) -> String {
        let text = match raw {
            Raw::Loose(text) | Raw::Text(text) => text,
            Raw::Whole(number) => return number.to_string(),
            Raw::Number(number) => return number.to_string(),
            Raw::Flag(flag) => return flag.to_string(),
            Raw::List(_) => return "a list".to_owned(),
            Raw::Other(name) => return (*name).to_owned(),
        };
        match self {
            Self::Secret | Self::SecretFile | Self::SecretFiles | Self::Url | Self::Endpoint => {
                "a text that is not shown".to_owned()
            }
            Self::Text
            | Self::Path
            | Self::PathOrNone
            | Self::SocketPath
            | Self::Duration(..)
            | Self::Size(..)
            | Self::Count(..)
            | Self::CountOf(_)
            | Self::Number(..)
            | Self::Flag
            | Self::FlagOrNone
            | Self::Choice(_)
            | Self::Address
            | Self::AddressOrNone
            | Self::Networks
            | Self::Names
            | Self::Countries
            | Self::IdTypes
            | Self::FileMode
            | Self::UserId
            | Self::Schedule
            | Self::TokenPrefix
            | Self::LogFilter => format!("{text:?}"),
        }
    }
}

impl Value {
    /// The value as TOML; a secret is not shown.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Path(None)
            | Self::Address(None)
            | Self::UserId(None)
            | Self::FlagOrNone(None) => quoted(""),
            Self::Path(Some(path)) => quoted(&path.to_string_lossy()),
            Self::Paths(paths) => list(paths.iter().map(|path| path.to_string_lossy().into())),
            Self::Secret(_) => quoted("(not shown)"),
            Self::Duration(duration) => quoted(&print_duration(*duration)),
            Self::Size(bytes) => quoted(&print_size(*bytes)),
            Self::Count(count) => print_count(*count),
            Self::Number(number) => format!("{number:?}"),
            Self::Flag(flag) | Self::FlagOrNone(Some(flag)) => flag.to_string(),
            Self::Address(Some(address)) => quoted(&address.to_string()),
            Self::Networks(networks) => list(networks.iter().map(Network::to_string)),
            Self::Names(names) => list(names.iter().cloned()),
            Self::FileMode(mode) => quoted(&format!("{mode:04o}")),
            Self::UserId(Some(id)) => id.to_string(),
        }
    }

    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn path(text: &str) -> Self {
        Self::Path((!text.is_empty()).then(|| PathBuf::from(text)))
    }
}

impl Raw {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Loose(text) | Self::Text(text) => Some(text),
            Self::Whole(_) | Self::Number(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => {
                None
            }
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.text()?.parse().ok()
    }

    fn whole(&self) -> Option<u64> {
        match self {
            Self::Loose(text) => read_count(text),
            Self::Whole(number) => u64::try_from(*number).ok(),
            Self::Text(_) | Self::Number(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => {
                None
            }
        }
    }

    /// A size without its unit is refused: nobody can tell whether it counts bytes or mebibytes.
    fn size(&self) -> Option<u64> {
        read_size(self.text()?)
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Loose(text) => text.parse().ok(),
            Self::Whole(number) => i32::try_from(*number).ok().map(f64::from),
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Loose(text) => text.parse().ok(),
            Self::Flag(flag) => Some(*flag),
            Self::Text(_) | Self::Whole(_) | Self::Number(_) | Self::List(_) | Self::Other(_) => {
                None
            }
        }
    }

    fn list(&self) -> Option<Vec<String>> {
        match self {
            Self::Loose(text) if text.trim().is_empty() => Some(Vec::new()),
            Self::Loose(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            Self::List(items) => Some(items.clone()),
            Self::Text(_) | Self::Whole(_) | Self::Number(_) | Self::Flag(_) | Self::Other(_) => {
                None
            }
        }
    }

    /// A list of which every item fits; `Err` names the first that does not.
    fn codes(
        &self,
        fits: fn(&str) -> bool,
        form: &str,
    ) -> Result<Option<Vec<String>>, Option<String>> {
        let codes = self.list();
        match codes.iter().flatten().find(|code| !fits(code)) {
            Some(code) => Err(Some(format!("{code:?} is not made of {form}"))),
            None => Ok(codes),
        }
    }
}

/// A text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| quoted(&item)).collect::<Vec<_>>().join(", "))
}

fn is_tidy(text: &str) -> bool {
    text.trim() == text && !text.contains(char::is_control)
}

fn read_file_mode(text: &str) -> Option<u32> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777)
}
