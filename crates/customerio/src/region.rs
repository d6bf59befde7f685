use std::ffi::OsStr;
use std::str::FromStr;
use std::{env, fmt};

use crate::InvalidInput;

pub(crate) const REGION: &str = "CUSTOMERIO_REGION";

/// The region in which an account is held.
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
    /// Reads `CUSTOMERIO_REGION` from the environment. If it is not set or empty, returns
    /// [`Region::Us`].
    ///
    /// # Errors
    ///
    /// The value is not a region.
    pub fn from_env() -> Result<Self, InvalidInput> {
        Self::from_variable(env::var_os(REGION).as_deref())
    }

    fn from_variable(value: Option<&OsStr>) -> Result<Self, InvalidInput> {
        match value.filter(|value| !value.is_empty()) {
            Some(name) => name.to_string_lossy().parse(),
            None => Ok(Self::default()),
        }
    }

    /// Returns the base URL of the Track API in this region.
    #[must_use]
    pub const fn track_url(self) -> &'static str {
        match self {
            Self::Eu => "https://track-eu.customer.io",
            Self::Us => "https://track.customer.io",
        }
    }

    /// Returns the base URL of the App API in this region.
    #[must_use]
    pub const fn app_url(self) -> &'static str {
        match self {
            Self::Eu => "https://api-eu.customer.io",
            Self::Us => "https://api.customer.io",
        }
    }

    /// Returns the region of a host, if it is one of Customer.io's Track API or App API.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        let is_host = |url: &str| {
            let own = url.strip_prefix("https://");
            own.is_some_and(|own| own.eq_ignore_ascii_case(host))
        };
        let mut regions = [Self::Eu, Self::Us].into_iter();
        regions.find(|region| is_host(region.track_url()) || is_host(region.app_url()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_gives_a_region_or_the_default() {
        let check = |value: Option<&str>, expected| {
            let region = Region::from_variable(value.map(OsStr::new));
            assert_eq!(region.ok(), expected, "{value:?}");
        };
        check(None, Some(Region::Us));
        check(Some(""), Some(Region::Us));
        check(Some("eu"), Some(Region::Eu));
        check(Some("US"), Some(Region::Us));
        check(Some("moon"), None);
    }

    #[test]
    fn hosts_are_compared_as_a_whole() {
        let check = |host, expected| assert_eq!(Region::of_host(host), expected, "{host}");
        check("track.customer.io", Some(Region::Us));
        check("track-eu.customer.io", Some(Region::Eu));
        check("Track-EU.customer.io", Some(Region::Eu));
        check("api.customer.io", Some(Region::Us));
        check("api-eu.customer.io", Some(Region::Eu));
        check("track-eu.customer.io.example.com", None);
    }
}
