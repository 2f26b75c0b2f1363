//! The configuration from outside: sources in, settings or sentences out.

mod liveform;
mod printing;
mod rules;
mod secrecy;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::{
    keys::{all, filled, variable},
    kind::{Kind, Raw},
    *,
};

const KEY: &str = "key-that-nobody-may-see";
const PATH_SECRET: &str = "0123456789abcdef-webhook";

/// Sources with what every test needs: one project from the environment.
struct Scene {
    dir: TempDir,
    sources: Sources,
}

impl Scene {
    fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), sources: Sources::default() }
    }

    fn new() -> Self {
        Self::empty().variable("ARGOS_API_KEY", KEY).variable("ARGOS_PROJECT_ID", "pid-1")
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.dir.path().join(format!("{}.toml", self.sources.files.len()));
        fs::write(&path, text).unwrap();
        self.sources.files.push(path);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, key: &str, text: &str) -> Self {
        self.sources.overrides.push((key.to_owned(), text.to_owned()));
        self
    }

    fn secret_file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn load(&self) -> Loaded {
        load(&self.sources).map_err(|errors| sentences(&errors)).unwrap()
    }

    /// Every error as it is printed, with the directory of the test taken out.
    fn errors(&self) -> Vec<String> {
        let Err(errors) = load(&self.sources) else { return Vec::new() };
        let dir = format!("{}/", self.dir.path().display());
        sentences(&errors).iter().map(|error| error.replace(&dir, "")).collect()
    }

    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        for part in parts {
            assert!(errors[0].contains(part), "{part:?} is not in {:?}", errors[0]);
        }
    }
}

fn sentences(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ConfigError::to_string).collect()
}

fn origin<'a>(loaded: &'a Loaded, path: &str) -> &'a Origin {
    loaded.origins().find(|(known, _)| *known == path).unwrap().1
}

#[test]
fn a_key_and_a_pid_in_the_environment_are_enough_to_serve_one_project() {
    let loaded = Scene::new().load();
    let settings = &loaded.settings;
    assert_eq!(settings.projects.keys().collect::<Vec<_>>(), ["default"]);
    let project = &settings.projects["default"];
    assert_eq!(project.pid, "pid-1");
    assert_eq!(project.api_key.secret.expose(), KEY);
    assert_eq!(project.api_key.file, None);
    assert_eq!(project.refill.target_tokens, 5_000);
    assert_eq!(project.lease.ttl_max, Duration::from_secs(86_400));
    assert_eq!(project.tokens.unused_age_max, None);
    assert_eq!(settings.grpc.listen, Some("127.0.0.1:7070".parse().unwrap()));
    assert_eq!(settings.ledger.cache_bytes, 8 << 20);
    assert!(settings.callers.is_empty());
    assert_eq!(loaded.warnings, []);
}

#[test]
fn without_a_project_the_way_to_one_is_told() {
    Scene::empty().refused(&["projects: ", "ARGOS_PROJECT_ID", "[projects.NAME]"]);
    let scene = Scene::empty().file("[projects.default]\n");
    let errors = scene.errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("projects.default.pid: required"), "{errors:#?}");
    assert!(errors[1].contains("ARGOS_API_KEY_FILE"), "{errors:#?}");
}

#[test]
fn a_later_layer_wins_and_every_value_remembers_where_it_was_written() {
    let key = "projects.default.refill.target_tokens";
    let variable = "ARGOSPOOL_PROJECTS__DEFAULT__REFILL__TARGET_TOKENS";
    let mut scene = Scene::new();
    assert_eq!(origin(&scene.load(), key), &Origin::Default);
    let target = |scene: &Scene| scene.load().settings.projects["default"].refill.target_tokens;

    scene = scene.file("\n\n[projects.default.refill]\ntarget_tokens = 2_001\n");
    assert_eq!(target(&scene), 2_001);
    let path = scene.sources.files[0].clone();
    assert_eq!(origin(&scene.load(), key), &Origin::File { path, line: 4 });

    scene = scene.file("[projects.default]\nrefill.target_tokens = 2_002\n");
    assert_eq!(target(&scene), 2_002);

    scene = scene.variable(variable, "2_003");
    assert_eq!(target(&scene), 2_003);
    assert_eq!(origin(&scene.load(), key), &Origin::Variable(variable.to_owned()));

    scene = scene.flag(key, "2004").flag(key, "2005");
    assert_eq!(target(&scene), 2_005);
    assert_eq!(origin(&scene.load(), key), &Origin::CommandLine);
}

