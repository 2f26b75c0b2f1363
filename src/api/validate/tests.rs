use super::*;

fn left(header: &str) -> Option<Duration> {
    let mut metadata = MetadataMap::new();
    metadata.insert("grpc-timeout", header.parse().unwrap());
    deadline(&metadata)
}

#[test]
fn the_deadline_of_a_call_is_read_in_every_unit() {
    for (header, expected) in [
        ("1H", Some(Duration::from_secs(3_600))),
        ("2M", Some(Duration::from_secs(120))),
        ("3S", Some(Duration::from_secs(3))),
        ("4m", Some(Duration::from_millis(4))),
        ("5u", Some(Duration::from_micros(5))),
        ("6n", Some(Duration::from_nanos(6))),
        ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
        ("S", None),
        ("", None),
        ("1", None),
        ("-1S", None),
        ("1x", None),
        ("123456789S", None),
    ] {
        assert_eq!(left(header), expected, "{header:?}");
    }
    assert_eq!(deadline(&MetadataMap::new()), None);
}

fn rules() -> ProjectRules {
    crate::api::stand::rules()
}

fn waits(asked: Option<i64>, header: Option<&str>) -> Result<Duration, Vec<String>> {
    let mut metadata = MetadataMap::new();
    if let Some(header) = header {
        metadata.insert("grpc-timeout", header.parse().unwrap());
    }
    let asked = asked.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let mut faults = Faults::default();
    let rules = ProjectRules { wait_default: Duration::from_secs(5), ..rules() };
    let wait = wait(asked, &rules, &metadata, &mut faults);
    if faults.0.is_empty() {
        Ok(wait)
    } else {
        Err(faults.0.into_iter().map(|violation| violation.field).collect())
    }
}

#[test]
fn a_wait_ends_before_the_caller_s_own_deadline() {
    assert_eq!(waits(None, None), Ok(Duration::from_secs(5)));
    assert_eq!(waits(Some(0), None), Ok(Duration::ZERO));
    assert_eq!(waits(Some(30), None), Ok(Duration::from_secs(30)));
    assert_eq!(waits(Some(31), None), Err(vec!["wait".to_owned()]));
    assert_eq!(waits(Some(10), Some("3S")), Ok(Duration::from_millis(2_900)));
    assert_eq!(waits(Some(10), Some("50m")), Ok(Duration::ZERO));
    assert_eq!(waits(Some(1), Some("3S")), Ok(Duration::from_secs(1)));
}

#[test]
fn a_duration_is_whole_or_at_fault() {
    let read = |seconds, nanos| {
        let mut faults = Faults::default();
        let asked = Some(prost_types::Duration { seconds, nanos });
        let span = duration(asked, "ttl", &mut faults);
        assert_eq!(span.is_none(), faults.check().is_err());
        span
    };
    assert_eq!(read(1, 500_000_000), Some(Duration::from_millis(1_500)));
    for (seconds, nanos) in
        [(-1, 0), (1, -1), (-1, 1), (0, 1_000_000_000), (i64::MAX, 0), (315_576_000_001, 0)]
    {
        assert_eq!(read(seconds, nanos), None, "{seconds} {nanos}");
    }
}

#[test]
fn different_wishes_never_share_an_encoding() {
    let encoded = |texts: &[&str]| {
        let mut wish = Wish::new("CreateLease");
        texts.iter().for_each(|text| wish.text(text));
        wish.0
    };
    assert_ne!(encoded(&["ab", "c"]), encoded(&["a", "bc"]));
    assert_ne!(encoded(&["a", ""]), encoded(&["", "a"]));
    assert_ne!(Wish::new("CreateLease").0, Wish::new("ReleaseLease").0);
    let spans = [None, Some(Duration::ZERO), Some(Duration::from_secs(1))].map(|span| {
        let mut wish = Wish::new("CreateLease");
        wish.duration(span);
        wish.0
    });
    assert!(spans[0] != spans[1] && spans[1] != spans[2]);
}

#[test]
fn labels_have_bounds() {
    let found = |pairs: &[(&str, &str)]| {
        let asked = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut faults = Faults::default();
        labels(asked.collect(), "requests[2].", &mut faults);
        faults.0.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    let (most, more) = ("v".repeat(LABEL_VALUE_MAX), "v".repeat(LABEL_VALUE_MAX + 1));
    assert!(found(&[("k", &most), (&"k".repeat(LABEL_KEY_MAX), "")]).is_empty());
    assert_eq!(found(&[("team", &more)]), ["requests[2].labels[team]"]);
    for key in ["", "two words", "ü", &"k".repeat(LABEL_KEY_MAX + 1)] {
        assert_eq!(found(&[(key, "")]), ["requests[2].labels"], "{key:?}");
    }
    let many: Vec<_> = (0..=LABELS_MAX).map(|number| format!("k{number}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
    assert_eq!(found(&many), ["requests[2].labels"]);
}

/// L3: a request that was made of an earlier version is repeated to this one.
#[test]
fn a_wish_that_says_nothing_new_reads_as_it_always_did() {
    let told = |params: &proto::LiveformParams, template: &str| {
        let mut wish = Wish::new("CreateLease");
        link::tell(&mut wish, params, template);
        wish.0
    };
    let plain = proto::LiveformParams {
        email: "kim@example.com".to_owned(),
        userid: "u1".to_owned(),
        cf1: "1".to_owned(),
        cf2: "2".to_owned(),
        cf3: "3".to_owned(),
        lang: "ko".to_owned(),
        ..proto::LiveformParams::default()
    };
    assert_eq!(told(&plain, ""), Wish::new("CreateLease").0);
    let switched = |flag| proto::LiveformParams { age_limit: flag, ..plain.clone() };
    let wishes = [
        told(&plain, ""),
        told(&plain, "kr"),
        told(&switched(Some(false)), ""),
        told(&switched(Some(true)), ""),
        told(&switched(Some(false)), "kr"),
    ];
    for (number, wish) in wishes.iter().enumerate() {
        assert!(!wishes[..number].contains(wish), "{number}");
    }
}
