//! `url`: the URL that a lease would get, what an envelope holds, and how a sample was sealed; all of
//! it from the configuration, without a daemon and without spending a token.
//!
//! What is printed may be personal, and a link that was opened may hold a token: it goes to whoever has
//! the keys of the project anyway. The keys themselves are never printed (P1).
//!
//! Lines on stdin are for tools: one line out for one line in, in their order. As text the first bad
//! line ends the command, because a line that is left out would shift all others; as JSON it is told in
//! its place, the rest goes on, and the exit code says in the end that something was wrong.

mod lines;
mod sample;

use std::io;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Environment, Failure,
    config::{self, LayerArgs},
    screen::{Output, Screen, without_controls},
    wish::{self, WishArgs},
};
use crate::app::{
    World,
    preview::{Key, Opened, Preview, PreviewLink, Unprepared, Violation},
};

pub(super) const AFTER_HELP: &str = "\
With `--params -` every line of stdin is a JSON object and every line of stdout its URL, or with
`--output json` an object with its URL or with everything that is wrong with it.";

#[derive(Args)]
pub(super) struct UrlArgs {
    #[command(flatten)]
    wish: WishArgs,
    #[command(flatten)]
    layers: LayerArgs,
    /// Print what is inside of an envelope: the text of `encrypted`, a whole URL, or - for one of them
    /// per line of stdin
    #[arg(long, value_name = "ENCRYPTED", conflicts_with = "WishArgs")]
    open: Option<String>,
    /// Tell how a text was sealed that ARGOS's dashboard made with the key of the project, and what
    /// the configuration must say to seal alike
    #[arg(long, value_name = "SAMPLE", conflicts_with_all = ["WishArgs", "open"])]
    self_test: Option<String>,
    /// What was sealed into the sample; compared as JSON where it is JSON
    #[arg(long, value_name = "TEXT", requires = "self_test")]
    plaintext: Option<String>,
}

pub(super) fn run(
    args: UrlArgs,
    project: &str,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let UrlArgs { wish, layers, open, self_test, plaintext } = args;
    let loaded = config::load(&layers.sources(environment), screen)?;
    let preview =
        Preview::of(&loaded.settings, project, &World::system()).map_err(|error| match error {
            Unprepared::ProjectNotFound(_) => {
                Failure::usage(error.to_string()).hint("choose one with --project")
            }
            Unprepared::Unfit(_) => Failure::failed(error.to_string()),
        })?;
    if let Some(text) = self_test {
        return sample::test(&preview, &text, plaintext.as_deref(), screen);
    }
    match open.as_deref() {
        Some("-") => open_lines(&preview, &mut io::stdin().lock(), screen),
        Some(text) => open_one(&preview, text, screen),
        None if wish.is_on_stdin() => make_lines(&preview, &wish, &mut io::stdin().lock(), screen),
        None => make_one(&preview, &wish, screen),
    }
}

fn make_one(preview: &Preview, wish: &WishArgs, screen: &Screen) -> Result<(), Failure> {
    let refused =
        |violations| wish::blaming(Failure::usage("these parameters make no link"), violations);
    let link = preview.link(wish.read()?, &wish.template).map_err(refused)?;
    screen.answer(|| link_to_json(preview, &link), || format!("{}\n", link.url))?;
    if screen.output == Output::Table {
        screen.remark(&remarks(preview, &link));
    }
    Ok(())
}

fn make_lines(
    preview: &Preview,
    wish: &WishArgs,
    stdin: &mut dyn io::BufRead,
    screen: &Screen,
) -> Result<(), Failure> {
    if screen.output == Output::Table {
        screen.remark("not registered: the tokens in these URLs are made up\n");
    }
    let bad = lines::Bad { end: Failure::usage, told: "make no link" };
    lines::each(stdin, screen, &bad, |line| {
        let link = preview.link(wish.over(line)?, &wish.template)?;
        Ok(match screen.output {
            Output::Json => link_to_json(preview, &link).to_string(),
            Output::Table => link.url,
        })
    })
}

fn open_one(preview: &Preview, text: &str, screen: &Screen) -> Result<(), Failure> {
    let Some(opened) = preview.open(text) else {
        let message = format!("the envelope stays shut: {}", unopened(preview));
        return Err(Failure::failed(message)
            .hint("--self-test tells whether another cipher or another key of it does"));
    };
    screen.answer(|| opened_to_json(&opened), || shown(&opened, screen) + "\n")?;
    if screen.output == Output::Table {
        screen.remark(&format!("opened with {}\n", told(preview, opened.key)));
    }
    Ok(())
}

fn open_lines(
    preview: &Preview,
    stdin: &mut dyn io::BufRead,
    screen: &Screen,
) -> Result<(), Failure> {
    let bad = lines::Bad { end: Failure::failed, told: "cannot be opened" };
    lines::each(stdin, screen, &bad, |line| {
        let opened = preview.open(line).ok_or_else(|| {
            vec![Violation { field: "encrypted".to_owned(), rule: unopened(preview) }]
        })?;
        Ok(match screen.output {
            Output::Json => opened_to_json(&opened).to_string(),
            // Between the tokens of JSON a line feed is a space.
            Output::Table => shown(&opened, screen).replace(['\n', '\r'], " "),
        })
    })
}

fn unopened(preview: &Preview) -> String {
    format!("no key of the configuration opens it with the cipher {}", preview.cipher())
}

/// What a terminal may show; a program gets every byte.
fn shown(opened: &Opened, screen: &Screen) -> String {
    if screen.terminal { without_controls(&opened.content) } else { opened.content.clone() }
}

fn told(preview: &Preview, key: Key) -> String {
    if key == preview.key_in_use() { format!("{key}, which is in use") } else { key.to_string() }
}

fn remarks(preview: &Preview, link: &PreviewLink) -> String {
    let names = |names: &[String]| {
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let (mode, cipher) = (preview.mode(), preview.cipher());
    format!(
        "not registered: the token in this URL is made up, ARGOS does not open it\n\
         mode {mode}, cipher {cipher}, sealed with {}\n\
         sealed: {}\n\
         in the open: {}\n\
         {} bytes of at most {}\n",
        preview.key_in_use(),
        names(&link.sealed),
        names(&link.plain),
        link.url.len(),
        preview.url_max_bytes(),
    )
}

fn link_to_json(preview: &Preview, link: &PreviewLink) -> Value {
    json!({
        "url": link.url,
        "registered": false,
        "mode": preview.mode(),
        "cipher": preview.cipher(),
        "sealed_parameters": link.sealed,
        "plain_parameters": link.plain,
        "url_bytes": link.url.len(),
        "url_max_bytes": preview.url_max_bytes(),
    })
}

fn opened_to_json(opened: &Opened) -> Value {
    json!({ "content": opened.content, "key": key_to_json(opened.key) })
}

fn key_to_json(key: Key) -> Value {
    match key {
        Key::Api => json!({ "place": "api_key", "previous": null }),
        Key::Secret => json!({ "place": "secret_key", "previous": null }),
        Key::Previous(place) => json!({ "place": "previous_key", "previous": place }),
    }
}

#[cfg(test)]
mod tests;
