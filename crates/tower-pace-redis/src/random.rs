use rand::SeedableRng;
use rand::rngs::SmallRng;
#[expect(clippy::disallowed_types, reason = "the system seeds jitter here")]
use rand::rngs::SysRng;

/// Returns a generator for the jitter of backoffs, seeded by the system.
///
/// If the system has no randomness, the seed is constant, and so is the jitter.
pub(crate) fn seeded_by_system() -> SmallRng {
    SmallRng::try_from_rng(&mut SysRng).unwrap_or_else(|_| SmallRng::seed_from_u64(0))
}
