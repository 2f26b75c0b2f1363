use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn rules() -> Rules {
    Rules {
        extra_countries: vec!["XKX".to_owned()],
        extra_id_types: vec!["voter_card".to_owned()],
        ..Rules::new(Mode::Mixed, Pipeline::IdDocument)
    }
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn ask(parameter: Parameter, value: impl Into<Value>) -> Asked {
    Asked::default().with(parameter, value)
}

/// The fields at fault and the rules they break; nothing when all is well.
fn faults(rules: &Rules, asked: &Asked) -> Vec<(String, String)> {
    let violations = rules.resolve(asked, "", NOW).err().unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.rule)).collect()
}

fn fields(rules: &Rules, asked: &Asked) -> Vec<String> {
    faults(rules, asked).into_iter().map(|(field, _)| field).collect()
}

/// A value that each parameter takes.
fn sound(parameter: Parameter) -> Value {
    match parameter.kind() {
        Kind::Text => "some text".into(),
        Kind::Verification => "phoneNumber".into(),
        Kind::Email => "kim@example.com".into(),
        Kind::Language => "ko".into(),
        Kind::Words => list(&["fullName", "birth_date"]).into(),
        Kind::OffSwitch | Kind::Switch => false.into(),
        Kind::Country => "KOR".into(),
        Kind::Countries => list(&["KOR", "XKX"]).into(),
        Kind::IdType => "passport".into(),
        Kind::IdTypes => list(&["passport", "voter_card"]).into(),
        Kind::Submission => "sub-1".into(),
        Kind::Action => "addveri".into(),
        Kind::Texts => BTreeMap::from([("fullName".to_owned(), "Kim".to_owned())]).into(),
        Kind::Time => NOW.plus(std::time::Duration::from_secs(1)).into(),
    }
}

/// The same with what it needs beside it.
fn with_company(parameter: Parameter) -> Asked {
    let mut asked = ask(parameter, sound(parameter));
    for (one, company) in [
        (Parameter::SelectedIdType, Parameter::SelectedIssuingCountry),
        (Parameter::Action, Parameter::Sid),
        (Parameter::Sid, Parameter::Action),
    ] {
        if parameter == one {
            asked.set(company, sound(company));
        }
    }
    asked
}

/// Contract 4, the whole table: each parameter in each mode and pipeline.
#[test]
fn every_parameter_is_taken_where_argos_reads_it_and_refused_elsewhere() {
    for parameter in Parameter::ALL {
        for mode in [Mode::Plain, Mode::Mixed, Mode::Sealed] {
            for pipeline in [Pipeline::IdDocument, Pipeline::Knowledge] {
                let rules = Rules { mode, pipeline, ..rules() };
                let possible = (mode != Mode::Plain || parameter.secrecy() != Secrecy::Sealed)
                    && parameter.pipeline().is_none_or(|only| only == pipeline);
                let found = fields(&rules, &with_company(*parameter));
                let about = format!("{parameter:?} {mode:?} {pipeline:?}");
                assert_eq!(found.is_empty(), possible, "{about}: {found:?}");
                assert!(found.iter().all(|field| field.ends_with(parameter.field())
                    || field == Parameter::SelectedIssuingCountry.field()));
            }
        }
    }
}

#[test]
fn only_false_has_an_effect_on_what_is_only_turned_off() {
    for parameter in Parameter::ALL.iter().filter(|it| it.kind() == Kind::OffSwitch) {
        assert_eq!(fields(&rules(), &ask(*parameter, true)), [parameter.field()]);
    }
    assert!(fields(&rules(), &ask(Parameter::RejectDuplicateUser, true)).is_empty());
}

