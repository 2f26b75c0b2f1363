use super::*;

fn settings(body: &str) -> Option<ManagementSettings> {
    Reply::parse(body.as_bytes()).unwrap().settings()
}

fn all() -> ManagementSettings {
    ManagementSettings {
        status: Some("open".to_owned()),
        stopped: Some(false),
        addresses: Some(vec!["203.0.113.7".to_owned(), "198.51.100.0/24".to_owned()]),
        webhook_url: Some(Secret::new("https://pool.example/webhooks/argos/not-to-be-told".into())),
    }
}

const MANAGEMENT: &str = r#"{"projectStatus":"open","activateBlocking":{"activate":false},
    "ipWhitelist":{"api":["203.0.113.7","198.51.100.0/24"],"dashboard":[]},
    "webhook":{"url":"https://pool.example/webhooks/argos/not-to-be-told"},
    "formReturnUrl":{"url":"https://example.com"}}"#;

#[test]
fn settings_are_found_below_the_item_and_at_the_top() {
    for body in [
        format!(r#"{{"traceId":"1","item":{{"management":{MANAGEMENT}}}}}"#),
        format!(r#"{{"management":{MANAGEMENT}}}"#),
    ] {
        assert_eq!(settings(&body), Some(all()), "{body}");
    }
}

#[test]
fn what_is_missing_or_strange_is_not_known_and_spoils_nothing_else() {
    let nothing = Some(ManagementSettings::default());
    for management in [
        "{}",
        r#"{"projectStatus":null,"activateBlocking":null,"ipWhitelist":[],"webhook":"?"}"#,
        r#"{"projectStatus":7,"activateBlocking":{"activate":"perhaps"},"webhook":{"url":""}}"#,
        r#"{"activateBlocking":true,"ipWhitelist":{"api":"203.0.113.7"},"webhook":{"url":[]}}"#,
        r#"{"activateBlocking":{"activate":2},"ipWhitelist":{"api":null}}"#,
    ] {
        assert_eq!(settings(&format!(r#"{{"management":{management}}}"#)), nothing, "{management}");
    }
    let body = MANAGEMENT.replace(r#"{"activate":false}"#, "17");
    let found = settings(&format!(r#"{{"management":{body}}}"#));
    assert_eq!(found, Some(ManagementSettings { stopped: None, ..all() }));
}

#[test]
fn an_answer_without_settings_has_none() {
    for body in ["{}", r#"{"item":{}}"#, r#"{"item":{"management":[]}}"#, r#"{"management":"on"}"#]
    {
        assert_eq!(settings(body), None, "{body}");
    }
}

#[test]
fn the_emergency_stop_is_read_from_every_way_to_say_yes_and_no() {
    for (value, stopped) in [
        ("true", true),
        (r#""True""#, true),
        ("1", true),
        ("false", false),
        (r#""false""#, false),
        ("0", false),
        (r#""0""#, false),
    ] {
        let body = format!(r#"{{"management":{{"activateBlocking":{{"activate":{value}}}}}}}"#);
        assert_eq!(settings(&body).unwrap().stopped, Some(stopped), "{value}");
    }
}

#[test]
fn a_list_of_addresses_is_known_whole_or_not_at_all() {
    for (api, addresses) in [
        ("[]", Some(vec![])),
        (r#"["203.0.113.7"]"#, Some(vec!["203.0.113.7"])),
        (
            r#"[{"ip":"203.0.113.7","note":"office"},{"cidr":"198.51.100.0/24"}]"#,
            Some(vec!["203.0.113.7", "198.51.100.0/24"]),
        ),
        (r#"["203.0.113.7",7]"#, None),
        (r#"["203.0.113.7",{"from":"198.51.100.1","to":"198.51.100.9"}]"#, None),
    ] {
        let body = format!(r#"{{"management":{{"ipWhitelist":{{"api":{api}}}}}}}"#);
        let expected = addresses.map(|texts| texts.into_iter().map(str::to_owned).collect());
        assert_eq!(settings(&body).unwrap().addresses, expected, "{api}");
    }
}

/// P1: the address of the receiver ends with its secret.
#[test]
fn settings_print_no_address_of_webhooks() {
    let printed = format!("{:?}", all());
    assert!(printed.contains("203.0.113.7") && !printed.contains("not-to-be-told"), "{printed}");
}
