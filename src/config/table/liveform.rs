//! Keys of the links that callers get, and of what ARGOS and we send each other sealed.

use crate::{
    config::{
        keys::{Key, Table, own, shared},
        kind::Kind,
    },
    domain::limits::URL_BYTES_CEILING,
};

/// Parameters of every link.
pub(in crate::config) const DEFAULTS: &str = "projects.*.liveform.defaults";
/// Parameters of the links of leases that name a template.
pub(in crate::config) const TEMPLATES: &str = "projects.*.liveform.templates.*";

pub(super) const TABLES: &[Table] = &[
    Table {
        path: "projects.*.liveform",
        about: "The URLs that callers get.",
        keys: &[
            shared(
                "base_url",
                Kind::Url,
                "https://form.argosidentity.com",
                "http:// only to loopback",
            ),
            shared(
                "mode",
                Kind::Choice(&["plain", "mixed", "sealed"]),
                "mixed",
                "plain seals nothing, mixed what ARGOS takes sealed only, sealed all but pid and lang",
            ),
            shared(
                "cipher",
                Kind::Choice(&["ecb", "gcm"]),
                "ecb",
                "the Liveform module chosen in ARGOS's dashboard: AES-256 (ECB) or GCM-256",
            ),
            shared(
                "gcm_layout",
                Kind::Choice(&[
                    "nonce_ciphertext_tag",
                    "nonce_tag_ciphertext",
                    "ciphertext_tag_nonce",
                ]),
                "nonce_ciphertext_tag",
                "order of the parts of a text sealed with gcm; hold it against a sample of the dashboard",
            ),
            shared("gcm_nonce", Kind::CountOf(&[12, 16]), "12", "bytes of the nonce"),
            shared(
                "gcm_encoding",
                Kind::Choice(&["base64", "hex"]),
                "base64",
                "how a text sealed with gcm is written",
            ),
            shared(
                "pipeline",
                Kind::Choice(&["id_document", "knowledge"]),
                "id_document",
                "what the project verifies with; some parameters exist in one of the two only",
            ),
            own("secret_key", Kind::Secret, "", "Liveform secret key of the project"),
            own(
                "secret_key_file",
                Kind::SecretFile,
                "",
                "file with the secret key that ARGOS's dashboard issued; \"\" seals with the API key",
            ),
            own(
                "previous_key_files",
                Kind::SecretFiles,
                "",
                "files with keys of before, which only open what was sealed with them",
            ),
            shared(
                "url_max_bytes",
                Kind::Count(256, URL_BYTES_CEILING as u64),
                "2_048",
                "a longer URL is refused: its QR code would not be read",
            ),
            shared(
                "correlation_field",
                Kind::Choice(&["userid", "cf1", "cf2", "cf3", ""]),
                "userid",
                "carries a mark of ours where the caller leaves it empty, so that results find their lease; \"\" is none",
            ),
            shared(
                "start_valid_until",
                Kind::Flag,
                "false",
                "seal the deadline of the lease into its link, so that ARGOS admits nobody after it",
            ),
            shared(
                "extra_countries",
                Kind::Countries,
                "",
                "countries that are accepted beside the ones of ISO 3166",
            ),
            shared(
                "extra_id_types",
                Kind::IdTypes,
                "",
                "document types that are accepted beside the ones that are documented",
            ),
        ],
    },
    Table {
        path: DEFAULTS,
        about: "Parameters of every link whose template and caller say nothing else; \"\" and [] are not set.",
        keys: PARAMETERS,
    },
    Table {
        path: TEMPLATES,
        about: "The same for leases that name the template.",
        keys: PARAMETERS,
    },
    Table {
        path: "projects.*.transfer",
        about: "Secure Data Transfer. Sealed answers and webhooks are opened whether or not it is on here.",
        keys: &[
            shared(
                "seal_requests",
                Kind::Flag,
                "false",
                "true where ARGOS's dashboard has Secure Data Transfer on",
            ),
            shared(
                "request_shape",
                Kind::Choice(&["raw", "data"]),
                "raw",
                "raw: the sealed text is the body; data: it stands in {\"data\": …}",
            ),
        ],
    },
];

const PARAMETERS: &[Key] = &[
    shared("lang", Kind::Text, "", "language of the form, e.g. ko; \"\" is the one of the device"),
    shared("cf1", Kind::Text, "", "custom field, comes back in results"),
    shared("cf2", Kind::Text, "", "custom field, comes back in results"),
    shared("cf3", Kind::Text, "", "custom field, comes back in results"),
    shared("blacklist_countries", Kind::FlagOrNone, "", "false switches the policy off"),
    shared("approve_period", Kind::FlagOrNone, "", "false switches the policy off"),
    shared("reject_period", Kind::FlagOrNone, "", "false switches the policy off"),
    shared("age_limit", Kind::FlagOrNone, "", "false switches the policy off"),
    shared("reject_duplicate_user", Kind::FlagOrNone, "", "whether a person may pass only once"),
    shared("allowed_countries", Kind::Names, "", "issuing countries to choose from, e.g. KOR"),
    shared("allowed_id_types", Kind::Names, "", "document types to choose from, e.g. passport"),
    shared("selected_issuing_country", Kind::Text, "", "the issuing country, not asked for then"),
    shared(
        "selected_id_type",
        Kind::Text,
        "",
        "the document type, not asked for then; only with selected_issuing_country",
    ),
    shared("auxid_field", Kind::Text, "", "further identification, e.g. phoneNumber"),
    shared("projection_id", Kind::Text, "", "projection that drops fields from results, by its id"),
    shared("projection_name", Kind::Text, "", "the same by its name"),
    shared("knowledge_field", Kind::Text, "", "knowledge pipeline only, e.g. skip"),
    shared("allowed_document_fields", Kind::Names, "", "names of fields, passed on as they are"),
    shared("main_color", Kind::Text, "", "a colour of the form"),
    shared("inner_color", Kind::Text, "", "another colour of the form"),
];
