//! The Liveform's pages: plain HTML with forms, no script and nothing from elsewhere.
//!
//! They show what a person would do at ARGOS (consent, photograph, selfie), and beside it, marked as
//! such, the buttons with which the simulator plays ARGOS's reviewers. All that came from outside is
//! escaped here, where it is put into a page.

use std::{borrow::Cow, collections::BTreeMap};

use super::{links::Said, refusal::Refusal, submissions::Status, world::Inside};

/// Path of a running submission; its id follows.
pub(super) const SESSION: &str = "/liveform/session/";

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#14213d;--soft:#5b6780;--line:#dfe4ee;--card:#fff;--back:#eef2f9;\
--deep:#2452d6;--good:#14804a;--bad:#b3261e;--wait:#8a5a00}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf6;--soft:#9aa6bf;--line:#2c3650;--card:#182036;\
--back:#0d1324;--deep:#7c9cff;--good:#5fd39a;--bad:#ff8a80;--wait:#f2c063}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;\
background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{width:100%;max-width:26rem;background:var(--card);border:1px solid var(--line);\
border-radius:1rem;padding:1.75rem;box-shadow:0 12px 40px #0b163014}\
h1{font-size:1.35rem;line-height:1.25;margin:.25rem 0 .5rem}p{margin:.5rem 0;color:var(--soft)}\
.brand{font-size:.8rem;letter-spacing:.08em;text-transform:uppercase;color:var(--soft)}\
ol{list-style:none;display:flex;gap:.5rem;padding:0;margin:1.25rem 0}\
li{flex:1;border-top:4px solid var(--line);padding-top:.4rem;font-size:.85rem;color:var(--soft)}\
li.done{border-color:var(--good)}li.here{border-color:var(--deep);color:var(--ink);font-weight:600}\
button{width:100%;font:inherit;font-weight:600;padding:.8rem;border-radius:.6rem;cursor:pointer;\
border:1px solid var(--line);background:transparent;margin-top:.6rem}\
button.main{background:var(--deep);border-color:var(--deep);color:var(--card)}\
fieldset{border:1px dashed var(--line);border-radius:.8rem;margin:1.25rem 0 0;padding:.25rem 1rem 1rem}\
legend{font-size:.8rem;color:var(--soft);padding:0 .4rem}\
.sign{width:3.5rem;height:3.5rem;margin:1.25rem 0 1rem;border-radius:50%;display:grid;\
place-items:center;font-size:1.6rem;font-weight:700;border:2px solid currentcolor}\
.good{color:var(--good)}.bad{color:var(--bad)}.wait{color:var(--wait)}.gone{color:var(--soft)}\
code{font-size:.85rem;overflow-wrap:anywhere}.face{width:7.5rem;height:9.5rem;margin:1rem auto;\
border:3px dashed var(--deep);border-radius:50%}.card{width:100%;max-width:15rem;aspect-ratio:8/5;\
margin:1rem auto;border:3px dashed var(--deep);border-radius:.6rem}\
details{margin-top:1.25rem;border-top:1px solid var(--line);padding-top:.75rem;font-size:.8rem;\
color:var(--soft)}summary{cursor:pointer}table{width:100%;border-collapse:collapse;margin-top:.4rem}\
th,td{text-align:left;font-weight:400;padding:.25rem .5rem .25rem 0;vertical-align:top;\
border-top:1px solid var(--line);overflow-wrap:anywhere}tr:first-child>*{border-top:0}\
td:last-child{padding-right:0;text-align:right;white-space:nowrap}td:nth-child(2){color:var(--ink)}\
table th{white-space:nowrap}.encrypted{color:var(--good)}";

const GOOD: (&str, &str) = ("good", "✓");
const BAD: (&str, &str) = ("bad", "✕");
const WAIT: (&str, &str) = ("wait", "…");
const GONE: (&str, &str) = ("gone", "–");

/// A button: the decision, its class and its label.
type Button = (&'static str, &'static str, &'static str);
const DELETE: Button = ("delete", "gone", "Administrator deletes it");

const STEPS: [&str; 3] = ["Consent", "Photograph", "Selfie"];

/// What a visitor sees who is let in, and what the link was understood to say; the form carries the
/// link along.
pub(super) fn welcome(link: &BTreeMap<String, String>, said: &Said) -> String {
    let hidden: String = link
        .iter()
        .map(|(name, value)| {
            let (name, value) = (escape(name), escape(value));
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
        })
        .collect();
    let greeting = match said.get("email").filter(|email| !email.is_empty()) {
        Some(email) => format!("<p>For <strong>{}</strong></p>", escape(email)),
        None => String::new(),
    };
    frame(
        "Verify your identity",
        "welcome",
        &format!(
            "<h1>Verify your identity</h1>{greeting}{}\
        <p>You agree that your document and your face are looked at, then photograph the front of \
        your identity document. It takes about two minutes.</p>\
        <div class=\"card\" aria-hidden=\"true\"></div>\
        <form method=\"post\" action=\"/liveform/start\">{hidden}\
        <button class=\"main\">I agree, take the photograph</button></form>{}",
            steps(1),
            understood(said),
        ),
    )
}

/// Every parameter in force, and where it stood.
fn understood(said: &Said) -> String {
    let rows: String = said
        .shown()
        .iter()
        .map(|(name, parameter)| {
            let (value, sealed) = (escape(&parameter.value), parameter.sealed);
            let place = if sealed { "encrypted" } else { "plain" };
            format!(
                "<tr data-parameter=\"{name}\" data-sealed=\"{sealed}\"><th scope=\"row\">{name}</th>\
                <td>{value}</td><td class=\"{place}\">{place}</td></tr>"
            )
        })
        .collect();
    format!("<details open><summary>This link says</summary><table>{rows}</table></details>")
}

/// A submission under way, or what became of it.
pub(super) fn session(inside: &Inside) -> String {
    if inside.deleted {
        return deleted(inside);
    }
    let id = escape(&inside.submission_id);
    let (title, text, here, mark) = match inside.status {
        Status::Incomplete => ("Take a selfie", "Hold your face inside the oval.", 3, None),
        Status::Pending => {
            ("Under review", "A person looks at it. You may close this page.", 4, Some(WAIT))
        }
        Status::Approved => {
            ("You are verified", "Thank you. You may close this page.", 4, Some(GOOD))
        }
        Status::Rejected => ("Not verified", "Ask for a new link to try again.", 4, Some(BAD)),
    };
    let mark = mark.map(sign).unwrap_or_default();
    let reason = match inside.reason {
        Some(reason) if inside.status == Status::Rejected => format!("<p>{reason}</p>"),
        Some(_) | None => String::new(),
    };
    let mut body = format!("{mark}<h1>{title}</h1>{}{reason}<p>{text}</p>", steps(here));
    if inside.status == Status::Incomplete {
        body.push_str("<div class=\"face\" aria-hidden=\"true\"></div>");
        if inside.attempts > 0 {
            body.push_str(&format!("<p>Failed attempts: {} of 3.</p>", inside.attempts));
        }
    }
    let buttons: &[Button] = match inside.status {
        Status::Incomplete => &[
            ("approved", "good", "Selfie is good: approve"),
            ("pending", "wait", "Unclear: a person decides"),
            ("retry", "wait", "Blurred: one more attempt"),
            ("rejected", "bad", "Not the same person: reject"),
        ],
        Status::Pending => &[
            ("approved", "good", "Reviewer approves"),
            ("rejected", "bad", "Reviewer rejects"),
            DELETE,
        ],
        Status::Approved => &[("rejected", "bad", "Administrator rejects it"), DELETE],
        Status::Rejected => &[("approved", "good", "Administrator approves it"), DELETE],
    };
    body.push_str(
        "<form method=\"post\" action=\"/liveform/decide\"><fieldset>\
        <legend>The simulator plays ARGOS</legend>",
    );
    body.push_str(&format!("<input type=\"hidden\" name=\"submission_id\" value=\"{id}\">"));
    for (decision, class, label) in buttons {
        body.push_str(&format!(
            "<button class=\"{class}\" name=\"decision\" value=\"{decision}\">{label}</button>"
        ));
    }
    body.push_str("</fieldset></form>");
    body.push_str(&reference(inside));
    frame(title, inside.status.as_str(), &body)
}

/// What is left of a submission that an administrator deleted.
fn deleted(inside: &Inside) -> String {
    let title = "Deleted submission";
    let body = format!(
        "{}<h1>{title}</h1><p>An administrator deleted it. What was photographed is gone, and a new \
        try needs a new link.</p>{}",
        sign(GONE),
        reference(inside),
    );
    frame(title, "deleted", &body)
}

fn reference(inside: &Inside) -> String {
    let (id, pid) = (escape(&inside.submission_id), escape(&inside.pid));
    format!("<p><code>{id}</code> of <code>{pid}</code></p>")
}

/// The round sign over an ending: its class and its symbol.
fn sign((class, symbol): (&str, &str)) -> String {
    format!("<div class=\"sign {class}\" aria-hidden=\"true\">{symbol}</div>")
}

/// ARGOS's kind of error page, with its own title, cause and code.
pub(super) fn refusal(refusal: Refusal) -> String {
    let (title, cause) = (refusal.title(), refusal.cause());
    let mark = match refusal {
        Refusal::TokenApproved => GOOD,
        Refusal::TokenPending => WAIT,
        Refusal::TokenRejected => BAD,
        Refusal::ProjectUnknown
        | Refusal::ParametersUnreadable
        | Refusal::ParameterInTheOpen
        | Refusal::ParameterSealed
        | Refusal::ParameterTwice
        | Refusal::ParametersConflict
        | Refusal::ParameterOfOtherPipeline
        | Refusal::ParameterValue
        | Refusal::StartTooLate
        | Refusal::TokenMissing
        | Refusal::TokenUnknown
        | Refusal::TokenExpired
        | Refusal::SessionUnknown => GONE,
    };
    frame(
        title,
        "error",
        &format!(
            "<div data-cause=\"{cause}\">{}<h1>{title}</h1><p>{}</p>\
        <p><code>{}</code> · {cause}</p></div>",
            sign(mark),
            refusal.advice(),
            refusal.code(),
        ),
    )
}

fn frame(title: &str, state: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
        <meta name=\"referrer\" content=\"no-referrer\"><title>{title} – ARGOS simulator</title>\
        <style>{STYLE}</style></head><body><main data-state=\"{state}\">\
        <div class=\"brand\">ID check · simulator</div>{body}</main></body></html>"
    )
}

/// The three steps; those before `here`, counted from 1, are done.
fn steps(here: usize) -> String {
    let items: String = STEPS
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let class = match (place + 1).cmp(&here) {
                std::cmp::Ordering::Less => "done",
                std::cmp::Ordering::Equal => "here",
                std::cmp::Ordering::Greater => "",
            };
            format!("<li class=\"{class}\">{name}</li>")
        })
        .collect();
    format!("<ol>{items}</ol>")
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{links, rules::Rules, sealed::Cipher};

    fn link<const N: usize>(parameters: [(&str, &str); N]) -> BTreeMap<String, String> {
        parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn page(link: &BTreeMap<String, String>) -> String {
        let rules = Rules::new(1);
        welcome(link, &links::read(link, &rules, "key").unwrap())
    }

    #[test]
    fn nothing_from_a_link_reaches_the_page_as_markup() {
        let evil = "\"><script>alert('x')</script>&";
        let html = page(&link([("email", evil), ("cf1", evil), (evil, evil)]));
        assert!(!html.contains("<script"), "{html}");
        let harmless = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;";
        assert!(html.matches(harmless).count() >= 6, "form, greeting and table: {html}");
    }

    #[test]
    fn the_page_says_what_the_link_was_understood_to_say_and_where_it_stood() {
        let inside = "{\"allowedCountries\":\"USA,KOR\",\"rejectDuplicateUser\":true}";
        let sealed = Cipher::Ecb.seal(inside.as_bytes(), "key");
        let html = page(&link([
            ("pid", "pid_demo"),
            ("token", "kyc-000000000001a"),
            ("email", "x@example.com"),
            ("ageLimit", "30"),
            ("encrypted", &sealed),
        ]));
        let rows: Vec<&str> = html.split("<tr ").skip(1).collect();
        let shown = |name: &str, sealed: bool, value: &str| {
            let begins = format!("data-parameter=\"{name}\" data-sealed=\"{sealed}\">");
            rows.iter()
                .any(|row| row.starts_with(&begins) && row.contains(&format!("<td>{value}</td>")))
        };
        assert!(shown("allowedCountries", true, "USA,KOR"), "{html}");
        assert!(shown("rejectDuplicateUser", true, "true"));
        assert!(shown("email", false, "x@example.com") && shown("pid", false, "pid_demo"));
        assert!(shown("token", false, "…001a"));
        assert_eq!(rows.len(), 5, "what has no effect is not shown");
        let table = &html[html.find("<details").unwrap()..];
        assert!(!table.contains("kyc-0000"), "the token is a secret");
    }
}
