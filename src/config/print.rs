//! The configuration written out: what is in force, an example with everything in it, and the
//! reference. All three are made from the key table.

use std::fmt::Write as _;

use super::{
    Loaded,
    error::Origin,
    keys::{Key, Table, any_name, filled, variable},
    kind::{Kind, Value, quoted},
    merge::{Entry, default_of},
    table::{DEFAULTS, TEMPLATES, tables},
};

/// Letters of the widest value that the others are lined up with.
const COLUMN_MAX: usize = 24;
/// What the template of the example says.
const TEMPLATE: [(&str, &str); 2] =
    [("allowed_countries", "KOR"), ("allowed_id_types", "passport")];
const EXAMPLE_HEAD: &str = "\
# argospool.toml: every key with its default.
# Durations \"250ms\" \"30s\" \"15m\" \"24h\"; sizes \"32MiB\"; counts end in _tokens, _callers, _lines.
# File < environment (ARGOSPOOL_GRPC__LISTEN, ARGOSPOOL_PROJECTS__DEFAULT__REFILL__TARGET_TOKENS) < flags.
# Secrets are never written here: *_file here, or ARGOS_API_KEY(_FILE) for project `default`,
# ARGOSPOOL_PROJECTS__<NAME>__API_KEY(_FILE) for others.
";

/// The TOML file that `config example` prints: loading it changes nothing.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    for table in tables() {
        let keys = table.keys.iter().filter(|key| !matches!(key.kind, Kind::Secret));
        let line = |key: &Key| {
            let value = if table.path == TEMPLATES {
                let (_, text) = TEMPLATE.iter().find(|(name, _)| *name == key.name)?;
                default_of(&key.kind, text).to_toml()
            } else {
                default_text(key)
            };
            Some(Line { name: key.name, value, remark: key.about.to_owned() })
        };
        let lines: Vec<_> = keys.filter_map(line).collect();
        if table.path == "projects.*" {
            text.push_str(
                "\n# What stands below this holds for every project that does not say otherwise,\n",
            );
            text.push_str("# e.g. refill.target_tokens = 2_000.\n[defaults]\n");
        }
        // A caller that is there in the example would lock everybody else out, and a template would be
        // one that nobody asked for.
        let is_aside = table.path.starts_with("callers.") || holds_parameters(table);
        let mark = if is_aside { "# " } else { "" };
        text.push('\n');
        if table.path.is_empty() {
            text.push_str(&block(&lines, mark));
            continue;
        }
        let path = filled(table.path, |group| {
            let name = match group {
                "callers" => "kyc_web",
                "projects" => "default",
                _ => "kr_passport",
            };
            name.to_owned()
        });
        let _ = writeln!(text, "# {}\n{mark}[{path}]", table.about);
        text.push_str(&block(&lines, mark));
    }
    text
}

/// Every key as a row of a Markdown table, for the documentation.
pub fn reference() -> String {
    let mut text =
        "| key | default | what to write | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for table in tables() {
        for key in table.keys {
            let pattern = table.pattern(key);
            let (name, default) = if matches!(key.kind, Kind::Secret) {
                (
                    variable(&filled(&pattern, |group| format!("<{}>", any_name(group)))),
                    String::new(),
                )
            } else {
                (filled(&pattern, any_name), format!("`{}`", default_text(key)))
            };
            let expected = key.kind.expected();
            let _ = writeln!(text, "| `{name}` | {default} | {expected} | {} |", key.about);
        }
    }
    text
}

impl Loaded {
    /// What is in force, as TOML that would load to the same; secrets from the environment are named
    /// and not shown. With `origins` every key tells where its value was written.
    pub fn dump(&self, origins: bool) -> String {
        let mut text = String::new();
        for table in tables() {
            for path in self.effective.paths(table.path) {
                self.dump_table(table, &path, origins, &mut text);
            }
        }
        text
    }

    fn dump_table(&self, table: &Table, path: &str, origins: bool, text: &mut String) {
        let mut above = String::new();
        if !path.is_empty() {
            let _ = writeln!(text, "\n[{path}]");
            above = format!("{path}.");
        }
        let mut lines = Vec::new();
        for key in table.keys {
            let Entry { value, origin } = self.effective.entry(&format!("{above}{}", key.name));
            // A parameter that nobody set is not there.
            if holds_parameters(table) && *origin == Origin::Default {
                continue;
            }
            let Value::Secret(secret) = value else {
                let remark = if origins { origin.to_string() } else { String::new() };
                lines.push(Line { name: key.name, value: value.to_toml(), remark });
                continue;
            };
            if !secret.expose().is_empty() {
                let _ = writeln!(text, "# {} is set by {origin} and not shown", key.name);
            }
        }
        text.push_str(&block(&lines, ""));
    }

    /// Every key in force with the place where its value was written.
    pub fn origins(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.effective.entries().map(|(path, Entry { origin, .. })| (path, origin))
    }
}

fn holds_parameters(table: &Table) -> bool {
    [DEFAULTS, TEMPLATES].contains(&table.path)
}

struct Line {
    name: &'static str,
    value: String,
    remark: String,
}

/// `name = value  # remark` in columns; a value too wide for its column pushes its remark aside.
fn block(lines: &[Line], mark: &str) -> String {
    let names = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let widths = lines.iter().map(|line| line.value.chars().count());
    let values = widths.filter(|width| *width <= COLUMN_MAX).max().unwrap_or(0);
    let mut text = String::new();
    for Line { name, value, remark } in lines {
        let _ = match remark.as_str() {
            "" => writeln!(text, "{mark}{name:names$} = {value}"),
            remark => writeln!(text, "{mark}{name:names$} = {value:values$}  # {remark}"),
        };
    }
    text
}

/// A default as the table writes it where that is TOML, so that `120s` does not turn into `2m`.
fn default_text(key: &Key) -> String {
    match (&key.kind, default_of(&key.kind, key.default)) {
        (Kind::Duration(..), _) => quoted(key.default),
        (_, value) => value.to_toml(),
    }
}
