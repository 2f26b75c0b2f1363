//! Ids that are sealed sequence numbers.
//!
//! A token id is `<prefix>` and 22 symbols: one AES block over (ledger tag, kind, sequence, salt),
//! under a key that belongs to the ledger. For anybody else that is 128 bits to guess. For us it
//! tells at sight whether an id is ours and where its record is, years after the record itself has
//! gone, without an index. A lease id is the same block of another kind and without salt, so that it
//! follows from the sequence and says nothing about the token. Marks in links and positions of
//! watchers are such blocks too.

use aes::{
    Aes128,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{
    ids::{LeaseId, Owner, RequestId, Revision, Sequence, SubmissionId, TokenId, TokenPrefix},
    limits::SEALED_SYMBOLS,
};

/// The alphabet of sealed ids, in the order of its digits.
pub(super) const SYMBOLS: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LEASE_PREFIX: &str = "lease-";
const MARK_PREFIX: &str = "mark-";
const POSITION_PREFIX: &str = "watch-";

/// Fresh randomness in every token id, so that a lost and re-used sequence never gives an old id.
pub type Salt = [u8; 5];

/// What makes a ledger this ledger and no other. Drawn once, when the ledger is created, and kept
/// in it; the keys are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerIdentity {
    /// Names the ledger in its witness file and in resume positions.
    pub id: u128,
    /// Tells sealed ids of this ledger from chance.
    pub tag: [u8; 4],
    pub id_key: [u8; 16],
    pub digest_key: [u8; 32],
}

impl LedgerIdentity {
    pub fn draw(entropy: &mut dyn super::entropy::Entropy) -> Self {
        let (mut id, mut tag, mut id_key, mut digest_key) = ([0; 16], [0; 4], [0; 16], [0; 32]);
        entropy.fill(&mut id);
        entropy.fill(&mut tag);
        entropy.fill(&mut id_key);
        entropy.fill(&mut digest_key);
        Self { id: u128::from_be_bytes(id), tag, id_key, digest_key }
    }
}

impl std::fmt::Debug for LedgerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerIdentity({:032x})", self.id)
    }
}

/// Which request this is, for one owner: a keyed hash of both, so that ids of two owners who both
/// count from 1 never meet (L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(pub u128);

impl RequestKey {
    /// The part of it that a closed lease is recalled by.
    pub const fn name(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// A keyed hash of what a caller asked for, to tell a repeat from another wish under the same id.
/// The wish itself, which may be personal, need not be kept for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Token = 1,
    Lease = 2,
    Mark = 3,
    Position = 4,
}

/// How far a watcher has seen the changes of a ledger: everything up to a revision, under an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: u64,
    pub revision: Revision,
}

/// Seals and opens the ids of one ledger.
#[derive(Clone)]
pub struct Seal {
    tag: [u8; 4],
    cipher: Aes128,
    digest: Hmac<Sha256>,
}

impl Seal {
    pub fn new(identity: &LedgerIdentity) -> Self {
        Self {
            tag: identity.tag,
            cipher: Aes128::new(&identity.id_key.into()),
            digest: Hmac::new_from_slice(&identity.digest_key)
                .expect("HMAC takes a key of any length"),
        }
    }

    pub fn token_id(&self, prefix: &TokenPrefix, sequence: Sequence, salt: Salt) -> TokenId {
        let mut text = String::with_capacity(prefix.as_str().len() + SEALED_SYMBOLS);
        text.push_str(prefix.as_str());
        self.close(Kind::Token, sequence, salt, &mut text);
        TokenId::parse(&text).expect("U1: a checked prefix and 22 letters or digits are a valid id")
    }

    pub fn lease_id(&self, sequence: Sequence) -> LeaseId {
        let mut text = String::with_capacity(LEASE_PREFIX.len() + SEALED_SYMBOLS);
        text.push_str(LEASE_PREFIX);
        self.close(Kind::Lease, sequence, Salt::default(), &mut text);
        LeaseId(text.into())
    }

    /// The sequence inside a token id, if this ledger sealed it; any prefix is accepted, because the
    /// configured one may have changed since.
    pub fn open_token(&self, token: &TokenId) -> Option<Sequence> {
        let text = token.expose();
        let sealed = text.get(text.len().checked_sub(SEALED_SYMBOLS)?..)?;
        Some(self.open(Kind::Token, sealed)?.0)
    }

    /// The sequence inside a lease id, if this ledger sealed it.
    pub fn open_lease(&self, text: &str) -> Option<Sequence> {
        Some(self.open(Kind::Lease, text.strip_prefix(LEASE_PREFIX)?)?.0)
    }

