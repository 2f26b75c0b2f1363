//! Secrets from files. A file that others may read is refused before it is read, and nothing that is
//! said about one repeats its path or its text: a secret is sometimes pasted where its path belongs.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::domain::secret::Secret;

/// No secret of ours is longer; whoever names a larger file has named the wrong one.
const SECRET_BYTES_MAX: u64 = 4_096;
/// Letters that a webhook secret has at least: it is all that keeps a stranger from reporting facts.
const WEBHOOK_SECRET_MIN: usize = 16;

/// A secret, and where it can be read again after it was changed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    pub secret: Secret,
    /// `None` when the secret came from the environment, which does not change.
    pub file: Option<PathBuf>,
    pub(super) place: Place,
}

impl SecretSource {
    /// The secret as its file holds it at this moment; `None` without a file. Blocks on the disk.
    pub fn read_again(&self) -> io::Result<Option<Secret>> {
        let Some(path) = &self.file else { return Ok(None) };
        let secret = read(path).and_then(|secret| self.place.check(secret))?;
        Ok(Some(secret))
    }
}

/// Where a secret is used, which says what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// API keys and bearer tokens travel in headers.
    Header,
    /// The webhook secret is a segment of a path.
    PathSegment,
    /// A key that never leaves: any text will do.
    Cipher,
    /// Several headers with their names.
    Headers,
}

impl Place {
    pub(super) fn check(self, secret: Secret) -> Result<Secret, SecretFault> {
        let text = secret.expose().as_bytes();
        let fault = match self {
            Self::Header => {
                (!text.iter().all(u8::is_ascii_graphic)).then_some(SecretFault::NotForHeader)
            }
            Self::PathSegment => {
                let fits = text.len() >= WEBHOOK_SECRET_MIN
                    && text.iter().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(b));
                (!fits).then_some(SecretFault::NotForPath)
            }
            Self::Cipher => None,
            Self::Headers => {
                let visible = |b: &u8| b.is_ascii_graphic() || *b == b' ';
                let named =
                    |pair: &[u8]| pair.iter().position(|b| *b == b'=').is_some_and(|at| at > 0);
                let fits = text.iter().all(visible) && text.split(|b| *b == b',').all(named);
                (!fits).then_some(SecretFault::NoHeaders)
            }
        };
        match fault {
            Some(fault) => Err(fault),
            None => Ok(secret),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFault {
    #[error("{}", .0.kind())]
    Unreadable(#[source] io::Error),
    #[error(
        "everybody on this machine may read it (mode {0:04o}); chmod it to 0600 or 0440, \
         in Kubernetes set defaultMode: 0440"
    )]
    Exposed(u32),
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    #[error("it holds something else than visible ASCII on one line, which no HTTP header carries")]
    NotForHeader,
    #[error("it is no list of headers such as authorization=Bearer%20abc,x-tenant=kyc")]
    NoHeaders,
    #[error(
        "it must be {WEBHOOK_SECRET_MIN} or more letters, digits, dots, dashes, underscores or tildes, \
         because it is part of a URL and nobody may guess it"
    )]
    NotForPath,
}

impl From<SecretFault> for io::Error {
    fn from(fault: SecretFault) -> Self {
        match fault {
            SecretFault::Unreadable(error) => error,
            SecretFault::Exposed(_) => Self::new(io::ErrorKind::PermissionDenied, fault),
            SecretFault::Empty
            | SecretFault::TooLong
            | SecretFault::NotForHeader
            | SecretFault::NoHeaders
            | SecretFault::NotForPath => Self::new(io::ErrorKind::InvalidData, fault),
        }
    }
}

/// The text of a file without the newline that editors and `echo` put at its end.
pub(super) fn read(path: &Path) -> Result<Secret, SecretFault> {
    let file = File::open(path).map_err(SecretFault::Unreadable)?;
    // Asked of the open file, so that what was checked is what is read.
    let mode = file.metadata().map_err(SecretFault::Unreadable)?.mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(SecretFault::Exposed(mode));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(SecretFault::Unreadable)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretFault::TooLong);
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(SecretFault::Empty);
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_a_secret() {
        for (text, secret) in [("k", "k"), ("k\n", "k"), ("k\r\n", "k"), ("k\n\n", "k\n")] {
            assert_eq!(read(file(text, 0o600).path()).unwrap().expose(), secret);
        }
    }

    #[test]
    fn a_file_without_a_secret_is_refused() {
        for text in ["", "\n", "\r\n"] {
            assert!(matches!(read(file(text, 0o600).path()), Err(SecretFault::Empty)), "{text:?}");
        }
        let longest = "k".repeat(4_096);
        assert!(read(file(&longest, 0o600).path()).is_ok());
        let longer = "k".repeat(4_097);
        assert!(matches!(read(file(&longer, 0o600).path()), Err(SecretFault::TooLong)));
    }

    #[test]
    fn a_secret_file_that_others_may_read_is_refused() {
        for mode in [0o600, 0o400, 0o440, 0o640] {
            assert!(read(file("k", mode).path()).is_ok(), "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o666, 0o602] {
            let refusal = read(file("k", mode).path()).unwrap_err();
            assert!(refusal.to_string().contains(&format!("{mode:04o}")), "{refusal}");
        }
    }

    #[test]
    fn what_cannot_travel_in_its_place_is_refused_without_being_repeated() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(Place::Header.check(secret("AKIA+/=_-~")).is_ok());
        for text in ["two words", "line\nline", "\u{feff}k", "kä"] {
            let refusal = Place::Header.check(secret(text)).unwrap_err().to_string();
            assert!(!refusal.contains(text), "{refusal}");
        }
        assert!(Place::PathSegment.check(secret("0123456789abcdef")).is_ok());
        for text in ["0123456789abcde", "0123456789abcde/", "0123456789abcde%20"] {
            let refusal = Place::PathSegment.check(secret(text)).unwrap_err().to_string();
            assert!(!refusal.contains(text), "{refusal}");
        }
    }

    #[test]
    fn a_changed_key_is_read_again_from_its_file() {
        let file = file("old\n", 0o600);
        let path = Some(file.path().to_owned());
        let secret = read(file.path()).unwrap();
        let source = SecretSource { secret, file: path, place: Place::Header };
        fs::write(file.path(), "new\n").unwrap();
        assert_eq!(source.read_again().unwrap().unwrap().expose(), "new");
        for unusable in ["", "two words"] {
            fs::write(file.path(), unusable).unwrap();
            assert_eq!(source.read_again().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let cipher_key = SecretSource { place: Place::Cipher, ..source.clone() };
        assert_eq!(cipher_key.read_again().unwrap().unwrap().expose(), "two words");
        let fixed = SecretSource { file: None, ..source };
        assert_eq!(fixed.read_again().unwrap(), None);
    }
}
