//! What may be written, what may not, and the reason that is given.

use super::*;

#[test]
fn what_is_of_another_shape_than_its_key_is_refused() {
    for (text, part) in [
        ("grpc = 1", "grpc: expected a table, found a value"),
        ("[grpc.listen]\nx = 1", "grpc.listen: expected an address"),
        ("[[projects]]\npid = 'x'", "projects: expected a table"),
        ("\"grpc.listen\" = 'x'", "unknown key"),
        ("data_dir = ''", "data_dir: expected a path"),
        ("stop_grace = 2024-01-01", "found a date"),
        ("webhook.allowed_sources = [1]", "found a list that holds something else than text"),
        ("webhook.allowed_sources = ['10.0.0.1/8']", "bits behind its prefix"),
        ("webhook.body_max = 1024", "expected a size"),
        ("grpc.reflection = 'true'", "expected true or false, found \"true\""),
        ("grpc.unix_socket_mode = '0888'", "expected an octal file mode"),
        ("ledger.history_max_lines = '1000'", "found \"1000\""),
        ("ledger.history_max_lines = -1", "found -1"),
        ("[defaults.argos]\ncalls_per_second = nan", "found NaN"),
        ("[defaults.liveform]\ngcm_nonce = '12'", "expected one of 12, 16, found \"12\""),
        ("[defaults.liveform.defaults]\nallowed_countries = 'KOR'", "expected a list of names"),
        ("[defaults.liveform]\ntemplates.kr = 'KOR'", "templates.kr: expected a table"),
        ("[defaults.liveform]\nprevious_key_files = []", "belongs to one project"),
    ] {
        Scene::new().file(text).refused(&[part]);
    }
}

#[test]
fn a_name_that_fits_no_label_is_refused_once() {
    let scene = Scene::new().file("[projects.Kyc-EU]\npid = 'x'\nrefill.mode = 'static'\n");
    scene.refused(&["0.toml:1: projects.Kyc-EU: expected a name"]);
}

#[test]
fn a_template_has_a_name_like_a_project() {
    for above in ["projects.default", "defaults"] {
        let table = format!("{above}.liveform.templates.KR-passport");
        let scene = Scene::new().file(&format!("[{table}]\nlang = 'ko'\ncf1 = 'x'\n"));
        scene.refused(&[&format!("0.toml:1: {table}: expected a name")]);
    }
}

#[test]
fn headers_for_a_collector_never_travel_in_the_open() {
    const ENDPOINT: &str = "telemetry.otlp_endpoint";
    let scene = |endpoint: &str| Scene::new().flag(ENDPOINT, endpoint);
    for endpoint in ["", "http://collector:4318", "https://collector.example/otlp"] {
        let telemetry = scene(endpoint).load().settings.telemetry;
        assert_eq!(telemetry.otlp_endpoint.unwrap_or_default(), endpoint);
    }
    for wrong in ["collector:4317", "http://collector:4318/", "http://u:p@collector"] {
        scene(wrong).refused(&["telemetry.otlp_endpoint: expected a URL"]);
    }
    let with_headers = |endpoint: &str| {
        scene(endpoint).variable("ARGOSPOOL_TELEMETRY__OTLP_HEADERS", "authorization=Bearer%20x")
    };
    for endpoint in ["https://collector.example", "http://127.0.0.1:4318"] {
        assert!(with_headers(endpoint).load().settings.telemetry.otlp_headers.is_some());
    }
    with_headers("http://collector:4318").refused(&["in the open", "https://"]);
    for wrong in ["authorization", "=x", "a=b,", "a=b\nc=d"] {
        let scene = Scene::new().variable("ARGOSPOOL_TELEMETRY__OTLP_HEADERS", wrong);
        scene.refused(&["list of headers"]);
    }
}

