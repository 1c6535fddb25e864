//! Keys by which values are sealed where they lie, and the sealing: envelope encryption with AES-256-GCM (NIST SP 800-38D).
//!
//! A [`Keyring`] holds every key there is. Values are sealed under a data key that lives as long as the keyring does in
//! memory; each sealed value carries that data key, itself encrypted under the newest of the keys, and the ID of that key. So a
//! value can be opened by whoever has the key it names, and by nobody else. What a value belongs to (its *context*) is
//! authenticated along with it: in another place it does not open.
//!
//! # A sealed value, version 1
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 1 | 1, the version |
//! | 1 | 8 | ID of the key |
//! | 9 | 12 | nonce under which the data key is encrypted |
//! | 21 | 48 | the encrypted data key with its tag; the first nine bytes are authenticated with it |
//! | 69 | 12 | nonce of the value: a number that no two values under one data key share |
//! | 81 | | the encrypted value and its tag (16); the context is authenticated with it |
//!
//! # A key's file
//! One line: `lab-key-v1`, a space, 64 hexadecimal digits. The ID is the beginning of a SHA-256 over the key, so that it is the
//! same wherever a copy of the file lies.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes of a key.
pub const KEY_LENGTH: usize = 32;
/// Bytes of the random numbers with which a keyring is made: a data key, and the nonce under which it is encrypted.
pub const SEED_LENGTH: usize = KEY_LENGTH + NONCE_LEN;

const VERSION: u8 = 1;
const TAG: usize = 16;
const ID: usize = 8;
/// The version and the ID.
const HEAD: usize = 1 + ID;
/// With the encrypted data key.
const ENVELOPE: usize = HEAD + NONCE_LEN + KEY_LENGTH + TAG;
const FILE_FORM: &str = "lab-key-v1";
/// Data keys of others that are kept opened; a store has one for each start that wrote to it.
const OPENED: usize = 1000;

/// Which key a value is sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_LENGTH]);

impl Key {
    /// The key of these random bytes.
    pub fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its ID.
    pub fn id(&self) -> KeyId {
        let mut digest = Sha256::new();
        digest.update(b"lab key id\n");
        digest.update(self.0);
        let digest = digest.finalize();
        let mut id = [0; ID];
        id.copy_from_slice(&digest[..ID]);
        KeyId(id)
    }

    /// The text of its file.
    pub fn to_file(&self) -> String {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{FILE_FORM} {digits}\n")
    }

    fn cipher(&self) -> LessSafeKey {
        cipher(&self.0)
    }
}

impl fmt::Debug for Key {
    /// Shows its ID only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// A text that is no key's file. It says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a key: one line, {FILE_FORM} and 64 hexadecimal digits, is expected")]
pub struct NoKey;

impl FromStr for Key {
    type Err = NoKey;
    fn from_str(text: &str) -> Result<Self, NoKey> {
        let digits =
            text.trim_end().strip_prefix(FILE_FORM).and_then(|rest| rest.strip_prefix(' ')).ok_or(NoKey)?;
        let valid = digits.len() == 2 * KEY_LENGTH && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !valid {
            return Err(NoKey);
        }
        let mut key = [0; KEY_LENGTH];
        for (byte, at) in key.iter_mut().zip((0..digits.len()).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| NoKey)?;
        }
        Ok(Self(key))
    }
}

/// Why a value cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key is not among those there are.
    #[error(
        "it is encrypted with key {0}, which is not here; put that key's file back into the directory of keys"
    )]
    UnknownKey(KeyId),
    /// A newer build sealed it.
    #[error("it is sealed in form {0}, and this build opens none above {VERSION}; use a newer build")]
    Newer(u8),
    /// It is not what was sealed, or was sealed for another place.
    #[error("it was changed or moved since it was encrypted")]
    Changed,
}

/// Every key there is, the newest first in use.
pub struct Keyring {
    keys: HashMap<KeyId, Key>,
    newest: KeyId,
    data_key: LessSafeKey,
    /// What every value sealed here begins with.
    envelope: [u8; ENVELOPE],
    sealed: AtomicU64,
    opened: Mutex<HashMap<[u8; ENVELOPE], LessSafeKey>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("newest", &self.newest).field("keys", &self.keys.len()).finish()
    }
}

impl Keyring {
    /// A keyring that seals with `newest` and opens with all. `seed` is random, and never used for another keyring.
    pub fn new(newest: Key, others: impl IntoIterator<Item = Key>, seed: [u8; SEED_LENGTH]) -> Self {
        let (data_key, nonce) = seed.split_at(KEY_LENGTH);
        let id = newest.id();
        let mut envelope = Vec::with_capacity(ENVELOPE);
        envelope.push(VERSION);
        envelope.extend_from_slice(&id.0);
        let head = envelope.clone();
        envelope.extend_from_slice(nonce);
        let mut wrapped = data_key.to_vec();
        seal(&newest.cipher(), nonce, &head, &mut wrapped);
        envelope.extend_from_slice(&wrapped);
        let mut keys: HashMap<KeyId, Key> = others.into_iter().map(|key| (key.id(), key)).collect();
        keys.insert(id, newest);
        Self {
            keys,
            newest: id,
            data_key: cipher(data_key),
            envelope: envelope.try_into().expect("the parts of an envelope have its length"),
            sealed: AtomicU64::new(0),
            opened: Mutex::default(),
        }
    }

    /// The key that values are sealed with.
    pub fn newest(&self) -> KeyId {
        self.newest
    }