#[test]
fn countries_are_codes_of_iso_3166_or_of_the_configuration_and_none_is_named_twice() {
    let asked = ask(Parameter::AllowedCountries, list(&["KOR", "kor", "KR", "", "KOR", "SUN"]));
    let found = faults(&rules(), &asked);
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    let at = [1, 2, 3, 4, 5].map(|place| format!("allowed_countries[{place}]"));
    assert_eq!(fields, at);
    assert_eq!(found[0].1, "must be in upper case: KOR");
    assert_eq!(found[3].1, "repeats allowed_countries[0]");
    assert!(found[4].1.contains("extra_countries"));
}

#[test]
fn documents_are_those_that_argos_names_or_the_configuration() {
    let asked = ask(Parameter::AllowedIdTypes, list(&["voter_card", "Passport"]));
    assert_eq!(fields(&rules(), &asked), ["allowed_id_types[1]"]);
}

#[test]
fn what_excludes_each_other_or_needs_each_other_is_told_with_its_partner() {
    let asked = ask(Parameter::SelectedIdType, "passport")
        .with(Parameter::AuxidField, "phoneNumber")
        .with(Parameter::Sid, "sub-1");
    let found = faults(&rules(), &asked);
    assert_eq!(
        found,
        [
            ("selected_id_type", "needs selected_issuing_country beside it"),
            ("sid", "needs action beside it"),
            ("auxid_field", "cannot be combined with selected_id_type"),
        ]
        .map(|(field, rule)| (field.to_owned(), rule.to_owned()))
    );
    let asked =
        ask(Parameter::AuxidField, "phoneNumber").with(Parameter::SelectedIssuingCountry, "KOR");
    assert_eq!(fields(&rules(), &asked), ["auxid_field"]);
    let asked = ask(Parameter::Action, "addveri");
    assert_eq!(fields(&rules(), &asked), ["action"]);
}

#[test]
fn what_is_selected_must_be_allowed() {
    let asked = ask(Parameter::SelectedIssuingCountry, "KOR")
        .with(Parameter::SelectedIdType, "visa")
        .with(Parameter::AllowedCountries, list(&["USA"]))
        .with(Parameter::AllowedIdTypes, list(&["passport"]));
    assert_eq!(fields(&rules(), &asked), ["selected_issuing_country", "selected_id_type"]);
}

#[test]
fn a_last_start_lies_in_the_future_and_is_said_once() {
    assert_eq!(fields(&rules(), &ask(Parameter::StartValidUntil, NOW)), ["start_valid_until"]);
    // Links carry whole seconds, and this one has begun.
    let soon = NOW.plus(std::time::Duration::from_millis(999));
    assert_eq!(fields(&rules(), &ask(Parameter::StartValidUntil, soon)), ["start_valid_until"]);
    let mut asked = ask(Parameter::StartValidUntil, sound(Parameter::StartValidUntil));
    asked.until_deadline = true;
    assert_eq!(fields(&rules(), &asked), ["start_valid_until_deadline"]);
    let plain = Rules { mode: Mode::Plain, ..rules() };
    let asked = Asked { until_deadline: true, ..Asked::default() };
    assert_eq!(fields(&plain, &asked), ["start_valid_until"]);
}

