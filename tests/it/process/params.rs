//! Whatever a link may say, ARGOS understands all of it; and what it may not say is named.

use std::collections::{BTreeMap, BTreeSet};

use argospool::{
    api::proto::{CreateLeaseRequest, Lease, LiveformParams},
    sim::{Command, Pipeline, Visit},
};
use percent_encoding::percent_decode_str;
use proptest::{
    collection::{btree_map, btree_set},
    option,
    prelude::*,
    sample::select,
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    daemon::text,
    projects::{Project, Site},
};

/// Links of each project.
const EACH: usize = 100;
/// Requests that break a rule.
const BROKEN: usize = 150;
const COUNTRIES: [&str; 8] = ["KOR", "USA", "DEU", "JPN", "BRA", "ZAF", "NZL", "XKX"];
const ID_TYPES: [&str; 5] =
    ["drivers_license", "government_id", "passport", "residence_permit", "visa"];

/// Text that a person may have: anything but control characters.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z0-9 ]{1,12}",
        2 => "[&=%+#?/\"'<>\\\\ .,;:!*()~^|{}\\[\\]@$-]{1,12}",
        1 => "\\PC{1,6}",
        1 => select(vec!["true", "false", "null", "0", "{}", "%00", "%2B"]).prop_map(str::to_owned),
    ]
}

/// A text that is there as often as not.
fn perhaps(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    option::weighted(0.4, text).prop_map(Option::unwrap_or_default)
}

fn off() -> impl Strategy<Value = Option<bool>> {
    option::weighted(0.3, Just(false))
}

fn some_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let chosen = btree_set(select(all), 0..4);
    option::weighted(0.5, chosen)
        .prop_map(|chosen| chosen.unwrap_or_default().into_iter().map(str::to_owned).collect())
}

/// What both kinds of projects accept.
fn for_all() -> impl Strategy<Value = LiveformParams> {
    let free = (
        perhaps("[a-z0-9.+_'-]{1,10}@[a-z0-9-]{1,8}\\.(com|kr)"),
        perhaps(any_text()),
        perhaps(any_text()),
        perhaps(any_text()),
        perhaps(any_text()),
        perhaps(select(vec!["ko", "en", "pt-BR", "zh_TW", "fil"]).prop_map(str::to_owned)),
    );
    let switches = (off(), off(), option::weighted(0.4, any::<bool>()));
    let sealed = (
        some_of(&COUNTRIES),
        some_of(&ID_TYPES),
        btree_set("[a-z][A-Za-z0-9_]{0,9}", 0..3),
        perhaps(any_text()),
        perhaps(any_text()),
        perhaps("#[0-9a-f]{6}"),
        perhaps(any_text()),
    );
    let more = (
        option::weighted(0.3, "sub-[a-z0-9-]{1,12}[a-z0-9]"),
        option::weighted(0.3, 60_i64..1_000_000),
        any::<bool>(),
    );
    (free, switches, sealed, more).prop_map(|(free, switches, sealed, more)| {
        let (email, userid, cf1, cf2, cf3, lang) = free;
        let (blacklist_countries, age_limit, reject_duplicate_user) = switches;
        let (allowed_countries, allowed_id_types, fields, id, name, main, inner) = sealed;
        let (sid, seconds, until_deadline) = more;
        let now = jiff::Timestamp::now().as_second();
        LiveformParams {
            email,
            userid,
            cf1,
            cf2,
            cf3,
            lang,
            blacklist_countries,
            age_limit,
            reject_duplicate_user,
            action: sid.as_ref().map_or_else(String::new, |_| "addveri".to_owned()),
            sid: sid.unwrap_or_default(),
            allowed_countries,
            allowed_id_types,
            allowed_document_fields: fields.into_iter().collect(),
            projection_id: id,
            projection_name: name,
            main_color: main,
            inner_color: inner,
            start_valid_until: seconds
                .map(|seconds| prost_types::Timestamp { seconds: now + seconds, nanos: 999 }),
            start_valid_until_deadline: until_deadline && seconds.is_none(),
            ..LiveformParams::default()
        }
    })
}

