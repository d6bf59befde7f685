use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::{InvalidInput, Timestamp};

/// The id of an event, by which Customer.io ignores a second copy.
///
/// It is a ULID. The API compares the whole id and does not use the time in it. An id may therefore
/// be derived from the data of the event: it is then the same in each attempt, in each run and on
/// each machine.
///
/// ```
/// use customerio::EventId;
/// let first = EventId::derive("orders", "4711", None);
/// assert_eq!(first, EventId::derive("orders", "4711", None));
/// assert_ne!(first, EventId::derive("orders", "4712", None));
/// assert_eq!(first.to_string().len(), 26);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Ulid);

impl EventId {
    /// Derives the id of the event with this `key` in a `namespace`.
    ///
    /// The random part is the first 80 bits of SHA-256 over the length of the namespace (eight
    /// bytes, big endian), the namespace and the key. The time part is `timestamp`, or 0 without
    /// one or before 1970.
    #[must_use]
    pub fn derive(
        namespace: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        timestamp: Option<Timestamp>,
    ) -> Self {
        let namespace = namespace.as_ref();
        // The length separates namespace and key: ("a", "bc") and ("ab", "c") differ.
        let digest = Sha256::new()
            .chain_update((namespace.len() as u64).to_be_bytes())
            .chain_update(namespace)
            .chain_update(key)
            .finalize();
        let random = digest[..10]
            .iter()
            .fold(0, |random, byte| random << 8 | u128::from(*byte));
        Self::from_parts(timestamp.and_then(Timestamp::millis).unwrap_or(0), random)
    }

    /// Creates an id from 80 random bits of the system.
    ///
    /// Keep the id with the event, so that each attempt and each run sends the same one.
    /// [`derive`](Self::derive) needs no memory.
    ///
    /// # Panics
    ///
    /// Panics if the system has no source of randomness, which
    /// [`ClientBuilder::build`](crate::client::ClientBuilder::build) reports as an error.
    ///
    /// ```
    /// use customerio::EventId;
    /// assert_ne!(EventId::random(), EventId::random());
    /// ```
    #[cfg(feature = "client")]
    #[must_use]
    pub fn random() -> Self {
        crate::client::random_id()
    }

    /// Creates an id from the lower 48 bits of a time in unix milliseconds and the lower 80 bits of
    /// a random number.
    #[must_use]
    pub const fn from_parts(unix_millis: u64, random: u128) -> Self {
        Self(Ulid::from_parts(unix_millis, random))
    }
}

impl FromStr for EventId {
    type Err = InvalidInput;

    /// Parses the 26 characters of a ULID.
    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        Ulid::from_string(text).map(Self).map_err(|_| {
            InvalidInput::malformed(
                "event id",
                "is not a ULID; derive one from your own key with `EventId::derive`",
            )
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::new(seconds).unwrap())
    }

    /// The values were not computed with this crate. If one changes, an import that is repeated
    /// after an update creates second events.
    #[test]
    fn derived_ids_never_change() {
        let check = |timestamp, expected: &str| {
            assert_eq!(
                EventId::derive("ns", "key", timestamp).to_string(),
                expected
            );
        };
        check(None, "0000000000DK8TXSRFS6FYQ1S5");
        check(seconds(1_561_231_234), "01DE0A44YGDK8TXSRFS6FYQ1S5");
    }

    #[test]
    fn times_before_1970_count_as_no_time() {
        let check = |timestamp| EventId::derive("ns", "key", timestamp);
        assert_eq!(check(seconds(-1)), check(None));
        assert_ne!(check(seconds(1)), check(None));
    }

    #[test]
    fn the_border_of_namespace_and_key_counts() {
        assert_ne!(
            EventId::derive("a", "bc", None),
            EventId::derive("ab", "c", None)
        );
    }

    #[test]
    fn an_id_is_parsed_from_its_text() {
        let id: EventId = "01HB4HBDKTFWYZCK01DMRSWRFD".parse().unwrap();
        assert_eq!(id.to_string(), "01HB4HBDKTFWYZCK01DMRSWRFD");
        assert!("u1".parse::<EventId>().is_err());
    }
}
