//! A small pseudo-random generator, so that a seed means the same bytes for ever.
//!
//! SplitMix64 (Steele, Lea, Flood 2014), written out here because the generators of
//! a library may change with its versions. Integers only: no platform rounds them.

/// The generator of one stream: a person, a kind, a window.
pub(super) struct Random(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

impl Random {
    /// The stream that `parts` name; neighbouring parts give unrelated streams.
    pub(super) fn new(parts: &[u64]) -> Random {
        Random(
            parts
                .iter()
                .fold(0, |state, part| mix((state ^ part).wrapping_add(STEP))),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below(low.abs_diff(high) + 1) as i32
    }

    /// True in `percent` of a hundred draws.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// Bell-shaped around 0, never beyond ±`spread`; standard deviation 0.29 × `spread`.
    pub(super) fn noise(&mut self, spread: i32) -> i32 {
        let bits = self.next();
        let sum: i64 = (0..4).map(|i| (bits >> (16 * i) & 0xFFFF) as i64).sum();
        ((sum - 131_070) * i64::from(spread) / 131_070) as i32
    }

    /// One of the items, each as likely as the others. The list must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_on_every_machine() {
        // The published first outputs of SplitMix64 from state 0.
        let mut random = Random(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = Random::new(&[1, 2, 3]);
        let mut sum = 0;
        for _ in 0..10_000 {
            assert!(random.below(7) < 7);
            assert!((-3..=5).contains(&random.between(-3, 5)));
            let noise = random.noise(100);
            assert!((-100..=100).contains(&noise));
            sum += noise;
        }
        assert!(sum.abs() < 10_000, "the mean is {sum} / 10000");
    }
}