#[test]
fn every_rule_has_an_input_that_breaks_it_and_a_reason() {
    const D: &str = "projects.default.";
    for (key, text, parts) in [
        ("argos.cap_tokens", "100_001", &["from 1 to 100_000"][..]),
        ("argos.tokens_per_call", "501", &["from 1 to 500"]),
        ("argos.calls_in_flight", "0", &["from 1 to 64"]),
        ("argos.api_url", "http://rest-api.argosidentity.com/v3", &["only loopback"]),
        ("argos.api_url", "https://rest-api.argosidentity.com/v3/", &["ends with a slash"]),
        ("liveform.base_url", "https://form.argosidentity.com?x", &["query"]),
        ("liveform.gcm_nonce", "13", &["liveform.gcm_nonce: expected one of 12, 16, found \"13\""]),
        ("liveform.cipher", "cbc", &["liveform.cipher: expected one of ecb, gcm"]),
        ("liveform.mode", "encrypted", &["one of plain, mixed, sealed"]),
        ("liveform.extra_countries", "XKX, kr", &["\"kr\" is not made of three capital letters"]),
        ("liveform.extra_countries", "XKX,", &["\"\" is not made of three"]),
        ("liveform.extra_id_types", "passport,Visa", &["\"Visa\" is not made of small letters"]),
        (
            "liveform.defaults.age_limit",
            "no",
            &["defaults.age_limit: expected true, false, or \"\""],
        ),
        ("liveform.templates.kr.lang", " ko", &["templates.kr.lang: expected text without spaces"]),
        ("transfer.request_shape", "json", &["one of raw, data"]),
        ("tokens.prefix", "-ap", &["a letter or digit first"]),
        ("tokens.prefix", "", &["1 to 32"]),
        ("tokens.late_copy_delay", "89s", &["2 x request_timeout + 30s (90s)", "used token"]),
        ("argos.request_timeout", "46s", &["argos.request_timeout: late_copy_delay (2m)"]),
        ("argos.connect_timeout", "31s", &["must not be above"]),
        ("argos.backoff_min", "61s", &["must not be above"]),
        ("argos.purge_share", "0.95", &["leaves calls for refill"]),
        ("argos.reconcile_share", "1.1", &["from 0.0 to 1.0"]),
        ("lease.ttl_min", "11m", &["lease.ttl_min (11m) must not be above"]),
        ("lease.ttl_max", "9m", &["lease.ttl_default (10m) must not be above"]),
        ("lease.ttl_max", "37h", &["ledger.retention (72h)", "second token"]),
        ("lease.ttl_max", "721h", &["to 720h"]),
        ("lease.wait_default", "31s", &["must not be above"]),
        ("life.session_max", "2m", &["must not be above"]),
        ("refill.low_water_tokens", "5_000", &["must be below target_tokens (5_000)"]),
        ("refill.target_tokens", "90_001", &["must fit into cap_tokens (100_000)"]),
        ("argos.reserve_tokens", "95_001", &["argos.reserve_tokens: target_tokens (5_000)"]),
        ("tokens.unused_age_max", "24h", &["must be above lease.ttl_max (24h)"]),
    ] {
        Scene::new().flag(&format!("{D}{key}"), text).refused(parts);
        Scene::new().flag(&format!("defaults.{key}"), text).errors().first().unwrap();
    }
    for (key, text, parts) in [
        ("ledger.retention", "23h", &["from 24h"][..]),
        ("ledger.retention", "47h", &["2 x projects.default.lease.ttl_max (24h)"]),
        ("ledger.request_id_memory", "73h", &["repeated request"]),
        ("grpc.listen", "0.0.0.0:7070", &["everybody on the network would be admin"]),
        ("grpc.listen", "", &["nobody could ask"]),
        ("http.listen", "127.0.0.1:7070", &["cannot share one address"]),
        ("webhook.listen", "127.0.0.1:9464", &["cannot share one address"]),
        ("grpc.unix_socket", &"x".repeat(108), &["at most 107 bytes"]),
    ] {
        Scene::new().flag(key, text).refused(parts);
    }
}