    /// A value for a link, by which ARGOS's word about it finds its lease. It is never the token, and
    /// nobody can make it up.
    pub fn mark(&self, sequence: Sequence) -> String {
        let mut text = String::with_capacity(MARK_PREFIX.len() + SEALED_SYMBOLS);
        text.push_str(MARK_PREFIX);
        self.close(Kind::Mark, sequence, Salt::default(), &mut text);
        text
    }

    /// The sequence inside a mark, if this ledger sealed it.
    pub fn open_mark(&self, text: &str) -> Option<Sequence> {
        Some(self.open(Kind::Mark, text.strip_prefix(MARK_PREFIX)?)?.0)
    }

    /// A position for somebody to keep: 48 bits of revision and 40 of epoch, which no ledger outlives.
    pub fn position(&self, position: Position) -> String {
        let mut text = String::with_capacity(POSITION_PREFIX.len() + SEALED_SYMBOLS);
        text.push_str(POSITION_PREFIX);
        let mut epoch = Salt::default();
        epoch.copy_from_slice(&position.epoch.to_be_bytes()[3..]);
        let revision = Sequence::new(position.revision.0.min(Sequence::MAX.get()));
        self.close(Kind::Position, revision, epoch, &mut text);
        text
    }

    /// The position inside a text, if it is one in this ledger.
    pub fn open_position(&self, text: &str) -> Option<Position> {
        let (revision, salt) = self.open(Kind::Position, text.strip_prefix(POSITION_PREFIX)?)?;
        let mut epoch = [0; 8];
        epoch[3..].copy_from_slice(&salt);
        let revision = Revision(revision.get());
        Some(Position { epoch: u64::from_be_bytes(epoch), revision })
    }

    pub fn request_key(&self, owner: &Owner, request: RequestId) -> RequestKey {
        let mut mac = self.digest.clone();
        mac.update(b"request");
        mac.update(&request.0.to_be_bytes());
        mac.update(owner.as_str().as_bytes());
        let hash = mac.finalize().into_bytes();
        RequestKey(u128::from_be_bytes(hash[..16].try_into().expect("a hash of 32 bytes")))
    }

    /// A keyed hash by which a submission is remembered.
    pub fn name(&self, submission: &SubmissionId) -> u64 {
        let mut mac = self.digest.clone();
        mac.update(b"submission");
        mac.update(submission.as_str().as_bytes());
        let hash = mac.finalize().into_bytes();
        u64::from_be_bytes(hash[..8].try_into().expect("a hash of 32 bytes"))
    }

    /// `wish` is an encoding in which different wishes differ.
    pub fn digest(&self, wish: &[u8]) -> Digest {
        let mut mac = self.digest.clone();
        mac.update(b"wish");
        mac.update(wish);
        let hash = mac.finalize().into_bytes();
        Digest(u64::from_be_bytes(hash[..8].try_into().expect("a hash of 32 bytes")))
    }

    fn close(&self, kind: Kind, sequence: Sequence, salt: Salt, text: &mut String) {
        let mut block = [0; 16];
        block[..4].copy_from_slice(&self.tag);
        block[4] = kind as u8;
        block[5..11].copy_from_slice(&sequence.get().to_be_bytes()[2..]);
        block[11..].copy_from_slice(&salt);
        let mut block = block.into();
        self.cipher.encrypt_block(&mut block);
        let mut value = u128::from_be_bytes(block.into());
        let mut symbols = [0; SEALED_SYMBOLS];
        // Ten symbols at a time, because division of 128 bits is slow.
        for chunk in symbols.rchunks_mut(10) {
            let base = 62_u128.pow(10);
            let mut part = (value % base) as u64;
            value /= base;
            for symbol in chunk.iter_mut().rev() {
                *symbol = SYMBOLS[(part % 62) as usize];
                part /= 62;
            }
        }
        text.extend(symbols.iter().map(|symbol| char::from(*symbol)));
    }

    fn open(&self, kind: Kind, text: &str) -> Option<(Sequence, Salt)> {
        if text.len() != SEALED_SYMBOLS {
            return None;
        }
        let mut value: u128 = 0;
        for byte in text.bytes() {
            value = value.checked_mul(62)?.checked_add(u128::from(digit(byte)?))?;
        }
        let mut block = value.to_be_bytes().into();
        self.cipher.decrypt_block(&mut block);
        let block: [u8; 16] = block.into();
        if block[..4] != self.tag || block[4] != kind as u8 {
            return None;
        }
        let mut number = [0; 8];
        number[2..].copy_from_slice(&block[5..11]);
        let mut salt = Salt::default();
        salt.copy_from_slice(&block[11..]);
        Some((Sequence::new(u64::from_be_bytes(number)), salt))
    }
}

