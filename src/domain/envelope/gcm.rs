//! AES-256 in Galois/Counter mode. Where nonce and tag stand, how long the nonce is and how the bytes
//! are written is not published, so it is configuration (contract 5.2). The tag has 16 bytes and
//! nothing beside the plaintext is authenticated.

use aes_gcm::{
    AeadInOut, AesGcm, KeyInit, Nonce as GcmNonce, Tag,
    aead::consts::{U12, U16},
    aes::Aes256,
};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use super::Nonce;

const TAG_BYTES: usize = 16;

/// The shape of a GCM envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcm {
    pub layout: Layout,
    pub nonce: NonceLength,
    pub encoding: Encoding,
}

/// In which order the parts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    NonceCiphertextTag,
    NonceTagCiphertext,
    CiphertextTagNonce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceLength {
    Twelve,
    Sixteen,
}

/// How the bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Standard, with padding.
    Base64,
    /// Lower case; either case opens.
    Hex,
}

impl Layout {
    pub const ALL: [Self; 3] =
        [Self::NonceCiphertextTag, Self::NonceTagCiphertext, Self::CiphertextTagNonce];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NonceCiphertextTag => "nonce_ciphertext_tag",
            Self::NonceTagCiphertext => "nonce_tag_ciphertext",
            Self::CiphertextTagNonce => "ciphertext_tag_nonce",
        }
    }
}

impl NonceLength {
    pub const ALL: [Self; 2] = [Self::Twelve, Self::Sixteen];

    pub const fn bytes(self) -> usize {
        match self {
            Self::Twelve => 12,
            Self::Sixteen => 16,
        }
    }
}

impl Encoding {
    pub const ALL: [Self; 2] = [Self::Base64, Self::Hex];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }
}

impl Gcm {
    /// Every shape there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Layout::ALL.into_iter().flat_map(|layout| {
            NonceLength::ALL.into_iter().flat_map(move |nonce| {
                Encoding::ALL.map(|encoding| Self { layout, nonce, encoding })
            })
        })
    }

    pub(super) const fn sealed_length(self, plain_bytes: usize) -> usize {
        let bytes = plain_bytes + self.nonce.bytes() + TAG_BYTES;
        match self.encoding {
            Encoding::Base64 => bytes.div_ceil(3) * 4,
            Encoding::Hex => bytes * 2,
        }
    }

    pub(super) fn seal(self, key: &[u8; 32], plain: &[u8], nonce: &Nonce) -> String {
        let nonce = &nonce[..self.nonce.bytes()];
        let mut text = plain.to_vec();
        let tag = self
            .encrypt(key, nonce, &mut text)
            .expect("GCM seals up to 64 GiB, and no envelope is longer than a request");
        let parts: [&[u8]; 3] = match self.layout {
            Layout::NonceCiphertextTag => [nonce, &text, &tag],
            Layout::NonceTagCiphertext => [nonce, &tag, &text],
            Layout::CiphertextTagNonce => [&text, &tag, nonce],
        };
        let bytes = parts.concat();
        match self.encoding {
            Encoding::Base64 => BASE64.encode(&bytes),
            Encoding::Hex => HEXLOWER.encode(&bytes),
        }
    }

    pub(super) fn open(self, key: &[u8; 32], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = match self.encoding {
            Encoding::Base64 => BASE64.decode(sealed.as_bytes()).ok()?,
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(sealed.as_bytes()).ok()?,
        };
        let nonce_bytes = self.nonce.bytes();
        let text_bytes = bytes.len().checked_sub(nonce_bytes + TAG_BYTES)?;
        let (nonce, text, tag) = match self.layout {
            Layout::NonceCiphertextTag => {
                let (nonce, rest) = bytes.split_at(nonce_bytes);
                let (text, tag) = rest.split_at(text_bytes);
                (nonce, text, tag)
            }
            Layout::NonceTagCiphertext => {
                let (nonce, rest) = bytes.split_at(nonce_bytes);
                let (tag, text) = rest.split_at(TAG_BYTES);
                (nonce, text, tag)
            }
            Layout::CiphertextTagNonce => {
                let (text, rest) = bytes.split_at(text_bytes);
                let (tag, nonce) = rest.split_at(TAG_BYTES);
                (nonce, text, tag)
            }
        };
        let mut text = Zeroizing::new(text.to_vec());
        let tag = Tag::<U16>::try_from(tag).ok()?;
        let opened = match self.nonce {
            NonceLength::Twelve => AesGcm::<Aes256, U12>::new(key.into()).decrypt_inout_detached(
                &GcmNonce::try_from(nonce).ok()?,
                &[],
                text.as_mut_slice().into(),
                &tag,
            ),
            NonceLength::Sixteen => AesGcm::<Aes256, U16>::new(key.into()).decrypt_inout_detached(
                &GcmNonce::try_from(nonce).ok()?,
                &[],
                text.as_mut_slice().into(),
                &tag,
            ),
        };
        opened.ok().map(|()| text)
    }

    /// Seals in place; `None` for a nonce of the wrong length or a text beyond all bounds.
    fn encrypt(self, key: &[u8; 32], nonce: &[u8], text: &mut [u8]) -> Option<Tag<U16>> {
        match self.nonce {
            NonceLength::Twelve => AesGcm::<Aes256, U12>::new(key.into())
                .encrypt_inout_detached(&GcmNonce::try_from(nonce).ok()?, &[], text.into())
                .ok(),
            NonceLength::Sixteen => AesGcm::<Aes256, U16>::new(key.into())
                .encrypt_inout_detached(&GcmNonce::try_from(nonce).ok()?, &[], text.into())
                .ok(),
        }
    }
}
