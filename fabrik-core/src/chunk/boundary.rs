//! Where a node of the tree ends.
//!
//! A node ends after an item when a keyed hash of the item's key falls below a threshold that rises with
//! the number of items already in the node, so that sizes cluster around their mean (a Rayleigh
//! distribution above the minimum). Content-defined chunking does the same with bytes; see Xia et al.,
//! "FastCDC", USENIX ATC 2016, for the idea of a threshold that depends on the size so far.
//!
//! The hash sees keys only. So a changed attribute moves no boundary, and an added or removed row moves
//! one only when the threshold at its neighbours happened to lie between two counts: about one time in ten.
//!
//! Rows of one key stay in one leaf, unless they alone fill it.
//!
//! These numbers are part of the stored format: changing one changes every root.

/// The rule for one kind of node.
#[derive(Debug)]
pub(crate) struct Boundary {
    seed: &'static [u8; 32],
    /// No node but the last of its level has fewer items.
    min: usize,
    /// No node has more.
    max: usize,
    /// The chance to end at `n` items is `(n - min + 1) / scale`.
    scale: u64,
}

/// Leaves: 23 rows in the mean.
pub(crate) const LEAF: Boundary = Boundary { seed: b"fabrik leaf boundary, version 1.", min: 8, max: 96, scale: 163 };

/// Branches: 64 children in the mean.
pub(crate) const BRANCH: Boundary =
    Boundary { seed: b"fabrik node boundary, version 1.", min: 24, max: 256, scale: 1024 };

/// A leaf also ends once its rows take this many bytes. Ordinary rows never get there; it bounds what a
/// reader must hold when single values are large.
pub(crate) const LEAF_MAX_BYTES: usize = 1 << 20;

impl Boundary {
    /// Returns whether a node takes no more items.
    pub(crate) fn is_full(&self, count: usize) -> bool {
        count >= self.max
    }

    /// Returns whether a node ends after its `count`th item, whose key is `key`.
    pub(crate) fn ends_after(&self, count: usize, key: &[u8]) -> bool {
        if count < self.min {
            return false;
        }
        if self.is_full(count) {
            return true;
        }
        let hash = blake3::keyed_hash(self.seed, key);
        let head = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
        head < u64::MAX / self.scale * (count - self.min + 1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(rule: &Boundary, n: u32) -> Vec<usize> {
        let mut sizes = vec![];
        let mut count = 0;
        for i in 0..n {
            count += 1;
            if rule.ends_after(count, format!("uni/tn-{i}").as_bytes()) {
                sizes.push(std::mem::take(&mut count));
            }
        }
        sizes
    }

    #[test]
    fn sizes_cluster_around_the_mean() {
        for (rule, mean) in [(LEAF, 23.0), (BRANCH, 64.0)] {
            let sizes = sizes(&rule, 200_000);
            let found = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;

            assert!((found - mean).abs() < mean * 0.05, "mean {found}, wanted {mean}");
            assert!(sizes.iter().all(|size| (rule.min..=rule.max).contains(size)));
        }
    }
}
