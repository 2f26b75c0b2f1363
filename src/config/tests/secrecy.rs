//! Where a secret may come from, and everywhere it must not show.

use super::*;

#[test]
fn an_api_key_comes_from_the_layer_that_spoke_last() {
    let scene = Scene::empty().variable("ARGOS_PROJECT_ID", "pid-1");
    let (old, new) = (scene.secret_file("old", "old\n"), scene.secret_file("new", "new\n"));
    let api_key = |scene: &Scene| scene.load().settings.projects["default"].api_key.clone();

    let mut scene = scene.file(&format!("[projects.default]\napi_key_file = '{old}'\n"));
    assert_eq!(api_key(&scene).secret.expose(), "old");
    assert_eq!(api_key(&scene).file, Some(PathBuf::from(&old)));
    scene = scene.variable("ARGOS_API_KEY", KEY);
    assert_eq!(api_key(&scene).secret.expose(), KEY);
    assert_eq!(api_key(&scene).file, None);
    scene = scene.flag("projects.default.api_key_file", &new);
    assert_eq!(api_key(&scene).secret.expose(), "new");

    let scene =
        Scene::empty().variable("ARGOS_PROJECT_ID", "p").variable("ARGOS_API_KEY_FILE", &old);
    assert_eq!(api_key(&scene).secret.expose(), "old");
}

#[test]
fn two_variables_for_one_thing_are_refused() {
    for (first, second) in [
        ("ARGOS_API_KEY", "ARGOS_API_KEY_FILE"),
        ("ARGOS_API_KEY_FILE", "ARGOS_API_KEY"),
        ("ARGOS_API_KEY", "ARGOSPOOL_PROJECTS__DEFAULT__API_KEY"),
    ] {
        let scene = Scene::empty().variable("ARGOS_PROJECT_ID", "p");
        let file = scene.secret_file("key", "k");
        let value =
            |name: &str| if name.ends_with("_FILE") { file.clone() } else { KEY.to_owned() };
        let scene = scene.variable(first, &value(first)).variable(second, &value(second));
        scene.refused(&[second, "also set by ", first]);
    }
}

#[test]
fn a_variable_that_was_passed_on_empty_says_nothing_where_nothing_makes_no_sense() {
    let scene = Scene::new().variable("ARGOS_API_KEY_FILE", "");
    assert_eq!(scene.load().settings.projects["default"].api_key.secret.expose(), KEY);
    let scene = Scene::new()
        .variable("ARGOSPOOL_GRPC__LISTEN", "")
        .variable("ARGOSPOOL_GRPC__UNIX_SOCKET", "/run/argospool.sock")
        .variable("ARGOSPOOL_WEBHOOK__ALLOWED_SOURCES", "");
    let settings = scene.load().settings;
    assert_eq!(settings.grpc.listen, None);
    assert_eq!(settings.webhook.allowed_sources, []);
}

#[test]
fn a_secret_is_refused_in_a_file_and_on_the_command_line_without_being_repeated() {
    for key in [
        "projects.default.api_key",
        "projects.default.webhook.secret",
        "projects.default.liveform.secret_key",
        "callers.web.token",
    ] {
        for scene in [
            Scene::new().file(&format!("callers.web.uid = 1\n{key} = '{KEY}'\n")),
            Scene::new().flag("callers.web.uid", "1").flag(key, KEY),
        ] {
            scene.refused(&[key, "a secret is never written here", &format!("{key}_file")]);
            assert!(!scene.errors()[0].contains(KEY));
        }
    }
}

/// P1.
#[test]
fn a_secret_never_shows_in_an_error_in_debug_output_or_in_a_dump() {
    for scene in [
        // Pasted where the path of its file belongs.
        Scene::new().flag("projects.default.api_key_file", KEY),
        Scene::new().variable("ARGOSPOOL_PROJECTS__DEFAULT__WEBHOOK__SECRET_FILE", KEY),
        Scene::new().file(&format!("[projects.default]\napi_key_file = ['{KEY}']\n")),
        Scene::new()
            .flag("projects.default.argos.api_url", &format!("https://u:{KEY}@example.com")),
        Scene::new().variable("ARGOSPOOL_CALLERS__WEB__TOKEN", &format!("{KEY} {KEY}")),
        Scene::new().flag("telemetry.otlp_headers_file", KEY),
        Scene::new().variable("ARGOSPOOL_TELEMETRY__OTLP_HEADERS", KEY),
        Scene::new().flag("telemetry.otlp_endpoint", &format!("https://u:{KEY}@example.com")),
        Scene::new().flag("projects.default.liveform.secret_key_file", KEY),
        Scene::new().flag("projects.default.liveform.previous_key_files", KEY),
        Scene::new().flag("projects.default.liveform.previous_key_files", &format!("{KEY},")),
        Scene::new().file(&format!("[projects.default.liveform]\nprevious_key_files = '{KEY}'\n")),
    ] {
        let errors = scene.errors();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(!errors[0].contains(KEY), "{errors:#?}");
    }
    let scene = Scene::new()
        .variable("ARGOSPOOL_PROJECTS__DEFAULT__WEBHOOK__SECRET", PATH_SECRET)
        .variable("ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__SECRET_KEY", KEY)
        .variable("ARGOSPOOL_TELEMETRY__OTLP_HEADERS", &format!("name={KEY}"));
    let previous = scene.secret_file("previous", KEY);
    let loaded = scene.flag("projects.default.liveform.previous_key_files", &previous).load();
    let warnings = format!("{:?} {}", loaded.warnings, loaded.warnings[0]);
    let texts = [format!("{:?}", loaded.settings), warnings, loaded.dump(false), loaded.dump(true)];
    for text in texts {
        assert!(!text.contains(KEY) && !text.contains(PATH_SECRET), "{text}");
    }
}