/// The same with what exists for documents only. What is selected is among what is allowed.
fn for_documents() -> impl Strategy<Value = LiveformParams> {
    let selected = option::weighted(0.4, (0..COUNTRIES.len(), option::of(0..ID_TYPES.len())));
    (for_all(), off(), off(), selected, option::weighted(0.3, Just("phoneNumber"))).prop_map(
        |(params, approve_period, reject_period, selected, auxid)| {
            let among = |all: &[&str], allowed: &[String], place: usize| {
                let any = || all[place % all.len()].to_owned();
                allowed.get(place % allowed.len().max(1)).cloned().unwrap_or_else(any)
            };
            let country =
                selected.map(|(country, _)| among(&COUNTRIES, &params.allowed_countries, country));
            let id_type = selected.and_then(|(_, id_type)| {
                Some(among(&ID_TYPES, &params.allowed_id_types, id_type?))
            });
            let auxid = auxid.filter(|_| country.is_none());
            LiveformParams {
                approve_period,
                reject_period,
                selected_issuing_country: country.unwrap_or_default(),
                selected_id_type: id_type.unwrap_or_default(),
                auxid_field: auxid.unwrap_or_default().to_owned(),
                ..params
            }
        },
    )
}

/// The same with what exists for knowledge only.
fn for_knowledge() -> impl Strategy<Value = LiveformParams> {
    let prefill = btree_map("[a-z][A-Za-z0-9_]{0,9}", any_text(), 0..3);
    (for_all(), perhaps(any_text()), prefill).prop_map(|(params, knowledge_field, prefill)| {
        let knowledge_prefill = prefill.into_iter().collect();
        LiveformParams { knowledge_field, knowledge_prefill, ..params }
    })
}

/// Of each parameter that a link says the value, and whether it is sealed.
type Says = BTreeMap<String, (String, bool)>;

/// What ARGOS must read in the link of a lease that was asked for like this.
fn expected(params: &LiveformParams, lease: &Lease, pid: &str, sealed: bool) -> Says {
    let token = &lease.token_id;
    let mut either = vec![
        ("token", format!("…{}", &token[token.len() - 4..])),
        ("email", params.email.clone()),
        ("userid", params.userid.clone()),
        ("cf1", params.cf1.clone()),
        ("cf2", params.cf2.clone()),
        ("cf3", params.cf3.clone()),
    ];
    for (name, flag) in [
        ("blacklistCountries", params.blacklist_countries),
        ("approvePeriod", params.approve_period),
        ("rejectPeriod", params.reject_period),
        ("ageLimit", params.age_limit),
        ("rejectDuplicateUser", params.reject_duplicate_user),
    ] {
        either.push((name, flag.map(|flag| flag.to_string()).unwrap_or_default()));
    }
    let utc =
        |at: &prost_types::Timestamp| jiff::Timestamp::from_second(at.seconds).unwrap().to_string();
    let mut until = params.start_valid_until.as_ref().map(utc).unwrap_or_default();
    if params.start_valid_until_deadline {
        until = utc(lease.expire_time.as_ref().unwrap());
    }
    let prefill: BTreeMap<_, _> = params.knowledge_prefill.iter().collect();
    let prefill = if prefill.is_empty() { String::new() } else { json!(prefill).to_string() };
    let must = [
        ("allowedCountries", params.allowed_countries.join(",")),
        ("allowedIdTypes", params.allowed_id_types.join(",")),
        ("selectedIssuingCountry", params.selected_issuing_country.clone()),
        ("selectedIdType", params.selected_id_type.clone()),
        ("auxidField", params.auxid_field.clone()),
        ("projectionId", params.projection_id.clone()),
        ("projectionName", params.projection_name.clone()),
        ("knowledgeField", params.knowledge_field.clone()),
        ("knowledgePrefill", prefill),
        ("allowedDocumentFields", params.allowed_document_fields.join(",")),
        ("mainColor", params.main_color.clone()),
        ("innerColor", params.inner_color.clone()),
        ("startValidUntil", until),
    ];
    let envelope = sealed || must.iter().any(|(_, value)| !value.is_empty());
    let injection = [("sid", params.sid.clone()), ("action", params.action.clone())];
    let plain = [("pid", pid.to_owned()), ("lang", params.lang.clone())];
    let all = either.into_iter().map(|it| (it, sealed));
    let all = all.chain(injection.map(|it| (it, envelope))).chain(plain.map(|it| (it, false)));
    let all = all.chain(must.map(|it| (it, true))).filter(|((_, value), _)| !value.is_empty());
    all.map(|((name, value), sealed)| (name.to_owned(), (value, sealed))).collect()
}

