//! Links of every kind, from a call at the daemon's port to a person who is verified at ARGOS.

use std::collections::BTreeMap;

use argospool::{
    api::proto::{CreateLeaseRequest, Lease, LiveformParams, ReplaceLeaseRequest},
    sim::{Cipher, Command, Encoding, Gcm, Layout, NonceBytes, RuleChange},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    daemon::{Home, text},
    projects::{Project, Site},
};

const MODES: [&str; 3] = ["plain", "mixed", "sealed"];
const CIPHERS: [(&str, Cipher); 3] = [
    ("ecb", Cipher::Ecb),
    (
        "gcm",
        Cipher::Gcm(Gcm {
            layout: Layout::NonceCiphertextTag,
            nonce_bytes: NonceBytes::Twelve,
            encoding: Encoding::Base64,
        }),
    ),
    (
        "gcm_tail",
        Cipher::Gcm(Gcm {
            layout: Layout::CiphertextTagNonce,
            nonce_bytes: NonceBytes::Sixteen,
            encoding: Encoding::Hex,
        }),
    ),
];
/// What a page says of a link: the value of a parameter, and whether it was sealed.
type Says = BTreeMap<String, (String, bool)>;

/// What may stand in the open.
fn open() -> LiveformParams {
    LiveformParams {
        email: "person@example.com".to_owned(),
        cf1: "a & b = c + d".to_owned(),
        lang: "ko".to_owned(),
        age_limit: Some(false),
        reject_duplicate_user: Some(true),
        ..LiveformParams::default()
    }
}

/// And what must be sealed.
fn typed() -> LiveformParams {
    LiveformParams {
        allowed_countries: vec!["KOR".to_owned(), "USA".to_owned()],
        allowed_id_types: vec!["passport".to_owned(), "visa".to_owned()],
        ..open()
    }
}

/// What the page must say of them, but for what is made anew with each link.
fn expected(project: &Project, params: &LiveformParams, mode: &str) -> Says {
    let sealed = mode == "sealed";
    let mut says = vec![
        ("pid", project.options.pid.clone(), false),
        ("lang", "ko".to_owned(), false),
        ("email", "person@example.com".to_owned(), sealed),
        ("cf1", "a &amp; b = c + d".to_owned(), sealed),
        ("ageLimit", "false".to_owned(), sealed),
        ("rejectDuplicateUser", "true".to_owned(), sealed),
    ];
    if !params.allowed_countries.is_empty() {
        says.push(("allowedCountries", "KOR,USA".to_owned(), true));
        says.push(("allowedIdTypes", "passport,visa".to_owned(), true));
    }
    says.into_iter().map(|(name, value, sealed)| (name.to_owned(), (value, sealed))).collect()
}

