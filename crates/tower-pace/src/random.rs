use rand::SeedableRng;
use rand::rngs::SmallRng;
#[expect(clippy::disallowed_types, reason = "the system seeds jitter here")]
use rand::rngs::SysRng;

/// Returns a generator for the jitter of backoffs, seeded by the system.
///
/// If the system has no randomness, the seed is constant, and so is the jitter.
pub(crate) fn seeded_by_system() -> SmallRng {
    try_seeded_by_system().unwrap_or_else(|| SmallRng::seed_from_u64(0))
}

/// Returns a generator whose values must not come again, or `None` if the system has no
/// randomness.
pub(crate) fn try_seeded_by_system() -> Option<SmallRng> {
    SmallRng::try_from_rng(&mut SysRng).ok()
}
