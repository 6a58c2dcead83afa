//! Distinct combinations by number: row `r` of a day names one combination of its dimensions, no two rows the same.

/// Numbers the combinations of some dimensions, in an order that looks shuffled.
#[derive(Debug, Clone)]
pub(super) struct Combinations {
    sizes: Vec<u64>,
    product: u64,
    step: u64,
    start: u64,
}

impl Combinations {
    /// The combinations of dimensions with `sizes` values; `salt` shuffles them, 0 leaves them in counting order.
    pub(super) fn new(sizes: Vec<u64>, salt: u64) -> Self {
        let product = sizes.iter().fold(1u64, |product, size| product.saturating_mul((*size).max(1)));
        let mut step = match salt {
            0 => 1,
            // Near the golden section of the range, so that neighbours differ in most dimensions.
            _ => (((product as u128) * 618 / 1000) as u64).max(1) | 1,
        };
        while greatest_common_divisor(step, product) != 1 {
            step += 1;
        }
        Self { start: salt % product, sizes, product, step }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.product
    }

    /// Writes the value of each dimension of combination `number` into `digits`.
    pub(super) fn write(&self, number: u64, digits: &mut [u64]) {
        let spread = u128::from(number % self.product) * u128::from(self.step) + u128::from(self.start);
        let mut rest = (spread % u128::from(self.product)) as u64;
        for (digit, size) in digits.iter_mut().zip(&self.sizes) {
            *digit = rest % size;
            rest /= size;
        }
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn combinations_are_distinct_and_complete() {
        for salt in [0, 1, 17, u64::MAX] {
            let combinations = Combinations::new(vec![4, 7, 1, 12], salt);
            let mut seen = HashSet::new();
            for number in 0..combinations.count() {
                let mut digits = [0; 4];
                combinations.write(number, &mut digits);
                assert!(seen.insert(digits), "{salt}: {digits:?} stands twice");
            }
            assert_eq!(seen.len(), 4 * 7 * 12);
        }
    }
}