impl Site {
    /// Somebody opens a link; what ARGOS reads in it, or why it refuses.
    fn reads(&self, url: &str) -> Result<Says, String> {
        let (_, query) = url.split_once('?').unwrap();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let link = pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
        let visit = Visit { visitor: None, link };
        let answer = self.simulator.control(Command::LiveformOpen(visit));
        let answer = answer.map_err(|error| error.to_string())?;
        let says = answer["says"].as_object().unwrap().iter();
        let says = says.map(|(name, it)| {
            let value = it["value"].as_str().unwrap().to_owned();
            (name.clone(), (value, it["sealed"].as_bool().unwrap()))
        });
        Ok(says.collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argos_understands_whatever_the_daemon_hands_out() {
    let mut projects = Vec::new();
    for mode in ["mixed", "sealed"] {
        for (name, pipeline) in
            [("id_document", Pipeline::IdDocument), ("knowledge", Pipeline::Knowledge)]
        {
            let project = Project::named(format!("{mode}_{name}"))
                .in_mode(mode)
                .ruled(|rules| {
                    rules.pipeline = Some(pipeline);
                    rules.encryption_only = Some(mode == "sealed");
                })
                .with("liveform.pipeline", text(name))
                .with("liveform.url_max_bytes", 2_953)
                .with("liveform.extra_countries", "[\"XKX\"]")
                .with("argos.tokens_per_call", EACH)
                .with("refill.target_tokens", EACH);
            projects.push((project, mode == "sealed", pipeline));
        }
    }
    let site = Site::of(projects.iter().map(|(project, ..)| project.clone()).collect()).await;
    let mut chance = TestRunner::deterministic();
    let (documents, knowledge) = (for_documents(), for_knowledge());
    let mut said = BTreeSet::new();
    for (project, sealed, pipeline) in &projects {
        let mut draw = || match pipeline {
            Pipeline::IdDocument => documents.new_tree(&mut chance).unwrap().current(),
            Pipeline::Knowledge => knowledge.new_tree(&mut chance).unwrap().current(),
        };
        let asked: Vec<_> = (0..EACH).map(|_| draw()).collect();
        let leases = site.leases(&project.name, asked.clone()).await;
        for (number, (params, lease)) in asked.iter().zip(&leases).enumerate() {
            let at = format!("link {number} of {}", project.name);
            let mut says = site.reads(&lease.url).unwrap_or_else(|cause| panic!("{at}: {cause}"));
            if params.userid.is_empty() {
                let mark = says.remove("userid").expect("the mark of ours");
                assert_eq!(mark.1, *sealed);
            }
            let expected = expected(params, lease, &project.options.pid, *sealed);
            assert_eq!(says, expected, "{at}");
            said.extend(says.into_keys());
        }
        let counters = site.counters(&project.name);
        assert_eq!(counters.opens as usize, EACH);
        assert_eq!(counters.opens_refused, BTreeMap::new());
        assert_eq!(counters.parameters_without_effect, BTreeMap::new());
    }
    assert_eq!(said.len(), 28, "every parameter there is, the token and the pid: {said:?}");
}

/// A value that must not come back.
type Breaks = fn(&mut CreateLeaseRequest, &mut LiveformParams, String);

/// Ways to break a rule, with the field that must be named.
const WAYS: [(&str, Breaks); 22] = [
    ("params.email", |_, params, value| params.email = value),
    ("params.lang", |_, params, value| params.lang = format!("{value}!")),
    ("params.cf1", |_, params, value| params.cf1 = format!("{value}\u{7}")),
    ("params.cf2", |_, params, value| params.cf2 = value.repeat(1_000)),
    ("params.blacklist_countries", |_, params, _| params.blacklist_countries = Some(true)),
    ("params.age_limit", |_, params, _| params.age_limit = Some(true)),
    ("params.action", |_, params, value| params.action = value),
    ("params.sid", |_, params, value| {
        params.sid = format!("{value} {value}");
    }),
    ("params.sid", |_, params, value| {
        (params.sid, params.action) = (value, String::new());
    }),
    ("params.allowed_countries[0]", |_, params, value| params.allowed_countries = vec![value]),
    ("params.allowed_id_types[1]", |_, params, value| {
        params.allowed_id_types = vec!["visa".to_owned(), value];
    }),
    ("params.selected_issuing_country", |_, params, value| {
        params.selected_issuing_country = value;
    }),
    ("params.selected_id_type", |_, params, _| {
        (params.selected_issuing_country, params.selected_id_type) =
            (String::new(), "passport".to_owned());
    }),
    ("params.auxid_field", |_, params, value| params.auxid_field = format!("{value} {value}")),
    ("params.auxid_field", |_, params, _| {
        params.auxid_field = "phoneNumber".to_owned();
        params.selected_issuing_country = "KOR".to_owned();
    }),
    ("params.knowledge_field", |_, params, value| params.knowledge_field = value),
    ("params.knowledge_prefill", |_, params, value| {
        params.knowledge_prefill = [("name".to_owned(), value)].into();
    }),
    ("params.allowed_document_fields[0]", |_, params, value| {
        params.allowed_document_fields = vec![format!("{value}-")];
    }),
    ("params.start_valid_until", |_, params, _| {
        params.start_valid_until =
            Some(prost_types::Timestamp { seconds: 1_600_000_000, nanos: 0 });
    }),
    ("params.unchecked[pid]", |_, params, value| {
        params.unchecked = [("pid".to_owned(), value)].into();
    }),
    ("params.unchecked[…]", |_, params, value| {
        params.unchecked = [(format!("{value} {value}"), value)].into();
    }),
    ("template", |request, _, value| request.template = value),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_argos_would_refuse_is_refused_with_its_fields_and_without_a_value() {
    let site =
        Site::of(vec![Project::named("mixed"), Project::named("sealed").in_mode("sealed")]).await;
    let mut chance = TestRunner::deterministic();
    let ways = (btree_set(0..WAYS.len(), 1..4), "[a-z]{2}[0-9]{8}[a-z]{2}", for_documents());
    for number in 0..BROKEN {
        let (ways, value, mut params) = ways.new_tree(&mut chance).unwrap().current();
        // Each way comes first in turn, and none after it undoes it.
        let first = number % WAYS.len();
        let project = ["mixed", "sealed"][number % 2].to_owned();
        let mut request = CreateLeaseRequest { project, ..CreateLeaseRequest::default() };
        for way in ways.into_iter().chain([first]) {
            WAYS[way].1(&mut request, &mut params, value.clone());
        }
        request.params = Some(params.clone());
        let refused = site.asks(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let violations = refused.get_details_bad_request().unwrap().field_violations;
        let named = violations.iter().any(|it| it.field == WAYS[first].0);
        assert!(named, "{} in {violations:?}", WAYS[first].0);
        let told = format!("{} {violations:?}", refused.message());
        let personal = [&params.email, &value].into_iter().filter(|text| !text.is_empty());
        for secret in personal {
            assert!(!told.contains(secret.as_str()), "P1: {told}");
        }
    }
    for project in ["mixed", "sealed"] {
        assert_eq!(super::daemon::counts(&site.status(project).await).leased, 0);
    }
}