/// What a symbol of the alphabet stands for.
pub(super) fn digit(symbol: u8) -> Option<u8> {
    match symbol {
        b'0'..=b'9' => Some(symbol - b'0'),
        b'A'..=b'Z' => Some(symbol - b'A' + 10),
        b'a'..=b'z' => Some(symbol - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::limits::MARK_BYTES;

    fn seal(id: u8) -> Seal {
        Seal::new(&LedgerIdentity { id: 1, tag: [id; 4], id_key: [id; 16], digest_key: [id; 32] })
    }

    fn prefix() -> TokenPrefix {
        TokenPrefix::parse("ap-").unwrap()
    }

    proptest! {
        #[test]
        fn every_sealed_token_id_is_valid_and_opens_to_its_sequence(
            number in 0..=Sequence::MAX.get(), salt: Salt, key: u8,
        ) {
            let sequence = Sequence::new(number);
            let id = seal(key).token_id(&prefix(), sequence, salt);
            prop_assert!(id.expose().ends_with(|last: char| last.is_ascii_alphanumeric()));
            prop_assert_eq!(seal(key).open_token(&id), Some(sequence));
        }

        #[test]
        fn a_lease_id_follows_from_its_sequence_and_is_no_token_id(number in 0..=Sequence::MAX.get()) {
            let (seal, sequence) = (seal(7), Sequence::new(number));
            let lease = seal.lease_id(sequence);
            prop_assert_eq!(seal.mark(sequence).len(), MARK_BYTES);
            prop_assert_eq!(seal.open_lease(lease.as_str()), Some(sequence));
            prop_assert_eq!(seal.open_token(&TokenId::parse(lease.as_str()).unwrap()), None);
        }
    }

    proptest! {
        #[test]
        fn a_position_opens_in_its_own_ledger_alone(
            number in 0..=Sequence::MAX.get(), epoch in 0..1_u64 << 40,
        ) {
            let position = Position { epoch, revision: Revision(number) };
            let text = seal(7).position(position);
            prop_assert_eq!(seal(7).open_position(&text), Some(position));
            prop_assert_eq!(seal(8).open_position(&text), None);
        }
    }

    #[test]
    fn names_tell_requests_and_submissions_apart() {
        assert_eq!(RequestKey(0x0123_4567_89ab_cdef << 64 | 5).name(), 0x0123_4567_89ab_cdef);
        let name = |seal: Seal, text| seal.name(&SubmissionId::parse(text).unwrap());
        assert_eq!(name(seal(1), "sub-1"), name(seal(1), "sub-1"));
        assert_ne!(name(seal(1), "sub-1"), name(seal(1), "sub-2"));
    }

    #[test]
    fn an_id_of_another_ledger_does_not_open() {
        let id = seal(1).token_id(&prefix(), Sequence::new(5), [0; 5]);
        assert_eq!(seal(2).open_token(&id), None);
    }

    /// U1.
    #[test]
    fn an_id_of_another_ledger_under_the_same_key_does_not_open() {
        let other =
            |tag| Seal::new(&LedgerIdentity { id: 1, tag, id_key: [1; 16], digest_key: [1; 32] });
        let id = other([1; 4]).token_id(&prefix(), Sequence::new(5), [0; 5]);
        assert_eq!(other([1; 4]).open_token(&id), Some(Sequence::new(5)));
        assert_eq!(other([1, 1, 1, 2]).open_token(&id), None);
    }

    /// P1.
    #[test]
    fn an_identity_prints_none_of_its_keys() {
        let identity =
            LedgerIdentity { id: 1, tag: [7; 4], id_key: [77; 16], digest_key: [88; 32] };
        assert_eq!(format!("{identity:?}"), format!("LedgerIdentity({:032x})", 1));
    }

    #[test]
    fn an_id_of_nobody_does_not_open() {
        for text in ["12345678", "ap-zzzzzzzzzzzzzzzzzzzzzz", "ap-0000000000000000000000"] {
            assert_eq!(seal(1).open_token(&TokenId::parse(text).unwrap()), None, "{text}");
        }
    }

    #[test]
    fn the_same_request_id_of_two_owners_gives_two_keys() {
        let (one, other) = (Owner::parse("token:a").unwrap(), Owner::parse("token:b").unwrap());
        let request = RequestId(1);
        assert_ne!(seal(1).request_key(&one, request), seal(1).request_key(&other, request));
    }
}
