use std::{cell::RefCell, path::PathBuf};

use super::*;
use crate::{
    cli::{
        Exit,
        tests::{Page, Ran, plain_screen, run_with},
    },
    config::Sources,
};

const KEY: &str = "test-api-key-0001";
/// Sealed with [`KEY`] by other programs than ours.
const SEALED: &str = "qGTQCmRVn52wBK8R0hf7+L6AzRhKFt/7o0c4+otAlP4=";
const INSIDE: &str = r#"{"allowedCountries":"USA,KOR"}"#;
const HEAD: &str = "https://form.argosidentity.com?pid=pid_demo&token=ap-preview-00000000000000";

fn environment() -> Environment {
    let variables = [("ARGOS_PROJECT_ID", "pid_demo"), ("ARGOS_API_KEY", KEY)];
    variables.map(|(name, value)| (name.into(), value.into())).into()
}

async fn run(line: &str) -> Ran {
    let ran = run_with(&format!("url {line}"), &environment()).await;
    assert!(!(ran.stdout.clone() + &ran.stderr).contains(KEY), "P1");
    ran
}

/// What lines of stdin come to: the end of the command, and what it printed.
fn lines(output: Output, act: impl Fn(&Preview, &Screen) -> Result<(), Failure>) -> (Exit, String) {
    let page = Page::default();
    let screen = Screen { output, stdout: RefCell::new(Box::new(page.clone())), ..plain_screen() };
    let sources = Sources { environment: environment(), ..Sources::default() };
    let loaded = crate::config::load(&sources).unwrap();
    let preview = Preview::of(&loaded.settings, "", &World::system()).unwrap();
    let exit = act(&preview, &screen).map_or_else(|failure| failure.exit(), |()| Exit::Done);
    (exit, page.text())
}

#[tokio::test]
async fn the_url_stands_alone_on_stdout_and_what_is_to_know_about_it_beside_it() {
    let ran = run(r#"--userid u1 --params {"allowed_countries":["KOR"],"userid":"u2"}"#).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.stderr);
    assert!(ran.stdout.starts_with(&format!("{HEAD}&userid=u1&encrypted=")), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1);
    let said = [
        "not registered",
        "mode mixed, cipher ecb, sealed with the API key",
        "sealed: allowedCountries\n",
        "in the open: pid, token, userid\n",
    ];
    for said in said {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let bytes = format!("{} bytes of at most 2048\n", ran.stdout.trim_end().len());
    assert!(ran.stderr.ends_with(&bytes), "{}", ran.stderr);
}

#[tokio::test]
async fn as_json_everything_stands_in_one_object() {
    let ran = run(r#"--params {"allowedCountries":"KOR"} --output json"#).await;
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Done, ""));
    assert_eq!(said["registered"], false);
    assert_eq!(said["sealed_parameters"], json!(["allowedCountries"]));
    assert_eq!(said["plain_parameters"], json!(["pid", "token", "userid"]));
}

#[tokio::test]
async fn parameters_that_make_no_link_are_wrong_usage_with_every_field() {
    let ran = run(r#"--template kr --params {"age_limit":true,"sid":"s"}"#).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Usage, ""));
    for field in ["field  template: ", "field  params.age_limit: ", "field  params.sid: "] {
        assert!(ran.stderr.contains(field), "{field}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_as_serve_tells_it() {
    let ran = run("--set projects.default.liveform.mode=open").await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.stderr.contains("liveform.mode: expected"), "{}", ran.stderr);
    let ran = run("--project other").await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("there are: default"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_other_programs_sealed_opens_as_text_as_url_and_with_a_previous_key() {
    let encoded = SEALED.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let url = format!("https://form.example/?pid=p&encrypted={encoded}&lang=ko");
    for given in [SEALED, &encoded, &url] {
        let ran = run(&format!("--open {given}")).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Done, &*format!("{INSIDE}\n")));
        assert_eq!(ran.stderr, "opened with the API key, which is in use\n");
    }
    let file = key_file("previous", KEY);
    let other = |key: &str| {
        let variables = [("ARGOS_PROJECT_ID", "pid_demo"), ("ARGOS_API_KEY", key)];
        variables.map(|(name, value)| (name.into(), value.into())).into()
    };
    let previous = format!("projects.default.liveform.previous_key_files={}", file.1.display());
    let line = format!("url --open {SEALED} --set {previous} --output json");
    let ran = run_with(&line, &other("another")).await;
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(said["key"], json!({ "place": "previous_key", "previous": 1 }));
    assert_eq!(said["content"], INSIDE);
    let ran = run_with(&format!("url --open {SEALED}"), &other("another")).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Failed, ""));
    assert!(ran.stderr.contains("--self-test"), "{}", ran.stderr);
}

fn key_file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    (dir, path)
}

