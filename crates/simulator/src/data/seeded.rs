//! Seeded numbers: the same input gives the same output in every process.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Spreads `value` over all 64 bits (the finalizer of SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The hash of `text` under `seed`.
pub(crate) fn salt(seed: u64, text: &str) -> u64 {
    xxh3_64_with_seed(text.as_bytes(), seed)
}

/// The item that `number` selects; `items` must not be empty.
pub(crate) fn pick<T>(items: &[T], number: u64) -> &T {
    &items[(number % items.len() as u64) as usize]
}

/// The identifier of the object called `label`.
pub(crate) fn uuid(seed: u64, label: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{seed}/{label}").as_bytes()).to_string()
}

/// The identifier of row `number`.
pub(crate) fn row_uuid(number: u64) -> String {
    let random = (u128::from(mix(number)) << 64) | u128::from(mix(!number));
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string()
}
