//! `config`: checks, prints and explains the configuration, as `serve` would read it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Environment, Failure,
    remote::OWN_VARIABLES,
    screen::{Output, Screen, without_controls},
    words,
};
use crate::config::{self, ConfigError, Loaded, Sources, Warning};

/// The layers over the defaults: files, then environment, then these settings.
#[derive(Args)]
pub(super) struct LayerArgs {
    /// TOML file with settings; may be repeated, a later one wins
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One setting, such as grpc.listen=127.0.0.1:0; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = words::pair)]
    settings: Vec<(String, String)>,
}

impl LayerArgs {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.settings.is_empty()
    }

    pub(super) fn sources(self, environment: &Environment) -> Sources {
        let is_setting = |name: &std::ffi::OsString| OWN_VARIABLES.iter().all(|own| name != own);
        Sources {
            files: self.files,
            environment: environment.iter().filter(|(name, _)| is_setting(name)).cloned().collect(),
            overrides: self.settings,
        }
    }
}

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Tell everything that is wrong or probably not meant
    Check(LayerArgs),
    /// Print the settings in force, as TOML
    Dump {
        #[command(flatten)]
        layers: LayerArgs,
        /// Tell for every key where its value was written
        #[arg(long)]
        origins: bool,
    },
    /// Print a file with every key and its default
    Example,
    /// Print every key as a Markdown table
    Reference,
}

pub(super) fn run(
    command: ConfigCommand,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(layers) => check(&layers.sources(environment), screen),
        ConfigCommand::Dump { layers, origins } => {
            let loaded = config::load(&layers.sources(environment)).map_err(|errors| {
                screen.remark(&complaints(&errors, &[]));
                too_bad(errors.len())
            })?;
            screen.print(loaded.dump(origins).trim_start_matches('\n'))
        }
        ConfigCommand::Example => screen.print(&config::example()),
        ConfigCommand::Reference => screen.print(&config::reference()),
    }
}

/// The settings, or every error told.
pub(super) fn load(sources: &Sources, screen: &Screen) -> Result<Loaded, Failure> {
    config::load(sources).map_err(|errors| {
        screen.remark(&complaints(&errors, &[]));
        too_bad(errors.len())
    })
}

fn check(sources: &Sources, screen: &Screen) -> Result<(), Failure> {
    let (errors, warnings) = match config::load(sources) {
        Ok(Loaded { warnings, .. }) => (Vec::new(), warnings),
        Err(errors) => (errors, Vec::new()),
    };
    match screen.output {
        Output::Json => screen.print(&format!("{:#}\n", to_json(&errors, &warnings)))?,
        Output::Table => screen.print(&complaints(&errors, &warnings))?,
    }
    if !errors.is_empty() {
        return Err(too_bad(errors.len()));
    }
    if screen.output == Output::Json {
        return Ok(());
    }
    screen.print(&match warnings.len() {
        0 => "the configuration is good\n".to_owned(),
        warnings => {
            format!("the configuration may be used, with {}\n", words::counted(warnings, "warning"))
        }
    })
}

fn too_bad(errors: usize) -> Failure {
    let errors = words::counted(errors, "error");
    Failure::failed(format!("the configuration cannot be used: {errors}"))
}

/// Every error and warning on a line of its own.
fn complaints(errors: &[ConfigError], warnings: &[Warning]) -> String {
    let errors = errors.iter().map(|error| format!("{error}\n"));
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
    without_controls(&errors.chain(warnings).collect::<String>())
}

fn to_json(errors: &[ConfigError], warnings: &[Warning]) -> Value {
    let error = |error: &ConfigError| {
        json!({
            "key": error.key,
            "origin": error.origin.to_string(),
            "problem": error.problem.to_string(),
        })
    };
    json!({
        "errors": errors.iter().map(error).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Exit, tests::plain_screen};

    #[test]
    fn the_example_passes_its_own_check_but_for_what_only_the_reader_knows() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("argospool.toml");
        std::fs::write(&file, config::example()).unwrap();
        let environment: Environment = [("ARGOS_PROJECT_ID", "pid_demo"), ("ARGOS_API_KEY", "key")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let layers = LayerArgs { files: vec![file], settings: Vec::new() };
        assert!(check(&layers.sources(&environment), &plain_screen()).is_ok());
    }

    #[test]
    fn every_error_is_told_and_the_check_fails() {
        let overrides = vec![
            ("grpc.lisen".to_owned(), "127.0.0.1:1".to_owned()),
            ("stop_grace".to_owned(), "soon".to_owned()),
        ];
        let sources = Sources { overrides, ..Sources::default() };
        let errors = config::load(&sources).unwrap_err();
        let text = complaints(&errors, &[]);
        for said in ["grpc.lisen", "did you mean grpc.listen?", "stop_grace"] {
            assert!(text.contains(said), "{text}");
        }
        assert_eq!(check(&sources, &plain_screen()).unwrap_err().exit(), Exit::Failed);
    }

    #[test]
    fn variables_of_the_command_line_are_no_settings() {
        let environment: Environment = OWN_VARIABLES.map(|name| (name.into(), "x".into())).into();
        let layers = LayerArgs { files: Vec::new(), settings: Vec::new() };
        assert_eq!(layers.sources(&environment).environment, []);
    }
}