#[test]
fn the_edges_that_the_rules_leave_open_are_accepted() {
    for (key, text) in [
        ("projects.default.tokens.late_copy_delay", "90s"),
        ("projects.default.argos.request_timeout", "45s"),
        ("projects.default.refill.target_tokens", "90_000"),
        ("projects.default.refill.low_water_tokens", "4_999"),
        ("projects.default.lease.ttl_max", "36h"),
        ("projects.default.lease.ttl_min", "10m"),
        ("projects.default.tokens.unused_age_max", "25h"),
        ("projects.default.argos.reserve_tokens", "0"),
        ("projects.default.argos.api_url", "http://127.0.0.1:8099/v3"),
        ("ledger.retention", "48h"),
        ("ledger.request_id_memory", "72h"),
        ("grpc.listen", "[::1]:0"),
        ("http.listen", "0.0.0.0:0"),
    ] {
        let scene = Scene::new().flag(key, text);
        assert_eq!(scene.errors(), Vec::<String>::new(), "{key} = {text}");
    }
    let scene = Scene::new().flag("grpc.listen", "127.0.0.1:0").flag("http.listen", "127.0.0.1:0");
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[test]
fn no_rule_complains_about_a_value_that_was_refused_already() {
    let scene = Scene::new().flag("defaults.refill.low_water_tokens", "7_000");
    scene.flag("defaults.refill.target_tokens", "plenty").refused(&["found \"plenty\""]);
}

#[test]
fn the_network_gets_in_only_past_callers_or_by_an_explicit_word() {
    let open = || Scene::new().flag("grpc.listen", "0.0.0.0:7070");
    let loaded = open().flag("grpc.insecure", "true").load();
    assert!(matches!(loaded.warnings[..], [Warning::OpenToEverybody { .. }]));
    let with_caller = open().variable("ARGOSPOOL_CALLERS__WEB__TOKEN", "t");
    assert_eq!(with_caller.load().warnings, []);
    let socket = Scene::new().flag("grpc.unix_socket", "/run/a.sock");
    let socket = socket.flag("grpc.unix_socket_mode", "0666");
    socket.refused(&["every user of this machine"]);
    assert_eq!(socket.flag("callers.web.uid", "1000").errors(), Vec::<String>::new());
}

#[test]
fn a_caller_shows_one_thing_that_nobody_else_shows() {
    let scene = Scene::new();
    let token = scene.secret_file("token", "bearer\n");
    let scene = scene.file(&format!(
        "[callers.web]\ntoken_file = '{token}'\nleases_per_minute = 60\n\
         [callers.cron]\nuid = 1000\nrole = 'admin'\nprojects = []\n"
    ));
    let callers = scene.load().settings.callers;
    let CallerProof::BearerToken(secret) = &callers["web"].proof else { panic!("not a token") };
    assert_eq!(secret.expose(), "bearer");
    assert_eq!(callers["web"].role, Role::Caller);
    assert_eq!(callers["web"].projects, ["default"]);
    assert_eq!(callers["web"].leases_per_minute, Some(60));
    assert_eq!(callers["cron"].proof, CallerProof::Uid(1000));
    assert_eq!(callers["cron"].role, Role::Admin);
    assert_eq!(callers["cron"].leases_per_minute, None);

    let same_token = format!("[callers.b]\ntoken_file = '{token}'\n");
    for (text, part) in [
        ("[callers.b]\n", "set token_file or uid"),
        ("[callers.b]\nuid = 1\nrole = 'root'\n", "one of caller, admin"),
        ("[callers.b]\nuid = 1\nprojects = ['gone']\n", "there is no project \"gone\""),
        ("[callers.b]\nuid = 1000\n", "callers.b shows the same"),
        (&same_token, "callers.b shows the same"),
    ] {
        let mut scene = Scene::new().file(text);
        scene = scene.flag("callers.cron.uid", "1000").flag("callers.web.token_file", &token);
        scene.refused(&[part]);
    }
    let both = Scene::new().flag("callers.web.token_file", &token).flag("callers.web.uid", "1");
    both.refused(&["one identity"]);
}

#[test]
fn two_projects_never_share_a_pool_or_a_webhook_secret() {
    let scene = Scene::new();
    let secret = scene.secret_file("webhook", PATH_SECRET);
    let scene = scene
        .variable("ARGOSPOOL_PROJECTS__OTHER__API_KEY", "k2")
        .variable("ARGOSPOOL_PROJECTS__OTHER__PID", "pid-1")
        .flag("projects.default.webhook.secret_file", &secret)
        .flag("projects.other.webhook.secret_file", &secret);
    let errors = scene.errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("one pid has one pool"), "{errors:#?}");
    assert!(errors[1].contains("same webhook secret"), "{errors:#?}");
}