/// What a page says, without token and mark, and where those stood.
fn apart(mut says: Says, lease: &Lease) -> (Says, [bool; 2]) {
    let (token, token_sealed) = says.remove("token").unwrap();
    assert!(lease.token_id.ends_with(token.trim_start_matches('…')), "another token");
    let (_, mark_sealed) = says.remove("userid").expect("the mark of ours");
    (says, [token_sealed, mark_sealed])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_cipher_and_key_makes_links_that_say_what_was_asked_and_end_decided() {
    let mut kinds = Vec::new();
    for mode in MODES {
        for (name, cipher) in CIPHERS {
            for own_key in [false, true] {
                let name = format!("{mode}_{name}{}", if own_key { "_own" } else { "" });
                let mut project = Project::named(name).in_mode(mode).sealing(cipher);
                if own_key {
                    project = project.with_secret_key();
                }
                // Half of the sealed ones, so that both kinds of ARGOS read them.
                let only = own_key && mode == "sealed";
                project = project.ruled(|rules| rules.encryption_only = Some(only));
                kinds.push((project, mode));
            }
        }
    }
    let site = Site::changed(kinds.iter().map(|(project, _)| project.clone()).collect(), |home| {
        home.with("log.level", text("trace"))
    })
    .await;
    site.sends_webhooks();
    let mut urls = Vec::new();
    for (project, mode) in &kinds {
        let name = &project.name;
        if *mode == "plain" {
            let refused = site.lease(name, typed()).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            let fields = refused.get_details_bad_request().unwrap().field_violations;
            let fields: Vec<_> = fields.into_iter().map(|it| it.field).collect();
            assert_eq!(fields, ["params.allowed_countries", "params.allowed_id_types"]);
        }
        let params = if *mode == "plain" { open() } else { typed() };
        let lease = site.lease(name, params.clone()).await.unwrap();
        let (says, places) = apart(site.page(&lease.url).await, &lease);
        assert_eq!(says, expected(project, &params, mode), "{name}");
        assert_eq!(places, [*mode == "sealed"; 2], "{name}: where token and mark stand");
        site.verifies(&lease).await;
        assert_eq!(site.refusal(&lease.url).await.as_deref(), Some("approved"), "{name}");
        let counters = site.counters(name);
        assert_eq!(counters.parameters_without_effect, BTreeMap::new(), "{name}");
        urls.push(lease.url);
    }

    // What an encryption-only project does not read is a link without a token.
    let only = RuleChange { encryption_only: Some(true), ..RuleChange::default() };
    for (name, refusal) in [
        ("plain_ecb", Some("missing")),
        ("mixed_ecb", Some("missing")),
        ("mixed_gcm_tail_own", Some("missing")),
        ("sealed_ecb", None),
        ("sealed_gcm_tail", None),
    ] {
        site.rules(name, only.clone());
        let params = if name == "plain_ecb" { open() } else { typed() };
        let lease = site.lease(name, params).await.unwrap();
        assert_eq!(site.refusal(&lease.url).await.as_deref(), refusal, "{name}");
        urls.push(lease.url);
    }
    tells_nobody(&site, &urls, &["a & b", "a%20%26%20b", "KOR,USA", "allowedCountries"]).await;
}

/// P1: neither at level trace nor in the metrics.
pub async fn tells_nobody(site: &Site, urls: &[String], plaintexts: &[&str]) {
    let (_, metrics) = site.daemon.get("/metrics").await;
    let log = site.home.log();
    assert!(log.contains("serving"), "it was not looked at a log");
    let envelopes = urls.iter().filter_map(|url| Some(url.split_once("encrypted=")?.1));
    let queries = urls.iter().filter_map(|url| Some(url.split_once('?')?.1));
    let keys = site.projects.iter().flat_map(|project| {
        [Some(project.options.api_key.as_str()), project.options.secret_key.as_deref()]
    });
    for secret in envelopes.chain(queries).chain(keys.flatten()).chain(plaintexts.iter().copied()) {
        for told in [&log, &metrics] {
            assert!(!told.contains(secret), "P1: {secret:?} is told");
        }
    }
}

fn in_seconds(seconds: i64) -> prost_types::Timestamp {
    let now = jiff::Timestamp::now().as_second();
    prost_types::Timestamp { seconds: now + seconds, nanos: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_opens_until_its_last_start_and_not_after() {
    let site = Site::of(vec![
        Project::named("asked"),
        Project::named("always").in_mode("sealed").with("liveform.start_valid_until", true),
    ])
    .await;
    let ttl = Some(prost_types::Duration { seconds: 600, nanos: 0 });
    let ask = async |project: &str, params: LiveformParams| {
        let (project, params) = (project.to_owned(), Some(params));
        site.asks(CreateLeaseRequest { project, params, ttl, ..Default::default() }).await.unwrap()
    };
    let at = |seconds| LiveformParams {
        start_valid_until: Some(in_seconds(seconds)),
        ..LiveformParams::default()
    };
    let deadline = LiveformParams { start_valid_until_deadline: true, ..LiveformParams::default() };
    let nothing = LiveformParams::default;
    // Two of each: whoever has been let in is not a late start.
    let mut links = Vec::new();
    for _ in 0..2 {
        links.push([
            ask("asked", at(300)).await,
            ask("always", at(300)).await,
            ask("asked", deadline.clone()).await,
            ask("always", nothing()).await,
            ask("always", deadline.clone()).await,
            ask("asked", nothing()).await,
        ]);
    }
    let says = site.page(&links[0][3].url).await;
    let (until, sealed) = &says["startValidUntil"];
    let until: jiff::Timestamp = until.parse().unwrap();
    assert_eq!((until.as_second(), *sealed), (links[0][3].expire_time.unwrap().seconds, true));
    for lease in &links[0] {
        assert_eq!(site.refusal(&lease.url).await, None);
    }
    let late = Some("start-too-late".to_owned());
    let skip = |seconds: u64| {
        site.simulator.control(Command::Clock { skip_ms: seconds * 1_000 }).unwrap();
    };
    skip(301);
    for lease in &links[1][..2] {
        assert_eq!(site.refusal(&lease.url).await, late);
    }
    // Of the deadline half is left.
    skip(300);
    for lease in &links[1][2..5] {
        assert_eq!(site.refusal(&lease.url).await, late);
    }
    assert_eq!(site.refusal(&links[1][5].url).await, None, "it says no last start");
    let expected = [("asked", 2), ("always", 3)];
    for (project, number) in expected {
        assert_eq!(site.counters(project).opens_refused["start-too-late"], number);
    }
}

/// A project with a template, whose links are written in this mode.
fn preset(mode: &str, cipher: Cipher, countries: &str) -> Project {
    Project::named("preset")
        .in_mode(mode)
        .sealing(cipher)
        .with_secret_key()
        .with("liveform.defaults.lang", text("ko"))
        .with("liveform.defaults.cf2", text("from-the-defaults"))
        .with("liveform.templates.two.cf2", text("from-the-template"))
        .with("liveform.templates.two.age_limit", false)
        .with("liveform.templates.two.allowed_countries", countries)
}

fn wish(number: u8, template: &str, params: LiveformParams) -> CreateLeaseRequest {
    CreateLeaseRequest {
        project: "preset".to_owned(),
        request_id: format!("0b0e7f5e-0000-4000-8000-0000000000{number:02}"),
        template: template.to_owned(),
        params: Some(params),
        ..CreateLeaseRequest::default()
    }
}

fn replacing(lease: &Lease) -> ReplaceLeaseRequest {
    let (project, lease_id) = (lease.project.clone(), lease.lease_id.clone());
    ReplaceLeaseRequest { project, lease_id, ..ReplaceLeaseRequest::default() }
}

impl Site {
    /// What the page says, and what of it was sealed, of a lease that took the place of this one.
    async fn replaced(&self, lease: &Lease) -> Says {
        let answer = self.daemon.pool().replace_lease(replacing(lease)).await.unwrap();
        let successor = answer.into_inner().lease.unwrap();
        assert_ne!(successor.url, lease.url);
        self.page(&successor.url).await
    }

    /// The same daemon with another configuration and other keys.
    async fn reconfigured(self, project: Project, change: impl FnOnce(Home) -> Home) -> Self {
        let Self { daemon, home, simulator, .. } = self;
        daemon.stop().await;
        let home = project.tell(change(home));
        let daemon = home.serve().await;
        Self { daemon, home, simulator, projects: vec![project] }
    }
}

fn values(says: &Says) -> Vec<(&str, &str)> {
    let made = ["pid", "token", "userid"];
    let said = says.iter().filter(|(name, _)| !made.contains(&name.as_str()));
    said.map(|(name, (value, _))| (name.as_str(), value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_count_a_replaced_link_says_the_same_and_a_repeat_outlives_mode_and_key() {
    let (_, gcm) = CIPHERS[2];
    let site = Site::of(vec![preset("sealed", gcm, "[\"KOR\", \"USA\"]")]).await;
    let own = LiveformParams { cf1: "own".to_owned(), ..LiveformParams::default() };
    let until = LiveformParams {
        start_valid_until: Some(in_seconds(60)),
        start_valid_until_deadline: false,
        cf3: "\"quoted\" \\ <tag>".to_owned(),
        ..LiveformParams::default()
    };
    let with_template = wish(1, "two", own.clone());
    let without = wish(2, "", LiveformParams { lang: "en".to_owned(), ..own.clone() });
    let wishes = [with_template, without, wish(3, "two", until)];
    let mut leases = Vec::new();
    for wish in &wishes {
        leases.push(site.asks(wish.clone()).await.unwrap());
    }
    let templated = [
        ("ageLimit", "false"),
        ("allowedCountries", "KOR,USA"),
        ("cf1", "own"),
        ("cf2", "from-the-template"),
        ("lang", "ko"),
    ];
    let preset_only = [("cf1", "own"), ("cf2", "from-the-defaults"), ("lang", "en")];
    let says = site.page(&leases[0].url).await;
    assert_eq!(values(&says), templated);
    assert!(says.iter().all(|(name, (_, sealed))| *sealed != ["pid", "lang"].contains(&&**name)));
    assert_eq!(values(&site.page(&leases[1].url).await), preset_only);
    let unknown = site.asks(wish(9, "three", own.clone())).await.unwrap_err();
    let fields = unknown.get_details_bad_request().unwrap().field_violations;
    assert_eq!((unknown.code(), &*fields[0].field), (Code::InvalidArgument, "template"));

    let extra = site.asks(wish(4, "two", own.clone())).await.unwrap();
    let says = site.replaced(&extra).await;
    assert_eq!(values(&says), templated, "in encryption-only mode nothing is lost");

    // Other mode, other cipher, another key, another template; in the end no template and no key.
    let mut mixed = preset("mixed", Cipher::Ecb, "[\"JPN\"]");
    mixed.options.secret_key = Some("secret-key-of-tomorrow".to_owned());
    let site = site.reconfigured(mixed, |home| home).await;
    for (wish, lease) in wishes.iter().zip(&leases) {
        assert_eq!(&site.asks(wish.clone()).await.unwrap(), lease, "L3");
    }
    let other = CreateLeaseRequest { template: String::new(), ..wishes[0].clone() };
    let reused = site.asks(other).await.unwrap_err();
    assert_eq!(super::daemon::reason(&reused), "REQUEST_ID_REUSED");
    let rules = RuleChange {
        link_cipher: Some(Cipher::Ecb),
        secret_key: Some("secret-key-of-tomorrow".into()),
        ..RuleChange::default()
    };
    site.rules("preset", rules);
    assert_eq!(site.refusal(&leases[0].url).await.as_deref(), Some("parameters"));
    let says = site.replaced(&leases[0]).await;
    assert_eq!(values(&says), templated, "what its envelope said was kept");
    assert!(says.iter().all(|(name, (_, sealed))| *sealed == (name == "allowedCountries")));
    let anew = site.asks(wish(5, "two", own.clone())).await.unwrap();
    assert_eq!(site.page(&anew.url).await["allowedCountries"].0, "JPN");

    let plain = Project::named("preset").in_mode("plain");
    let site = site
        .reconfigured(plain, |home| {
            let keys = ["secret_key_file", "cipher", "gcm_layout", "gcm_nonce", "gcm_encoding"];
            let presets = ["defaults.lang", "defaults.cf2", "templates.two.cf2"];
            let rest = ["templates.two.age_limit", "templates.two.allowed_countries"];
            let all = keys.iter().chain(&presets).chain(&rest);
            all.fold(home, |home, key| home.without(&format!("projects.preset.liveform.{key}")))
        })
        .await;
    for (wish, lease) in wishes.iter().zip(&leases).skip(1) {
        assert_eq!(&site.asks(wish.clone()).await.unwrap(), lease, "L3");
    }
    let removed = site.asks(wish(6, "two", own)).await.unwrap_err();
    assert_eq!(removed.code(), Code::InvalidArgument);
}
