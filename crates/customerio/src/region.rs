use std::fmt;
use std::str::FromStr;

use crate::InvalidInput;

/// Names the data center that holds an account.
///
/// ```
/// use customerio::Region;
/// assert_eq!("EU".parse(), Ok(Region::Eu));
/// assert_eq!(Region::Eu.track_url(), "https://track-eu.customer.io");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Region {
    /// The European Union.
    Eu,
    /// The United States.
    #[default]
    Us,
}

impl Region {
    /// Returns the base URL of the Track API in this region.
    #[must_use]
    pub const fn track_url(self) -> &'static str {
        match self {
            Self::Eu => "https://track-eu.customer.io",
            Self::Us => "https://track.customer.io",
        }
    }

    /// Returns the region whose Track API answers at `host`.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        [Self::Eu, Self::Us]
            .into_iter()
            .find(|region| region.track_url().strip_prefix("https://") == Some(host))
    }
}

impl FromStr for Region {
    type Err = InvalidInput;

    fn from_str(name: &str) -> Result<Self, InvalidInput> {
        match name.to_ascii_lowercase().as_str() {
            "eu" => Ok(Self::Eu),
            "us" => Ok(Self::Us),
            _ => Err(InvalidInput::malformed(
                "region",
                "is neither `us` nor `eu`; give one of them",
            )),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eu => "eu",
            Self::Us => "us",
        })
    }
}
