//! How links are sealed, and the parameters that they carry unless somebody says otherwise.

use super::*;
use crate::domain::{
    envelope::Cipher,
    liveform::{Asked, Mode, Parameter, Pipeline, Value},
};

fn liveform(scene: &Scene, project: &str) -> Liveform {
    scene.load().settings.projects[project].liveform.clone()
}

fn parameters<const N: usize>(pairs: [(&str, Value); N]) -> Asked {
    let mut asked = Asked::default();
    for (field, value) in pairs {
        asked.set(Parameter::of_field(field).unwrap(), value);
    }
    asked
}

fn text(text: &str) -> Value {
    text.into()
}

fn list<const N: usize>(items: [&str; N]) -> Value {
    Vec::from(items.map(str::to_owned)).into()
}

#[test]
fn a_project_that_says_nothing_seals_what_must_be_and_sends_nothing_sealed() {
    let project = &Scene::new().load().settings.projects["default"];
    let liveform = &project.liveform;
    assert_eq!((liveform.mode, liveform.cipher), (Mode::Mixed, Cipher::Ecb));
    assert_eq!(liveform.pipeline, Pipeline::IdDocument);
    assert_eq!((&liveform.secret_key, liveform.previous_keys.len()), (&None, 0));
    assert!(!liveform.start_valid_until);
    assert!(liveform.extra_countries.is_empty() && liveform.extra_id_types.is_empty());
    assert!(liveform.defaults == Asked::default() && liveform.templates.is_empty());
    let quiet = Transfer { seal_requests: false, request_shape: RequestShape::Raw };
    assert_eq!(project.transfer, quiet);
}

#[test]
fn a_parameter_that_nobody_set_is_not_there() {
    let scene = Scene::new().file(
        "[projects.default.liveform.defaults]\nlang = 'ko'\ncf1 = ''\nage_limit = false\n\
         approve_period = ''\nallowed_countries = ['KOR', 'USA']\nallowed_id_types = []\n",
    );
    let wanted = parameters([
        ("lang", text("ko")),
        ("age_limit", false.into()),
        ("allowed_countries", list(["KOR", "USA"])),
    ]);
    assert_eq!(liveform(&scene, "default").defaults, wanted);
}

#[test]
fn parameters_of_all_projects_hold_until_a_project_says_otherwise_key_by_key() {
    let scene = Scene::new()
        .file(
            "[defaults.liveform.defaults]\nlang = 'ko'\ncf1 = 'all'\n\
             [defaults.liveform.templates.kr_passport]\nallowed_countries = ['KOR']\n\
             allowed_id_types = ['passport']\n\
             [projects.other]\npid = 'pid-2'\nliveform.defaults.lang = ''\n\
             [projects.other.liveform.templates]\nkr_passport.allowed_countries = ['PRK']\n\
             own.lang = 'en'\n",
        )
        .variable("ARGOSPOOL_PROJECTS__OTHER__API_KEY", "k2");
    let (default, other) = (liveform(&scene, "default"), liveform(&scene, "other"));
    assert_eq!(default.defaults, parameters([("lang", text("ko")), ("cf1", text("all"))]));
    assert_eq!(other.defaults, parameters([("cf1", text("all"))]));
    let passport = |countries| {
        let pairs = [("allowed_countries", countries), ("allowed_id_types", list(["passport"]))];
        ("kr_passport".to_owned(), parameters(pairs))
    };
    assert_eq!(default.templates, [passport(list(["KOR"]))].into());
    let own = ("own".to_owned(), parameters([("lang", text("en"))]));
    assert_eq!(other.templates, [passport(list(["PRK"])), own].into());
}

#[test]
fn a_template_exists_even_when_it_says_nothing() {
    let scene = Scene::new().file("[defaults.liveform.templates.bare]\n");
    assert_eq!(liveform(&scene, "default").templates["bare"], Asked::default());
}

#[test]
fn parameters_come_from_the_environment_too() {
    let scene = Scene::new()
        .file("[projects.default.liveform.defaults]\nlang = 'en'\ncf2 = 'file'\n")
        .variable("ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__DEFAULTS__LANG", "ko")
        .variable("ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__DEFAULTS__CF2", "")
        .variable(
            "ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__TEMPLATES__KR_PASSPORT__ALLOWED_COUNTRIES",
            "KOR",
        )
        .variable("ARGOSPOOL_DEFAULTS__LIVEFORM__TEMPLATES__A__B__AGE_LIMIT", "false");
    assert_eq!(scene.load().warnings, []);
    let liveform = liveform(&scene, "default");
    assert_eq!(liveform.defaults, parameters([("lang", text("ko"))]));
    let wanted = [
        ("a__b", parameters([("age_limit", false.into())])),
        ("kr_passport", parameters([("allowed_countries", list(["KOR"]))])),
    ];
    assert_eq!(liveform.templates, wanted.map(|(name, of)| (name.to_owned(), of)).into());
}

