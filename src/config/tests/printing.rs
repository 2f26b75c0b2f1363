//! The example, the dump and the reference against the key table.

use super::*;
use crate::domain::liveform::{Asked, Parameter};

#[test]
fn loading_the_example_changes_nothing() {
    let scene = Scene::new();
    let settings = scene.load().settings;
    let with_example = scene.file(&example()).load();
    assert_eq!(with_example.settings, settings);
    assert_eq!(with_example.warnings, []);
    for (pattern, key) in all() {
        let path = filled(&pattern, |_| "default".to_owned());
        // The API key of the environment takes the place of the empty file name in the example.
        let is_elsewhere = pattern.starts_with("callers.")
            || pattern.starts_with("projects.*.liveform.defaults.")
            || pattern.starts_with("projects.*.liveform.templates.")
            || path.ends_with("api_key_file");
        if is_elsewhere || matches!(key.kind, Kind::Secret) {
            continue;
        }
        let is_in_example = *origin(&with_example, &path) != Origin::Default;
        assert!(is_in_example, "{path} is missing in the example");
    }
}

#[test]
fn the_callers_of_the_example_load_once_they_are_uncommented() {
    let text = example();
    let commented = text.lines().skip_while(|line| *line != "# [callers.kyc_web]");
    let lines: Vec<_> = commented.map_while(|line| line.strip_prefix("# ")).collect();
    let scene = Scene::new().file(&lines.join("\n")).flag("callers.kyc_web.uid", "1000");
    let caller = &scene.load().settings.callers["kyc_web"];
    assert_eq!(caller.projects, ["default"]);
    assert_eq!(caller.proof, CallerProof::Uid(1000));
}

#[test]
fn the_parameters_of_the_example_load_once_they_are_uncommented() {
    let text = example();
    let uncommented = |table: &str| {
        let commented = text.lines().skip_while(|line| *line != format!("# [{table}]"));
        let lines: Vec<_> = commented.map_while(|line| line.strip_prefix("# ")).collect();
        lines.join("\n")
    };
    let scene = Scene::new();
    let defaults = uncommented("projects.default.liveform.defaults");
    let named = all().filter(|(pattern, _)| pattern.starts_with("projects.*.liveform.defaults."));
    assert_eq!(defaults.lines().count(), 1 + named.count());
    let settings = scene.load().settings;
    let scene = scene.file(&defaults);
    assert_eq!(scene.load().settings, settings);

    let scene = scene.file(&uncommented("projects.default.liveform.templates.kr_passport"));
    let templates = &scene.load().settings.projects["default"].liveform.templates;
    let of = |item: &str| vec![item.to_owned()];
    let wanted = Asked::default()
        .with(Parameter::AllowedCountries, of("KOR"))
        .with(Parameter::AllowedIdTypes, of("passport"));
    assert_eq!(templates["kr_passport"], wanted);
}

#[test]
fn the_example_in_the_repository_is_the_one_that_is_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/argospool.example.toml");
    let golden = fs::read_to_string(path).unwrap();
    let hint = "run `argospool config example > tests/golden/argospool.example.toml`";
    assert_eq!(golden, example(), "{hint}");
}

#[test]
fn a_dump_loads_to_the_settings_it_shows() {
    let scene = Scene::new();
    let token = scene.secret_file("token", "bearer");
    let scene = scene
        .file("[defaults]\nrefill.target_tokens = 2_000\n[projects.other]\npid = 'say \"hi\"'\n")
        .file("[defaults.liveform.templates.adults]\nage_limit = false\nlang = 'ko'\n")
        .file("[projects.other.liveform.templates]\nadults.lang = ''\nbare = {}\n")
        .flag("defaults.liveform.defaults.allowed_countries", "KOR,USA")
        .flag("projects.default.liveform.cipher", "gcm")
        .flag("projects.default.liveform.gcm_nonce", "16")
        .flag("projects.default.liveform.previous_key_files", &token)
        .variable("ARGOSPOOL_PROJECTS__OTHER__API_KEY", "k2")
        .variable("ARGOSPOOL_WEBHOOK__TRUSTED_PROXIES", "10.0.0.0/8, ::1")
        .flag("callers.web.token_file", &token)
        .flag("callers.cron.uid", "7");
    let loaded = scene.load();
    for origins in [false, true] {
        let text = loaded.dump(origins);
        let again = Scene::new().variable("ARGOSPOOL_PROJECTS__OTHER__API_KEY", "k2").file(&text);
        assert_eq!(again.load().settings, loaded.settings, "{text}");
    }
}

#[test]
fn a_dump_with_origins_tells_where_every_value_was_written() {
    let scene = Scene::new().file("[defaults]\nrefill.target_tokens = 2_000\n");
    let text = scene.flag("grpc.reflection", "false").load().dump(true);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("target_tokens").ends_with("0.toml:2"), "{text}");
    assert!(line("low_water_tokens").ends_with("# default"), "{text}");
    assert!(line("reflection").ends_with("# command line"), "{text}");
    assert!(line("pid").ends_with("# ARGOS_PROJECT_ID"), "{text}");
    assert!(!text.contains("\nlang"), "{text}");
    assert_eq!(line("# api_key"), "# api_key is set by ARGOS_API_KEY and not shown");
}

#[test]
fn the_reference_has_a_row_for_every_key() {
    let text = reference();
    assert_eq!(text.lines().count(), 2 + all().count());
    assert!(text.contains("| `ARGOSPOOL_PROJECTS__<NAME>__API_KEY` |"), "{text}");
    assert!(text.contains("| `ARGOSPOOL_PROJECTS__<NAME>__LIVEFORM__SECRET_KEY` |"), "{text}");
    assert!(text.contains("| `projects.NAME.argos.cap_tokens` | `100_000` |"), "{text}");
    assert!(
        text.contains("| `projects.NAME.liveform.templates.TEMPLATE.lang` | `\"\"` |"),
        "{text}"
    );
}
