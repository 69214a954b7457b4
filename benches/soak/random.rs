//! Pseudo-random numbers by a seed (SplitMix64).

/// The generator of one session.
pub struct Random(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The generator with this number of a seed.
    pub fn new(seed: u64, number: u64) -> Random {
        let mut random =
            Random(seed.wrapping_mul(STEP) ^ number.wrapping_mul(0xBF58_476D_1CE4_E5B9));
        random.below(1);
        random
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(STEP);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % n as u64) as usize
    }

    /// One of the items, of which there must be some.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
