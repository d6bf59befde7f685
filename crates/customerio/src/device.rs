use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::error::check_length;
use crate::{InvalidInput, Timestamp};

/// The longest device token, in bytes. No limit is documented; Apple's and Google's tokens take
/// some hundred bytes.
const MAX_TOKEN: usize = 4_000;

/// The documented limit of an attribute's name, in bytes.
const MAX_NAME: usize = 150;

/// The documented limit of an attribute's value, in bytes.
const MAX_VALUE: usize = 1_000;

/// The operating system of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Platform {
    /// Android by Google.
    Android,
    /// iOS by Apple.
    Ios,
}

/// A device that receives push notifications.
///
/// All attributes are strings, since the API requires it; `push_enabled` is `"true"` or `"false"`.
/// `Debug` leaves out token and attributes.
///
/// ```
/// use customerio::{Device, Operation, Person, Platform};
/// let device = Device::new("token", Platform::Ios)?.push_disabled();
/// let device = device.attribute("app_version", "1.2")?;
/// let operation = Operation::add_device(&Person::id("u1")?, &device)?;
/// let end = br#""attributes":{"app_version":"1.2","push_enabled":"false"}}}"#;
/// assert!(operation.json().ends_with(end));
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Device {
    token: String,
    platform: Platform,
    last_used: Option<Timestamp>,
    attributes: BTreeMap<String, String>,
}

impl Device {
    /// Creates a device from the token that its platform assigned.
    ///
    /// # Errors
    ///
    /// The token is empty or takes more than 4,000 bytes.
    pub fn new(token: impl Into<String>, platform: Platform) -> Result<Self, InvalidInput> {
        let token = token.into();
        check_token(&token)?;
        Ok(Self {
            token,
            platform,
            last_used: None,
            attributes: BTreeMap::new(),
        })
    }

    /// Sets the time of the last use.
    pub fn last_used(mut self, moment: Timestamp) -> Self {
        self.last_used = Some(moment);
        self
    }

    /// Records that the person allows push notifications.
    pub fn push_enabled(self) -> Self {
        self.push("true")
    }

    /// Records that the person does not allow push notifications.
    pub fn push_disabled(self) -> Self {
        self.push("false")
    }

    fn push(mut self, enabled: &str) -> Self {
        self.attributes
            .insert("push_enabled".to_owned(), enabled.to_owned());
        self
    }

    /// Sets an attribute, such as `device_os`, `device_model`, `app_version`, `device_locale` or
    /// one of your own.
    ///
    /// # Errors
    ///
    /// Name or value is empty, the name takes more than 150 bytes, or the value more than 1,000.
    pub fn attribute(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, InvalidInput> {
        let (name, value) = (name.into(), value.into());
        check_length("device attribute's name", &name, MAX_NAME)?;
        check_length("device attribute's value", &value, MAX_VALUE)?;
        self.attributes.insert(name, value);
        Ok(self)
    }

    /// Returns the body of version 1, in which the token is the member `id`.
    pub(crate) fn named_id(&self) -> DeviceBody<'_> {
        DeviceBody {
            id: Some(&self.token),
            token: None,
            ..self.named_token()
        }
    }

    /// Returns the body of version 2.
    pub(crate) fn named_token(&self) -> DeviceBody<'_> {
        DeviceBody {
            platform: Some(self.platform),
            last_used: self.last_used,
            attributes: Some(&self.attributes).filter(|attributes| !attributes.is_empty()),
            ..DeviceBody::of_token(&self.token)
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
pub(crate) struct DeviceBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<String, String>>,
}

impl<'a> DeviceBody<'a> {
    pub(crate) fn of_token(token: &'a str) -> Self {
        Self {
            id: None,
            token: Some(token),
            platform: None,
            last_used: None,
            attributes: None,
        }
    }
}

pub(crate) fn check_token(token: &str) -> Result<(), InvalidInput> {
    check_length("device token", token, MAX_TOKEN)
}
