//! Permutations by arithmetic: the item at any place without a list of all of them.

/// A permutation of the numbers below `size` that looks shuffled.
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    size: u64,
    step: u64,
    start: u64,
}

impl Permutation {
    /// A permutation that depends on `salt`; 0 leaves the numbers in counting order.
    pub(crate) fn new(size: u64, salt: u64) -> Self {
        let size = size.max(1);
        // Near the golden section of the range, so that neighbours are far apart.
        let golden = ((u128::from(size) * 618 / 1000) as u64).max(1) | 1;
        let first = if salt == 0 { 1 } else { golden };
        // Multiples of a step visit every number once if and only if it has no divisor in common with the size.
        let step = (first..).find(|step| greatest_common_divisor(*step, size) == 1).unwrap_or(1);
        Self { size, step, start: salt % size }
    }

    /// The number at `place`.
    pub(crate) fn at(&self, place: u64) -> u64 {
        let spread = u128::from(place % self.size) * u128::from(self.step) + u128::from(self.start);
        (spread % u128::from(self.size)) as u64
    }
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn permutation_contains_every_number_once() {
        for salt in [0, 1, 17, 0xffff_ffff_ffff] {
            for size in [1, 2, 336, 997] {
                let permutation = Permutation::new(size, salt);
                let numbers: BTreeSet<_> = (0..size).map(|place| permutation.at(place)).collect();
                assert!(numbers.into_iter().eq(0..size), "{size} with {salt}");
            }
        }
    }
}