#[test]
fn defaults_hold_for_every_project_that_does_not_say_otherwise() {
    let scene = Scene::new().file(
        "[defaults]\nrefill.target_tokens = 2_000\nlease.wait_max = '20s'\n\
         [projects.other]\npid = 'pid-2'\nrefill.target_tokens = 3_000\n",
    );
    let scene = scene
        .variable("ARGOSPOOL_PROJECTS__OTHER__API_KEY", "k2")
        .variable("ARGOSPOOL_DEFAULTS__REFILL__LOW_WATER_TOKENS", "500")
        .flag("defaults.refill.target_tokens", "4_000");
    let projects = scene.load().settings.projects;
    assert_eq!(projects["default"].refill.target_tokens, 4_000);
    assert_eq!(projects["other"].refill.target_tokens, 3_000);
    for project in projects.values() {
        assert_eq!(project.refill.low_water_tokens, 500);
        assert_eq!(project.lease.wait_max, Duration::from_secs(20));
    }
}

#[test]
fn what_belongs_to_one_project_has_no_place_in_the_defaults() {
    for key in ["pid", "api_key_file", "webhook.secret_file"] {
        let scene = Scene::new().file(&format!("[defaults]\n{key} = 'x'\n"));
        scene.refused(&["0.toml:2: ", key, "belongs to one project"]);
    }
}

#[test]
fn unknown_keys_in_files_and_flags_are_errors_with_a_suggestion() {
    let scene =
        Scene::new().file("[grpc]\nlisen = '127.0.0.1:1'\n[projects.default.refil]\nx = 1\n");
    let scene = scene.flag("ledger.retentoin", "72h");
    assert_eq!(
        scene.errors(),
        [
            "0.toml:2: grpc.lisen: unknown key; did you mean grpc.listen?",
            "0.toml:3: projects.default.refil: unknown key; did you mean projects.default.refill?",
            "command line: ledger.retentoin: unknown key; did you mean ledger.retention?",
        ]
    );
}

#[test]
fn keys_of_later_releases_are_not_silently_accepted() {
    for table in ["tls", "liveform.callers", "transfer.keys"] {
        let scene = Scene::new().file(&format!("[projects.default.{table}]\nanything = 1\n"));
        scene.refused(&["unknown key"]);
    }
}

