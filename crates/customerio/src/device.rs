use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::error::check_length;
use crate::{InvalidInput, Timestamp};

/// No limit is documented for a token; those of Apple and Google take some hundred bytes.
const MAX_TOKEN: usize = 4_000;

/// The documented limit of an attribute's name and of its value, in bytes.
const MAX_NAME: usize = 150;
const MAX_VALUE: usize = 1_000;

/// Names the system that a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Platform {
    /// Google's.
    Android,
    /// Apple's.
    Ios,
}

/// Describes a device that takes push notifications.
///
/// Its attributes are strings, as the API wants them, even where they say yes or no. `Debug` shows no value.
///
/// ```
/// use customerio::{Device, Operation, Person, Platform};
/// let device = Device::new("token", Platform::Ios)?.push_disabled().attribute("app_version", "1.2")?;
/// let operation = Operation::add_device(&Person::id("u1")?, &device)?;
/// assert!(operation.json().ends_with(br#""attributes":{"app_version":"1.2","push_enabled":"false"}}}"#));
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
    /// Names a device by the token that its platform gave it.
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

    /// Sets when the device was last used.
    pub fn last_used(mut self, moment: Timestamp) -> Self {
        self.last_used = Some(moment);
        self
    }

    /// Says that the person lets the app notify them.
    pub fn push_enabled(self) -> Self {
        self.push("true")
    }

    /// Says that the person does not let the app notify them.
    pub fn push_disabled(self) -> Self {
        self.push("false")
    }

    fn push(mut self, enabled: &str) -> Self {
        self.attributes
            .insert("push_enabled".to_owned(), enabled.to_owned());
        self
    }

    /// Sets an attribute: `device_os`, `device_model`, `app_version`, `device_locale` or one of your own.
    ///
    /// # Errors
    ///
    /// The name is empty or takes more than 150 bytes, or the value takes more than 1,000.
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

    /// Returns the body of version 1, which calls the token `id`.
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
