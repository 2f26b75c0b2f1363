//! The references below `deploy/docs` say what the code says: they are made of it, and held against what is kept.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use argospool::{api::proto::DESCRIPTORS, config};
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// Writes the documents anew instead of holding them against those that are kept.
const WRITE: &str = "ARGOSPOOL_WRITE_GOLDEN";
const CONFIGURATION: &str = "\
# Configuration

Every key, as `argospool config reference` prints it; `argospool config example` prints a file with all of them. `NAME` stands for a name of
yours: of a project, a caller, a template. Keys of a project may stand below `[defaults]` for all projects. Files come before the environment
(`ARGOSPOOL_GRPC__LISTEN`), the environment before flags.

";
const API: &str = "\
# API

Made of the comments in `proto/`. Reflection serves the same, and `grpc.health.v1` says whether the process serves (\"\"), whether every project
can lease (`argospool.v1.TokenPoolService`), and whether every project can be looked at (`argospool.v1.AdminService`). Which reasons an error can
have stands in the README.
";

fn holds(name: &str, fresh: &str) {
    let path = format!("{}/deploy/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, fresh).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "{name} is old: run this test with {WRITE}=1 to write it anew");
}

#[test]
fn the_reference_of_the_configuration_is_the_one_that_is_printed() {
    holds("configuration.md", &format!("{CONFIGURATION}{}", config::reference()));
}

#[test]
fn the_reference_of_the_api_says_what_the_proto_says() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut text = API.to_owned();
    let ours: Vec<_> = set.file.iter().filter(|file| file.package() == "argospool.v1").collect();
    for file in &ours {
        let comments = Comments::of(file);
        for (at, service) in file.service.iter().enumerate() {
            let path = [SERVICE, at as i32];
            let _ = write!(text, "\n## {}\n\n{}\n", service.name(), comments.paragraph(&path));
            text.push_str("| method | takes | gives | what it does |\n| --- | --- | --- | --- |\n");
            for (number, method) in service.method.iter().enumerate() {
                let about = comments.line(&[SERVICE, at as i32, METHOD, number as i32]);
                let gives = short(method.output_type());
                let gives = match method.server_streaming() {
                    true => format!("a stream of {}", link(gives)),
                    false => link(gives),
                };
                let takes = link(short(method.input_type()));
                let _ = writeln!(text, "| `{}` | {takes} | {gives} | {about} |", method.name());
            }
        }
    }
    text.push_str("\n## Messages\n");
    for file in &ours {
        let comments = Comments::of(file);
        for (at, message) in file.message_type.iter().enumerate() {
            text.push_str(&described(message, &[MESSAGE, at as i32], &comments));
        }
        for (at, one) in file.enum_type.iter().enumerate() {
            text.push_str(&listed(one, &[ENUM, at as i32], &comments));
        }
    }
    assert!(text.contains("CreateLease"), "{text}");
    holds("api.md", &text);
}

// Numbers of fields in FileDescriptorProto and in what it holds, of which paths of comments are made.
const MESSAGE: i32 = 4;
const ENUM: i32 = 5;
const SERVICE: i32 = 6;
const METHOD: i32 = 2;
const FIELD: i32 = 2;
const VALUE: i32 = 2;

struct Comments(BTreeMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let text = |comment: &str| {
            comment.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
        };
        let told = locations.filter(|location| !location.leading_comments().is_empty());
        Self(told.map(|at| (at.path.clone(), text(at.leading_comments()))).collect())
    }

    fn line(&self, path: &[i32]) -> &str {
        self.0.get(path).map(String::as_str).unwrap_or_default()
    }

    fn paragraph(&self, path: &[i32]) -> String {
        match self.line(path) {
            "" => String::new(),
            line => format!("{line}\n"),
        }
    }
}

fn described(message: &DescriptorProto, path: &[i32], comments: &Comments) -> String {
    let mut text = format!("\n### {}\n\n{}", message.name(), comments.paragraph(path));
    if message.field.is_empty() {
        text.push_str("No fields.\n");
        return text;
    }
    text.push_str("\n| field | type | meaning |\n| --- | --- | --- |\n");
    for (number, field) in message.field.iter().enumerate() {
        let about = comments.line(&[path, &[FIELD, number as i32]].concat());
        let _ = writeln!(text, "| `{}` | {} | {about} |", field.name(), kind(field, message));
    }
    text
}

fn listed(one: &EnumDescriptorProto, path: &[i32], comments: &Comments) -> String {
    let mut text = format!("\n### {}\n\n{}", one.name(), comments.paragraph(path));
    text.push_str("\n| value | meaning |\n| --- | --- |\n");
    for (number, value) in one.value.iter().enumerate() {
        let about = comments.line(&[path, &[VALUE, number as i32]].concat());
        let _ = writeln!(text, "| `{}` | {about} |", value.name());
    }
    text
}

fn kind(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let one = |field: &FieldDescriptorProto| {
        if matches!(field.r#type(), Type::Message | Type::Enum) {
            return link(short(field.type_name()));
        }
        field.r#type().as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase()
    };
    let entry = message.nested_type.iter().find(|nested| {
        nested.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry)
            && field.type_name().ends_with(&format!(".{}", nested.name()))
    });
    if let Some(entry) = entry {
        return format!("map of {} to {}", one(&entry.field[0]), one(&entry.field[1]));
    }
    match (field.label(), field.oneof_index) {
        (Label::Repeated, _) => format!("repeated {}", one(field)),
        (_, Some(_)) => format!("one of or none: {}", one(field)),
        (_, None) => one(field),
    }
}

/// Without the package, unless it is another one.
fn short(name: &str) -> &str {
    let name = name.trim_start_matches('.');
    name.strip_prefix("argospool.v1.").unwrap_or(name)
}

fn link(name: &str) -> String {
    match name.contains('.') {
        true => format!("`{name}`"),
        false => format!("[{name}](#{})", name.to_ascii_lowercase()),
    }
}

/// What an explanation tells somebody to look at must be there.
#[test]
fn every_key_that_an_explanation_names_exists() {
    use argospool::{domain::fault::Reason, engine::meaning};

    let reference = config::reference();
    let is_key = |word: &str| {
        let sections = ["refill.", "lease.", "argos.", "ledger.", "tokens."];
        word.contains('_') && sections.iter().any(|section| word.starts_with(section))
    };
    let texts = Reason::ALL.iter().map(|reason| meaning(*reason));
    let words = texts.flat_map(|text| text.split([' ', ',', ';', ':', '`']));
    let keys: Vec<_> =
        words.map(|word| word.trim_end_matches('.')).filter(|word| is_key(word)).collect();
    assert!(!keys.is_empty());
    for key in keys {
        assert!(reference.contains(&format!(".{key}`")), "{key}");
    }
}
