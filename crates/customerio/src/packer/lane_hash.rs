use std::hash::{BuildHasher, Hasher, RandomState};

/// Hashes the lanes of a table in memory, at a fraction of the cost of SipHash.
///
/// A lane is a hash already, but of an id that a user of the application may choose. Without random
/// numbers, users could find ids whose lanes share a bucket, and make each lookup slow.
///
/// # Why it is safe
///
/// The hash is the upper half of `factor * lane + summand`, of 128 bits. Over the random numbers,
/// the hashes of any two lanes are uniform and independent (Dietzfelbinger 1996): the lanes share
/// one of `n` buckets with probability `1 / n`. No output shows the random numbers or the buckets.
#[derive(Clone)]
pub(super) struct LaneHash {
    factor: u128,
    summand: u128,
}

pub(super) struct LaneHasher {
    numbers: LaneHash,
    hash: u64,
}

impl LaneHash {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        let half = |index: u8| u128::from(random.hash_one(index));
        Self {
            factor: half(0) << 64 | half(1),
            summand: half(2) << 64 | half(3),
        }
    }
}

impl BuildHasher for LaneHash {
    type Hasher = LaneHasher;

    fn build_hasher(&self) -> LaneHasher {
        LaneHasher {
            numbers: self.clone(),
            hash: 0,
        }
    }
}

impl Hasher for LaneHasher {
    fn write_u64(&mut self, lane: u64) {
        let LaneHash { factor, summand } = self.numbers;
        let sum = factor.wrapping_mul(u128::from(lane)).wrapping_add(summand);
        self.hash = (sum >> 64) as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a lane is one number");
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Lane;

    /// With a hash that only passes lanes on, or the same one in each table, ids could be chosen
    /// whose lanes share a bucket.
    #[test]
    fn lanes_that_share_a_bucket_of_one_table_are_spread_in_another() {
        let bucket = |hash: &LaneHash, lane: &Lane| hash.hash_one(lane) % 256;
        let (one, other) = (LaneHash::new(), LaneHash::new());
        let lanes = (0..16_384).map(|id| Lane::of(&[&id.to_string()]));
        let lanes: Vec<_> = lanes.filter(|lane| bucket(&one, lane) == 0).collect();
        let buckets: HashSet<_> = lanes.iter().map(|lane| bucket(&other, lane)).collect();
        // About 64 lanes, of which chance puts 8 in the bucket of another one.
        assert!(buckets.len() > 30, "{} of {}", buckets.len(), lanes.len());
    }
}
