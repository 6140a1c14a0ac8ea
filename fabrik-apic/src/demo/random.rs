//! A pseudo-random sequence that is the same on every machine and in every release.

/// The golden ratio as a fraction of 2^64, odd: the step between two states.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// `SplitMix64`, after the public domain code at <https://prng.di.unimi.it/splitmix64.c>.
///
/// Written out here because the crates that offer it do not promise to keep their sequence, and a demo
/// fabric must not change with a dependency.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Returns a number from 0 to `end` - 1, and 0 when `end` is 0.
    ///
    /// The bias of multiplying instead of rejecting is below `end` in 2^64.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        scale(self.next(), end)
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Takes up to `count` items out of `pool`, each as likely as the other.
    pub(super) fn draw<T>(&mut self, pool: &mut Vec<T>, count: usize) -> Vec<T> {
        (0..count.min(pool.len())).map(|_| pool.swap_remove(self.index(pool.len()))).collect()
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.index(end + 1));
        }
    }
}

/// Spreads the bits of `state`, so that neighbouring states have unrelated results.
pub(crate) fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Maps 64 random bits to a number from 0 to `end` - 1.
pub(super) fn scale(bits: u64, end: u64) -> u64 {
    u64::try_from((u128::from(bits) * u128::from(end)) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn sequence_is_that_of_the_published_code() {
        let mut random = Random::new(1_234_567);

        let got: Vec<u64> = (0..3).map(|_| random.next()).collect();

        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn draw_takes_no_item_twice_and_no_more_than_there_are() {
        let mut pool: Vec<u32> = (0..10).collect();

        let mut drawn = Random::new(1).draw(&mut pool, 20);

        drawn.sort_unstable();
        assert_eq!(drawn, (0..10).collect::<Vec<u32>>());
    }
}