#[test]
fn a_parameter_that_is_not_known_is_passed_on_and_one_that_is_has_a_field() {
    let mut asked = Asked::default();
    for name in ["newOption", "new_option2"] {
        asked.unchecked.insert(name.to_owned(), "a&b=c".to_owned());
    }
    assert!(fields(&rules(), &asked).is_empty());
    let said = rules().resolve(&asked, "", NOW).unwrap();
    assert_eq!(&*said.to_text(), r#"{"newOption":"a&b=c","new_option2":"a&b=c"}"#);
    for (name, field) in [
        ("allowedCountries", "unchecked[allowedCountries]"),
        ("allowed_countries", "unchecked[allowed_countries]"),
        ("ALLOWEDCOUNTRIES", "unchecked[ALLOWEDCOUNTRIES]"),
        ("token", "unchecked[token]"),
        ("PID", "unchecked[PID]"),
        ("encrypted", "unchecked[encrypted]"),
        ("a b", "unchecked[…]"),
        ("", "unchecked[…]"),
        ("1st", "unchecked[…]"),
    ] {
        let asked = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
        let asked = Asked { unchecked: asked, ..Asked::default() };
        assert_eq!(fields(&rules(), &asked), [field]);
    }
    let so_many = |count: u32| {
        let unchecked = (0..count).map(|number| (format!("n{number}"), "x".to_owned())).collect();
        fields(&rules(), &Asked { unchecked, ..Asked::default() })
    };
    assert_eq!(so_many(16), [""; 0]);
    assert_eq!(so_many(17), ["unchecked"]);
}

#[test]
fn a_parameter_that_is_not_known_stands_once_in_a_link_whoever_says_it() {
    let says = |text: &str| {
        let unchecked = BTreeMap::from([("newOption".to_owned(), text.to_owned())]);
        Asked { unchecked, ..Asked::default() }
    };
    let rules = Rules { defaults: says("defaults"), ..rules() };
    let said = rules.resolve(&says("caller"), "", NOW).unwrap();
    let names: Vec<_> = said.entries().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["newOption"]);
    assert_eq!(&*said.to_text(), r#"{"newOption":"caller"}"#);
}

#[test]
fn text_of_any_script_is_taken_and_control_characters_and_excess_are_not() {
    for text in ["김", "😀", "&=#%+", "\"\\'<>", "a b", "\u{2028}", "ي"] {
        assert!(fields(&rules(), &ask(Parameter::Cf1, text)).is_empty(), "{text}");
    }
    for text in ["\0", "a\nb", "\u{7f}", "\u{85}"] {
        let found = faults(&rules(), &ask(Parameter::Cf1, text));
        assert_eq!(found[0].1, "must not contain control characters");
    }
    assert!(fields(&rules(), &ask(Parameter::Cf1, "x".repeat(256))).is_empty());
    let long = "x".repeat(10_000);
    let found = faults(&rules(), &ask(Parameter::Cf1, long.as_str()));
    assert_eq!(found[0].1, "must have at most 256 bytes, and has 10000");
}

#[test]
fn everything_at_fault_is_named_at_once() {
    let asked = ask(Parameter::Email, "nobody")
        .with(Parameter::Cf1, "a\nb")
        .with(Parameter::Lang, "klingon!")
        .with(Parameter::AgeLimit, true)
        .with(Parameter::AllowedCountries, list(&["??"]))
        .with(Parameter::KnowledgeField, "skip");
    let expected = ["email", "cf1", "lang", "age_limit", "allowed_countries[0]", "knowledge_field"];
    assert_eq!(fields(&rules(), &asked), expected);
}

/// P1.
#[test]
fn no_value_is_repeated() {
    let mut asked = ask(Parameter::Email, "secret")
        .with(Parameter::AllowedCountries, list(&["secret"]))
        .with(Parameter::SelectedIdType, "secret")
        .with(Parameter::AuxidField, "secret 2")
        .with(Parameter::Action, "secret");
    asked.unchecked.insert("two words: secret".to_owned(), "secret".to_owned());
    let found = format!("{:?}", faults(&rules(), &asked));
    assert!(!found.contains("secret"), "{found}");
}

#[test]
fn a_caller_s_word_counts_before_a_template_s_and_that_before_the_defaults() {
    let templates = BTreeMap::from([(
        "kr_passport".to_owned(),
        ask(Parameter::AllowedCountries, list(&["KOR"])).with(Parameter::Cf2, "template"),
    )]);
    let defaults = ask(Parameter::AllowedCountries, list(&["USA"]))
        .with(Parameter::Cf2, "defaults")
        .with(Parameter::Cf3, "defaults");
    let rules = Rules { defaults, templates, ..rules() };
    let said =
        |asked: &Asked, template: &str| rules.resolve(asked, template, NOW).unwrap().to_text();
    assert_eq!(
        &*said(&Asked::default(), ""),
        r#"{"allowedCountries":"USA","cf2":"defaults","cf3":"defaults"}"#
    );
    assert_eq!(
        &*said(&ask(Parameter::Cf3, "caller"), "kr_passport"),
        r#"{"allowedCountries":"KOR","cf2":"template","cf3":"caller"}"#
    );
    let unknown = rules.resolve(&Asked::default(), "kr_visa", NOW).unwrap_err();
    assert_eq!(unknown[0].field, "template");
    assert_eq!(unknown[0].rule, "must be one of kr_passport");
}

#[test]
fn a_conflict_with_what_the_configuration_says_names_where_it_says_so() {
    let defaults = ask(Parameter::SelectedIssuingCountry, "KOR");
    let rules = Rules { defaults, ..rules() };
    let found = faults(&rules, &ask(Parameter::AuxidField, "phoneNumber"));
    let rule = "cannot be combined with selected_issuing_country (defaults of the project)";
    assert_eq!(found, [("auxid_field".to_owned(), rule.to_owned())]);
}

#[test]
fn what_is_wrong_with_defaults_and_templates_is_known_before_anybody_asks() {
    let broken = ask(Parameter::AllowedCountries, list(&["kor"]));
    let in_defaults = Rules { defaults: broken.clone(), ..rules() };
    assert_eq!(in_defaults.check_presets()[0].field, "defaults.allowed_countries[0]");
    let templates = BTreeMap::from([("kr".to_owned(), broken)]);
    let in_template = Rules { templates, ..rules() };
    assert_eq!(in_template.check_presets()[0].field, "templates.kr.allowed_countries[0]");
    assert!(rules().check_presets().is_empty());
}

#[test]
fn a_value_of_another_type_is_told_what_is_expected() {
    for (parameter, expected) in [
        (Parameter::Email, "must be text"),
        (Parameter::AllowedCountries, "must be a list of text"),
        (Parameter::KnowledgePrefill, "must be names with text"),
        (Parameter::StartValidUntil, "must be a time"),
    ] {
        let said = faults(&rules(), &ask(parameter, true));
        assert!(said.iter().any(|(_, rule)| rule == expected), "{parameter:?}: {said:?}");
    }
    assert_eq!(faults(&rules(), &ask(Parameter::AgeLimit, "no"))[0].1, "must be true or false");
}

#[test]
fn an_address_has_a_name_and_a_host_and_no_gap() {
    for good in ["kim@example.com", "a@b@c"] {
        assert!(fields(&rules(), &ask(Parameter::Email, good)).is_empty(), "{good}");
    }
    for bad in ["kim", "@example.com", "kim@", "@", "kim lee@example.com"] {
        assert_eq!(fields(&rules(), &ask(Parameter::Email, bad)), ["email"], "{bad}");
    }
}

#[test]
fn a_language_is_a_code_and_may_name_a_region_and_a_script() {
    for good in ["ko", "pt-BR", "zho", "zh_Hant", "sr-Latn-RS"] {
        assert!(fields(&rules(), &ask(Parameter::Lang, good)).is_empty(), "{good}");
    }
    for bad in ["k", "korean", "12", "ko-", "ko-x", "ko-abcdefghi", "ko-\u{fc}\u{fc}"] {
        assert_eq!(fields(&rules(), &ask(Parameter::Lang, bad)), ["lang"], "{bad}");
    }
}

#[test]
fn what_has_one_value_or_one_shape_takes_no_other() {
    let injection = |sid: &str, action: &str| {
        fields(&rules(), &ask(Parameter::Sid, sid).with(Parameter::Action, action))
    };
    assert_eq!(injection("sub-1", "addveri"), [""; 0]);
    assert_eq!(injection("sub 1", "addveri"), ["sid"]);
    assert_eq!(injection("sub-1", "delete"), ["action"]);
    assert_eq!(fields(&rules(), &ask(Parameter::AuxidField, "email")), ["auxid_field"]);
}
