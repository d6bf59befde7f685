use rand::SeedableRng;
use rand::rngs::SmallRng;
#[expect(clippy::disallowed_types, reason = "the system seeds jitter here")]
use rand::rngs::SysRng;

/// A generator for jitter, seeded by the system. Where that has no randomness to give, jitter is the same every time.
pub(crate) fn seeded_by_system() -> SmallRng {
    SmallRng::try_from_rng(&mut SysRng).unwrap_or_else(|_| SmallRng::seed_from_u64(0))
}