#[test]
fn a_misspelt_parameter_is_told_what_was_probably_meant() {
    let scene = Scene::new()
        .file("[defaults.liveform.templates.kr]\nallowedCountries = ['KOR']\n")
        .flag("projects.default.liveform.defaults.lnag", "ko")
        .flag("projects.default.liveform.age_limit", "false");
    assert_eq!(
        scene.errors(),
        [
            "0.toml:2: defaults.liveform.templates.kr.allowedCountries: unknown key; did you mean \
             defaults.liveform.templates.kr.allowed_countries?",
            "command line: projects.default.liveform.defaults.lnag: unknown key; did you mean \
             projects.default.liveform.defaults.lang?",
            "command line: projects.default.liveform.age_limit: unknown key; did you mean \
             projects.default.liveform.defaults.age_limit?",
        ]
    );
    let scene = Scene::new()
        .variable("ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__TEMPLATES__KR__ALOWED_COUNTRIES", "KOR");
    let warnings: Vec<_> = scene.load().warnings.iter().map(Warning::to_string).collect();
    let wanted = "ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__TEMPLATES__KR__ALOWED_COUNTRIES: unknown \
                  variable; did you mean \
                  ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__TEMPLATES__KR__ALLOWED_COUNTRIES?";
    assert_eq!(warnings, [wanted]);
}

#[test]
fn what_names_a_person_is_no_parameter_of_all_links() {
    for field in ["email", "userid"] {
        let scene = Scene::new().flag(&format!("defaults.liveform.defaults.{field}"), "x");
        scene.refused(&[field, "unknown key"]);
    }
}

#[test]
fn a_deadline_is_sealed_or_not_there() {
    let until = |mode: &str| {
        Scene::new()
            .flag("defaults.liveform.start_valid_until", "true")
            .flag("projects.default.liveform.mode", mode)
    };
    until("plain").refused(&[
        "projects.default.liveform.start_valid_until: ",
        "start_valid_until = true needs mode mixed or sealed",
    ]);
    for mode in ["mixed", "sealed"] {
        assert!(liveform(&until(mode), "default").start_valid_until);
    }
}

#[test]
fn links_have_a_key_of_their_own_where_one_was_issued() {
    let scene = Scene::new();
    let file = scene.secret_file("liveform", "geheim Schlüssel 열쇠\n");
    let scene = scene.flag("projects.default.liveform.secret_key_file", &file);
    let key = liveform(&scene, "default").secret_key.unwrap();
    assert_eq!(key.secret.expose(), "geheim Schlüssel 열쇠");
    fs::write(&file, "ü").unwrap();
    assert_eq!(key.read_again().unwrap().unwrap().expose(), "ü");

    let variable = "ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__SECRET_KEY";
    let scene = Scene::new().variable(variable, "ö ö");
    let key = liveform(&scene, "default").secret_key.unwrap();
    assert_eq!((key.secret.expose(), key.file), ("ö ö", None));
    let scene = Scene::new().variable(variable, "");
    assert_eq!(liveform(&scene, "default").secret_key, None);
}

#[test]
fn keys_of_before_are_read_in_their_order_and_none_may_be_missing() {
    let scene = Scene::new();
    let (first, second) = (scene.secret_file("first", "ä\n"), scene.secret_file("second", "b"));
    let exposed = scene.secret_file("exposed", "c");
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    let list = |paths: &[&String]| format!("['{}', '{}']", paths[0], paths[1]);
    let both =
        format!("[projects.default.liveform]\nprevious_key_files = {}\n", list(&[&first, &second]));
    let scene = scene.file(&both);
    let keys = liveform(&scene, "default").previous_keys;
    assert_eq!(keys.iter().map(|key| key.secret.expose()).collect::<Vec<_>>(), ["ä", "b"]);
    assert_eq!(scene.load().warnings, []);

    let name = "ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__PREVIOUS_KEY_FILES";
    let scene = scene.variable(name, &format!("{second},{exposed}"));
    let at = "projects.default.liveform.previous_key_files: cannot use the secret file: number 2";
    scene.refused(&[at, "everybody on this machine may read it"]);
    let scene = Scene::new().file(&both).variable(name, "");
    assert_eq!(liveform(&scene, "default").previous_keys, keys);
    Scene::new().variable(name, ",").refused(&["expected a list of paths of files", "not shown"]);
}

#[test]
fn a_previous_key_that_is_the_one_in_use_is_a_warning() {
    let scene = Scene::new();
    let (same, link) = (scene.secret_file("same", KEY), scene.secret_file("link", "link"));
    let of = "projects.default.liveform.";
    for scene in [
        Scene::new().flag(&format!("{of}previous_key_files"), &same),
        Scene::new()
            .flag(&format!("{of}secret_key_file"), &link)
            .flag(&format!("{of}previous_key_files"), &link),
    ] {
        let warnings = scene.load().warnings;
        assert!(matches!(warnings[..], [Warning::PreviousKeyInUse { .. }]), "{warnings:?}");
        assert!(warnings[0].to_string().starts_with(&format!("{of}previous_key_files: ")));
    }
}

/// Whoever runs the daemon learns it, and not whoever asks for a lease.
#[test]
fn a_default_or_a_template_that_argos_would_refuse_is_an_error_of_the_configuration() {
    let scene = Scene::new().file(
        "[projects.default.liveform.defaults]\nallowed_countries = ['KOR', 'usa']\n\
         [projects.other]\npid = 'pid-2'\n\
         [projects.other.liveform.templates.kr]\nselected_id_type = 'passport'\n",
    );
    let scene = scene.variable("ARGOSPOOL_PROJECTS__OTHER__API_KEY", "k2");
    assert_eq!(
        scene.errors(),
        [
            "0.toml:2: projects.default.liveform.defaults.allowed_countries: item 1 must be in upper \
             case: USA",
            "0.toml:6: projects.other.liveform.templates.kr.selected_id_type: needs \
             selected_issuing_country beside it (template kr)",
        ]
    );
}
