//! Randomness of keys, salts and tokens: the operating system's, through the cryptographic library. Unlike all other
//! randomness it is not handed in: whoever could replay it would hold the keys.

use aws_lc_rs::rand;

/// Random bytes.
///
/// # Panics
/// When the operating system has no randomness to give.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
