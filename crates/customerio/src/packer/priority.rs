/// The priority of a lane among the lanes that are ready.
///
/// A lane with a higher priority always goes first, so one that never ends delays the others for
/// as long. The order within a lane does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Goes after the others, as a backfill does.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Goes before the others, as an event that triggers a receipt does.
    High,
}

impl Priority {
    pub(super) const COUNT: usize = 3;
    pub(super) const DESCENDING: [Self; Self::COUNT] = [Self::High, Self::Normal, Self::Low];
}