#[test]
fn unknown_variables_are_warnings_and_those_of_kubernetes_are_not_mentioned() {
    let scene = Scene::new()
        .variable("ARGOSPOOL_GRPC__LISEN", "x")
        .variable("ARGOSPOOL_GRPC_LISTEN", "x")
        .variable("ARGOSPOOL_SERVICE_HOST", "10.0.0.1")
        .variable("ARGOSPOOL_SERVICE_PORT", "7070")
        .variable("ARGOSPOOL_SERVICE_PORT_GRPC", "7070")
        .variable("ARGOSPOOL_PORT", "tcp://10.0.0.1:7070")
        .variable("ARGOSPOOL_PORT_7070_TCP_ADDR", "10.0.0.1")
        .variable("ARGOSPOOL_HUB_SERVICE_HOST", "10.0.0.1")
        .variable("ARGOSPOOLS", "x")
        .variable("PATH", "/bin");
    let warnings: Vec<_> = scene.load().warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        warnings,
        [
            "ARGOSPOOL_GRPC__LISEN: unknown variable; did you mean ARGOSPOOL_GRPC__LISTEN?",
            "ARGOSPOOL_GRPC_LISTEN: unknown variable; did you mean ARGOSPOOL_GRPC__LISTEN?",
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let scene = Scene::new()
        .file("stop_grace = 25\n[log]\nlevel = 'inof'\nformat = true\n[grpc]\nlisten = 'here'\n")
        .variable("ARGOSPOOL_LEDGER__CACHE", "32MB")
        .flag("jobs.floor", "* * * * *")
        .flag("projects.default.lease.ttl_min", "2h");
    let errors = scene.errors();
    assert_eq!(errors.len(), 7, "{errors:#?}");
    for part in [
        "0.toml:1: stop_grace: expected a duration from 1s to 1h, found 25",
        "0.toml:3: log.level: expected off, error, ",
        "0.toml:4: log.format: expected one of auto, text, json, found true",
        "0.toml:6: grpc.listen: expected an address such as 127.0.0.1:7070, or \"\", found \"here\"",
        "ARGOSPOOL_LEDGER__CACHE: ledger.cache: expected a size from 1MiB to 64GiB, found \"32MB\"",
        "command line: jobs.floor: expected a cron expression of six fields, seconds first, in UTC (it has 5 fields)",
        "command line: projects.default.lease.ttl_min: projects.default.lease.ttl_min (2h) must not be above",
    ] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part:?} is not in {errors:#?}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_told_by_line_and_its_text_is_not_repeated() {
    let scene = Scene::new().file(&format!("[grpc]\nlisten = \"{KEY}\n"));
    scene.refused(&["0.toml:2: not valid TOML: "]);
    assert!(!scene.errors()[0].contains(KEY));
    let mut scene = Scene::empty();
    scene.sources.files.push(scene.dir.path().join("absent.toml"));
    scene.refused(&["absent.toml:1: cannot read the file: "]);
}

#[test]
fn an_unknown_key_with_a_line_feed_in_its_name_is_told_on_one_line() {
    Scene::new().file("\"gr\\npc\" = 1\n").refused(&["0.toml:1: gr\\npc: unknown key"]);
    Scene::new().flag("grpc.lis\u{1b}[2Jten", "x").refused(&["grpc.lis\\u{1b}[2Jten: unknown key"]);
}

#[test]
fn systemd_gives_the_data_directory_unless_somebody_says_otherwise() {
    let scene = Scene::new().variable("STATE_DIRECTORY", "/var/lib/argospool:/var/lib/other");
    assert_eq!(scene.load().settings.data_dir, PathBuf::from("/var/lib/argospool"));
    let scene = scene.file("data_dir = '/srv/pool'\n");
    assert_eq!(scene.load().settings.data_dir, PathBuf::from("/srv/pool"));
    let scene = Scene::new()
        .variable("STATE_DIRECTORY", "/var/lib/argospool")
        .variable("ARGOSPOOL_DATA_DIR", "/srv/pool");
    assert_eq!(scene.load().settings.data_dir, PathBuf::from("/srv/pool"));
}

#[test]
fn every_key_in_the_table_reaches_the_settings() {
    let named = || Scene::new().flag("projects.default.liveform.templates.kr.lang", "ko");
    let scene = || named().flag("callers.web.uid", "1");
    let files = Scene::empty();
    let (plain, with_token) = (scene().load().settings, named().load().settings);
    for (pattern, key) in all() {
        let path = filled(&pattern, |group| {
            match group {
                "callers" => "web",
                "projects" => "default",
                _ => "kr",
            }
            .to_owned()
        });
        let secret = if pattern.contains("_headers") { "name=value" } else { PATH_SECRET };
        let file = files.secret_file("secret", secret);
        let base = if pattern.starts_with("callers.*.token") { &with_token } else { &plain };
        let candidates: Vec<String> = match key.kind {
            Kind::Choice(choices) => choices.iter().map(|choice| (*choice).to_owned()).collect(),
            Kind::Flag | Kind::FlagOrNone => vec!["true".to_owned(), "false".to_owned()],
            Kind::Duration(least, most) => [least, most].map(notation::print_duration).to_vec(),
            Kind::Size(least, most) => [least, most].map(notation::print_size).to_vec(),
            Kind::Count(least, most) => [least, most].map(notation::print_count).to_vec(),
            Kind::CountOf(choices) => choices.iter().map(|n| notation::print_count(*n)).collect(),
            Kind::Number(least, most) => [least, most].map(|number| format!("{number:?}")).to_vec(),
            Kind::Address | Kind::AddressOrNone => vec!["127.0.0.1:1".to_owned()],
            Kind::Networks => vec!["10.0.0.0/8".to_owned()],
            Kind::Names => vec!["other".to_owned()],
            Kind::Countries => vec!["XKX".to_owned()],
            Kind::IdTypes => vec!["voter_card".to_owned()],
            Kind::FileMode => vec!["0600".to_owned()],
            Kind::UserId => vec!["7".to_owned()],
            Kind::Schedule => vec!["0 0 0 * * *".to_owned()],
            Kind::Url | Kind::Endpoint => vec!["https://example.com".to_owned()],
            Kind::LogFilter => vec!["warn".to_owned()],
            Kind::Secret => vec![secret.to_owned()],
            Kind::SecretFile | Kind::SecretFiles => vec![file],
            Kind::Text | Kind::Path | Kind::PathOrNone | Kind::SocketPath | Kind::TokenPrefix => {
                vec!["x".to_owned()]
            }
        };
        let mut differs = matches!(key.kind, Kind::Choice([_]));
        let mut shapes = Vec::new();
        for text in candidates {
            // Below the rules, which would refuse some of these.
            let mut written = Written::default();
            let mut sources = if base == &plain { scene().sources } else { named().sources };
            sources
                .environment
                .retain(|(name, _)| name != "ARGOS_API_KEY" || !path.contains("api_key"));
            environment::read(&sources.environment, &mut written);
            if path.contains(".gcm_") {
                let cipher = "projects.default.liveform.cipher";
                written.set(cipher, &Raw::Loose("gcm".to_owned()), Origin::CommandLine);
            }
            for (path, text) in &sources.overrides {
                written.set(path, &Raw::Loose(text.clone()), Origin::CommandLine);
            }
            written.set(&path, &Raw::Loose(text.clone()), Origin::Variable(variable(&path)));
            let (effective, mut errors, _) = written.resolve();
            let settings = extract::extract(&effective, &mut errors);
            if path.contains(".gcm_") {
                // Against each other: the plain settings seal with another cipher.
                shapes.push(settings.projects["default"].liveform.cipher);
                differs |= shapes[0] != shapes[shapes.len() - 1];
            } else {
                differs |= settings != *base;
            }
            assert_eq!(sentences(&errors), Vec::<String>::new(), "{path} = {text}");
        }
        assert!(differs, "{path} has no effect");
    }
}