#[tokio::test]
async fn a_sample_that_the_configuration_seals_alike_passes_its_test() {
    let ran = run(&format!("--self-test {SEALED} --plaintext {INSIDE}")).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.stderr);
    for said in ["cipher = \"ecb\"", "the API key, which is in use", INSIDE, "as given", "agrees"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let ran = run(&format!("--self-test {SEALED} --plaintext {{}}")).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.stderr.contains("something else is inside"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_sample_that_is_sealed_otherwise_names_the_lines_to_write() {
    let gcm = "--set projects.default.liveform.cipher=gcm";
    let ran = run(&format!("--self-test {SEALED} {gcm}")).await;
    assert_eq!(ran.exit, Exit::Failed);
    let lines = "to be written:\n[projects.default.liveform]\ncipher = \"ecb\"\n";
    assert!(ran.stdout.ends_with(lines), "{}", ran.stdout);
    let ran = run(&format!("--self-test {SEALED} {gcm} --output json")).await;
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(said["to_write"], json!({ "projects.default.liveform.cipher": "ecb" }));
    assert_eq!((&said["agrees"], &said["matches"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn a_sample_that_nothing_opens_is_told_with_what_to_check() {
    for (sample, hint) in [(&SEALED[4..], "copied whole"), ("{\"a\":1}", "neither base64 nor hex")]
    {
        let ran = run(&format!("--self-test {sample}")).await;
        assert_eq!(ran.exit, Exit::Failed);
        assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    }
}

#[test]
fn a_plaintext_is_compared_by_what_it_says() {
    assert!(sample::same(r#"{"a":1,"b":[true]}"#, "{ \"b\": [true],\n\"a\": 1 }"));
    assert!(!sample::same(r#"{"a":1}"#, r#"{"a":"1"}"#));
    assert!(sample::same("any text", "any text") && !sample::same("any text", "any  text"));
}

#[test]
fn as_text_the_first_bad_line_ends_and_is_named() {
    let stdin = "{\"cf1\":\"a\"}\n{\"age_limit\":true}\n{}\n";
    let act = |preview: &Preview, screen: &Screen| {
        let ended = make_lines(preview, &WishArgs::default(), &mut stdin.as_bytes(), screen);
        let why = ended.as_ref().map_or_else(Failure::to_text, |()| String::new());
        assert!(why.contains("line 2") && why.contains("params.age_limit"), "{why}");
        ended
    };
    let (exit, told) = lines(Output::Table, act);
    assert_eq!((exit, told.lines().count()), (Exit::Usage, 1));
    assert!(told.contains("&cf1=a"), "{told}");
}

#[test]
fn as_json_a_bad_line_is_told_in_its_place_and_the_rest_goes_on() {
    let stdin = "{\"cf1\":\"a\"}\n\n{\"age_limit\":true}\n{\"cf1\":\"b\"}";
    let act = |preview: &Preview, screen: &Screen| {
        make_lines(preview, &WishArgs::default(), &mut stdin.as_bytes(), screen)
    };
    let (exit, told) = lines(Output::Json, act);
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exit, Exit::Usage);
    let fields: Vec<_> = told.iter().map(|it| it["error"][0]["field"].as_str()).collect();
    assert_eq!(fields, [None, Some("params"), Some("params.age_limit"), None]);
    assert!(told[3]["url"].as_str().unwrap().contains("&cf1=b"));
    assert_eq!(told[2]["line"], 3);
}

#[test]
fn envelopes_on_stdin_are_opened_line_by_line() {
    let stdin = format!("{SEALED}\nnonsense\n{SEALED}\n");
    let act =
        |preview: &Preview, screen: &Screen| open_lines(preview, &mut stdin.as_bytes(), screen);
    let (exit, told) = lines(Output::Table, act);
    assert_eq!((exit, told), (Exit::Failed, format!("{INSIDE}\n")));
    let (exit, told) = lines(Output::Json, act);
    assert_eq!((exit, told.lines().count()), (Exit::Failed, 3));
}

#[test]
fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
    let stdin = "x".repeat(2 << 20);
    let act =
        |preview: &Preview, screen: &Screen| open_lines(preview, &mut stdin.as_bytes(), screen);
    let (exit, told) = lines(Output::Json, act);
    assert_eq!((exit, told.as_str()), (Exit::Failed, ""));
}
