use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::InvalidInput;
use crate::error::check_bytes;

/// The documented 32 kB of one operation, read as thousands for safety.
const MAX_OPERATION: usize = 32_000;

/// Holds one operation of version 2: checked, and serialized once.
///
/// Cloning shares the bytes.
///
/// ```
/// use customerio::{Attributes, Operation, Person};
/// let mut attributes = Attributes::new();
/// attributes.insert("plan", "pro")?;
/// let operation = Operation::identify(&Person::id("u1")?, &attributes)?;
/// assert_eq!(
///     operation.json(),
///     br#"{"type":"person","action":"identify","identifiers":{"id":"u1"},"attributes":{"plan":"pro"}}"#,
/// );
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct Operation {
    json: Bytes,
    lane: Lane,
    other_lane: Option<Lane>,
    replay: Replay,
    company: Company,
}

/// Names the operations whose order must be kept: those of one person, by the identifier as given, or of one object.
///
/// It is a digest. Should two people ever share one, they wait for each other, and nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(u64);

/// Whether sending again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    Harmless,
    Repeats,
}

/// Whether an operation may share its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Batch,
}

impl Lane {
    pub(crate) fn of(identifier: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        identifier.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Operation {
    pub(super) fn new(
        json: Bytes,
        lane: Lane,
        replay: Replay,
        company: Company,
    ) -> Result<Self, InvalidInput> {
        check_bytes("operation", json.len(), MAX_OPERATION)?;
        Ok(Self {
            json,
            lane,
            other_lane: None,
            replay,
            company,
        })
    }

    /// Makes it an operation that names two people.
    pub(super) fn and_lane(self, other: Lane) -> Self {
        Self {
            other_lane: Some(other),
            ..self
        }
    }

    /// Returns the serialized operation.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the size in bytes, at most 32,000.
    #[must_use]
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// Returns the key of the operations that must keep their order with this one.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns the key of the second person whom a merge names: their operations keep their order with it, too.
    #[must_use]
    pub fn other_lane(&self) -> Option<Lane> {
        self.other_lane
    }

    /// Returns whether sending it again changes nothing.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        self.replay == Replay::Harmless
    }

    /// Returns whether it must not share a request: merges, deletions, suppressions, and what may not be replayed.
    #[must_use]
    pub fn goes_alone(&self) -> bool {
        self.company == Company::Alone
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.json.clone()
    }
}

impl fmt::Debug for Operation {
    /// Shows size and lane; the payload is a person's data and stays out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("size", &self.size())
            .field("lane", &self.lane)
            .field("replay", &self.replay)
            .field("company", &self.company)
            .finish_non_exhaustive()
    }
}
