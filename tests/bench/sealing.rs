//! What one URL costs: in the open, with an envelope beside, and sealed as a whole.
//!
//! Every round builds links of each kind in turn, so that ratios hold on a machine whose absolute
//! figures do not: `cargo test --release --test sealing`. The links say what callers usually say, and
//! are built with and without the rules being held against it.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use argospool::domain::{
    envelope::{Cipher, Encoding, Gcm, Keyring, Layout, Nonce, NonceLength},
    ids::TokenId,
    liveform::{Asked, Draft, Form, Mode, Occasion, Parameter, Pipeline, Rules},
    secret::Secret,
    time::Timestamp,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;
/// Links of each kind in one round.
const LINKS: u32 = 20_000;
/// What a sealed link may take.
const TARGET: Duration = Duration::from_micros(5);
const NOON: Timestamp = Timestamp::from_millis(1_776_000_000_000);

const GCM: Cipher = Cipher::Gcm(Gcm {
    layout: Layout::NonceCiphertextTag,
    nonce: NonceLength::Twelve,
    encoding: Encoding::Base64,
});

/// One way to write links.
struct Variant {
    name: &'static str,
    form: Arc<Form>,
    rules: Rules,
    asked: Asked,
}

impl Variant {
    fn new(name: &'static str, mode: Mode, cipher: Cipher) -> Self {
        let keyring = Keyring::new(cipher, &Secret::new("test-api-key-0001".to_owned()), []);
        let form = Form::new("https://form.argosidentity.com", "pid0123456789", mode, keyring);
        let rules = Rules {
            mode,
            pipeline: Pipeline::IdDocument,
            extra_countries: Vec::new(),
            extra_id_types: Vec::new(),
            defaults: Asked::default(),
            templates: BTreeMap::new(),
        };
        let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        let mut asked = Asked::default().with(Parameter::Userid, "customer-0000012345");
        if mode != Mode::Plain {
            asked.set(Parameter::AllowedCountries, texts(["KOR", "USA"]));
            asked.set(Parameter::AllowedIdTypes, texts(["passport", "drivers_license"]));
            asked.set(Parameter::StartValidUntil, NOON.plus(Duration::from_secs(600)));
        }
        Self { name, form: Arc::new(form), rules, asked }
    }

    /// Nanoseconds for one link, with and without its parameters being resolved.
    fn round(&self, token: &TokenId) -> [f64; 2] {
        let resolve = || self.rules.resolve(black_box(&self.asked), "", NOON).unwrap();
        let draft = |params| Draft { form: self.form.clone(), params, nonce: black_box(NONCE) };
        let occasion = Occasion { token, issued: NOON, deadline: NOON };
        let whole = timed(|| draft(resolve()).link(black_box(occasion), String::new).url.len());
        let ready = draft(resolve());
        let link = timed(|| ready.link(black_box(occasion), String::new).url.len());
        [whole, link]
    }
}

/// The same each time: drawing one is not what is measured.
const NONCE: Nonce = *b"0123456789abcdef";

fn timed(mut build: impl FnMut() -> usize) -> f64 {
    let began = Instant::now();
    for _ in 0..LINKS {
        black_box(build());
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(LINKS)
}

fn main() {
    let variants = [
        Variant::new("plain", Mode::Plain, Cipher::Ecb),
        Variant::new("mixed, ecb", Mode::Mixed, Cipher::Ecb),
        Variant::new("sealed, ecb", Mode::Sealed, Cipher::Ecb),
        Variant::new("sealed, gcm", Mode::Sealed, GCM),
    ];
    let token = TokenId::parse("ap-0123456789ABCDEFGHIJKL").unwrap();
    let mut rounds: Vec<Vec<[f64; 2]>> = Vec::new();
    for number in 0..=ROUNDS {
        let round = variants.iter().map(|variant| variant.round(&token)).collect();
        // The first one warms up.
        if number > 0 {
            rounds.push(round);
        }
    }
    println!(
        "\nnanoseconds for one URL, minimum, median and maximum of {ROUNDS} rounds of {LINKS}, and \
         the median of its ratios to the plain one\n"
    );
    for (column, title) in ["with its parameters resolved", "the link alone"].iter().enumerate() {
        println!("  {title}");
        for (place, variant) in variants.iter().enumerate() {
            let [least, middle, most] = spread(rounds.iter().map(|round| round[place][column]));
            let ratios = rounds.iter().map(|round| round[place][column] / round[0][column]);
            let [_, ratio, _] = spread(ratios);
            let name = variant.name;
            let over = Duration::from_nanos(middle as u64) > TARGET;
            let verdict = if over { format!("  over {TARGET:?}") } else { String::new() };
            println!("    {name:12} {least:7.0} {middle:7.0} {most:7.0}  {ratio:5.2}{verdict}");
        }
    }
}

/// Minimum, median and maximum.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}
