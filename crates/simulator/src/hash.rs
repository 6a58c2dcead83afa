//! Seeded numbers: the same question gets the same answer in every process.

use uuid::Uuid;

/// Spreads `value` over all 64 bits (the finalizer of SplitMix64).
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number that stands for `text` under `seed`.
pub(super) fn salt(seed: u64, text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), seed)
}

/// The identifier of the object called `label`.
pub(super) fn uuid(seed: u64, label: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{seed}/{label}").as_bytes()).to_string()
}

/// The identifier of the object numbered `number`, written without a `String` in between.
pub(super) fn write_uuid(number: u64, out: &mut Vec<u8>) {
    let uuid = uuid::Builder::from_random_bytes(bytes_of(mix(number), mix(!number))).into_uuid();
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(uuid.hyphenated().encode_lower(&mut buffer).as_bytes());
}

fn bytes_of(high: u64, low: u64) -> [u8; 16] {
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}
