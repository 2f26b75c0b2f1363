//! The links of tests: open, and sealed where they must be.

use std::sync::Arc;

use argospool::domain::{
    envelope::{Cipher, Keyring, Nonce},
    liveform::{Draft, Form, Mode, Parameter, Params, Pipeline, Rules},
    secret::Secret,
};

/// How they are written.
pub fn form() -> Form {
    let keyring = Keyring::new(Cipher::Ecb, &Secret::new("test-api-key-0001".to_owned()), []);
    Form::new("https://form.example", "pid_test", Mode::Mixed, keyring)
}

/// What they may say.
pub fn rules() -> Rules {
    Rules::new(Mode::Mixed, Pipeline::IdDocument)
}

/// A link that says nothing yet.
pub fn blank() -> Draft {
    Draft { form: Arc::new(form()), params: Params::default(), nonce: Nonce::default() }
}

/// The same, with a mark of ours.
pub fn marked() -> Draft {
    Draft { form: Arc::new(form().marked_by(Some(Parameter::Userid))), ..blank() }
}