    /// Every key that values can be opened with.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.keys().copied()
    }

    /// Seals a value for a context.
    pub fn seal(&self, context: &[u8], value: &[u8]) -> Vec<u8> {
        let number = self.sealed.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
        let mut ciphertext = value.to_vec();
        seal(&self.data_key, &nonce, context, &mut ciphertext);
        [&self.envelope[..], &nonce, &ciphertext].concat()
    }

    /// Opens a value in its context.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (envelope, rest) = split(sealed)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN).ok_or(OpenError::Changed)?;
        let mut value = ciphertext.to_vec();
        if *envelope == self.envelope {
            return open(&self.data_key, nonce, context, &mut value);
        }
        let mut opened = self.opened.lock();
        if !opened.contains_key(envelope) {
            if opened.len() >= OPENED {
                opened.clear();
            }
            opened.insert(*envelope, self.unwrap(envelope)?);
        }
        let data_key = opened.get(envelope).ok_or(OpenError::Changed)?;
        open(data_key, nonce, context, &mut value)
    }

    /// The data key in an envelope.
    fn unwrap(&self, envelope: &[u8; ENVELOPE]) -> Result<LessSafeKey, OpenError> {
        let id = id_in(envelope);
        let key = self.keys.get(&id).ok_or(OpenError::UnknownKey(id))?;
        let (head, rest) = envelope.split_at(HEAD);
        let (nonce, wrapped) = rest.split_at(NONCE_LEN);
        let data_key = open(&key.cipher(), nonce, head, &mut wrapped.to_vec())?;
        Ok(cipher(&data_key))
    }
}

/// The key that a sealed value names.
///
/// # Errors
/// It is no sealed value, or of a newer form.
pub fn key_of(sealed: &[u8]) -> Result<KeyId, OpenError> {
    split(sealed).map(|(envelope, _)| id_in(envelope))
}

fn id_in(envelope: &[u8; ENVELOPE]) -> KeyId {
    let mut id = [0; ID];
    id.copy_from_slice(&envelope[1..HEAD]);
    KeyId(id)
}

fn split(sealed: &[u8]) -> Result<(&[u8; ENVELOPE], &[u8]), OpenError> {
    match sealed.first() {
        Some(&version) if version > VERSION => Err(OpenError::Newer(version)),
        Some(&VERSION) => sealed.split_first_chunk().ok_or(OpenError::Changed),
        _ => Err(OpenError::Changed),
    }
}

fn cipher(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of AES-256 has 32 bytes"))
}

fn seal(key: &LessSafeKey, nonce: &[u8], context: &[u8], value: &mut Vec<u8>) {
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("a nonce has 12 bytes");
    key.seal_in_place_append_tag(nonce, Aad::from(context), value)
        .expect("values are shorter than the 64 GiB that AES-GCM takes");
}

fn open(key: &LessSafeKey, nonce: &[u8], context: &[u8], value: &mut [u8]) -> Result<Vec<u8>, OpenError> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Changed)?;
    let opened = key.open_in_place(nonce, Aad::from(context), value).map_err(|_| OpenError::Changed)?;
    Ok(opened.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> Key {
        Key::new([number; KEY_LENGTH])
    }

    fn keyring(newest: u8, others: &[u8], seed: u8) -> Keyring {
        Keyring::new(key(newest), others.iter().map(|number| key(*number)), [seed; SEED_LENGTH])
    }

    #[test]
    fn keys_come_back_from_their_files() {
        let read: Key = key(7).to_file().parse().expect("a key");
        assert_eq!((read.id(), &read), (key(7).id(), &key(7)));
        assert!(!format!("{read:?}").contains("0707"));
        for text in
            ["", "lab-key-v1", "lab-key-v1 07", "lab-key-v2 07", &key(7).to_file().replace("07", "0x")]
        {
            assert_eq!(text.parse::<Key>(), Err(NoKey), "{text}");
        }
    }

    #[test]
    fn old_keys_open_and_the_newest_seals() {
        let old = keyring(1, &[], 9);
        let sealed = old.seal(b"here", b"value");
        assert_eq!(key_of(&sealed), Ok(key(1).id()));
        let both = keyring(2, &[1], 8);
        assert_eq!(both.open(b"here", &sealed).as_deref(), Ok(&b"value"[..]));
        assert_eq!(key_of(&both.seal(b"here", b"value")), Ok(key(2).id()));
        assert_eq!(keyring(2, &[], 7).open(b"here", &sealed), Err(OpenError::UnknownKey(key(1).id())));
        assert_eq!(both.open(b"there", &sealed), Err(OpenError::Changed));
        let mut newer = sealed;
        newer[0] = 2;
        assert_eq!(both.open(b"here", &newer), Err(OpenError::Newer(2)));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_hides(value in prop::collection::vec(any::<u8>(), 0..300), at: prop::sample::Index, flip in 1u8..) {
            let keyring = keyring(3, &[], 4);
            let sealed = keyring.seal(b"place", &value);
            prop_assert_eq!(keyring.open(b"place", &sealed), Ok(value.clone()));
            prop_assert_ne!(&sealed, &keyring.seal(b"place", &value));
            let mut changed = sealed.clone();
            let at = at.index(changed.len());
            changed[at] ^= flip;
            prop_assert!(keyring.open(b"place", &changed).is_err());
            prop_assert!(keyring.open(b"place", &sealed[..at]).is_err());
        }
    }
}
