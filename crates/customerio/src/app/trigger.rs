use std::fmt;

use http::{Method, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{AppRequest, Filter, object};
use crate::error::{check_bytes, check_count, check_some};
use crate::json::{to_bytes, to_vec};
use crate::{InvalidInput, Person};

/// The documented number of people in one trigger, as ids, as emails or with data.
const MAX_PEOPLE: usize = 10_000;

/// The documented limit of the data of a trigger, in bytes.
const MAX_DATA: usize = 50_000;

/// The documented limit of a whole trigger: 25 MB, read as 25,000,000 bytes to be safe.
const MAX_PAYLOAD: usize = 25_000_000;

/// A trigger of an API-triggered broadcast.
///
/// ```
/// use customerio::app::{Audience, Trigger};
/// use serde_json::json;
///
/// let trigger = Trigger::new(5)
///     .data(&json!({"headline": "We moved"}))?
///     .audience(Audience::Ids(vec!["u1".into(), "u2".into()]))
///     .ignore_missing_ids();
/// assert_eq!(trigger.to_request()?.path(), "/v1/campaigns/5/triggers");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `Debug` shows the number of the broadcast and leaves out data and audience.
///
/// # Limits
///
/// A broadcast is triggered once in 10 s, and Customer.io keeps up to five triggers that wait. The
/// client spaces its triggers, so its own never wait there. A trigger has at most 10,000 people,
/// 50,000 bytes of data, and 25,000,000 bytes in all. It creates no people.
#[derive(Clone)]
#[must_use]
pub struct Trigger {
    broadcast: u64,
    data: Map<String, Value>,
    audience: Audience,
    id_ignore_missing: bool,
    email_ignore_missing: bool,
    email_add_duplicates: bool,
}

/// The people that a trigger reaches.
///
/// `Debug` shows the kind and leaves out the people.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Audience {
    /// The people who are set up in the broadcast.
    #[default]
    OfBroadcast,
    /// The people who meet a condition.
    Recipients(Filter),
    /// The people with these email addresses, at most 10,000.
    Emails(Vec<String>),
    /// The people with these ids, at most 10,000.
    Ids(Vec<String>),
    /// People with data of their own, at most 10,000.
    PerUserData(Vec<PersonData>),
    /// The people of a file at this URL, up to 10 GB: one JSON object in each line, with `id` or
    /// `email`, and `data`, up to 2 MB a person.
    DataFile(String),
}

/// A person of a trigger, with data of their own.
///
/// `Debug` leaves out the data.
#[derive(Clone, PartialEq)]
pub struct PersonData {
    person: Person,
    data: Map<String, Value>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    person: &'a Person,
    #[serde(skip_serializing_if = "Map::is_empty")]
    data: &'a Map<String, Value>,
}

#[derive(Default, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<&'a Filter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emails: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_user_data: Option<Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_file_url: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    id_ignore_missing: bool,
    #[serde(skip_serializing_if = "is_false")]
    email_ignore_missing: bool,
    #[serde(skip_serializing_if = "is_false")]
    email_add_duplicates: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Trigger {
    /// Creates a trigger of the broadcast with this number, for the people who are set up in it.
    pub fn new(broadcast: u64) -> Self {
        Self {
            broadcast,
            data: Map::new(),
            audience: Audience::default(),
            id_ignore_missing: false,
            email_ignore_missing: false,
            email_add_duplicates: false,
        }
    }

    /// Sets the data for the template, from a struct or a map.
    ///
    /// # Errors
    ///
    /// The value is no JSON object, contains NaN or an infinity, or takes more than 50,000 bytes.
    pub fn data(mut self, data: &(impl Serialize + ?Sized)) -> Result<Self, InvalidInput> {
        self.data = object("trigger data", data)?;
        check_bytes("trigger data", to_vec(&self.data).len(), MAX_DATA)?;
        Ok(self)
    }

    /// Sets the people that the trigger reaches, in place of those set up in the broadcast.
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// Leaves out ids that do not exist. By default, one of them fails the whole broadcast.
    pub fn ignore_missing_ids(mut self) -> Self {
        self.id_ignore_missing = true;
        self
    }

    /// Leaves out email addresses that do not exist. By default, one of them fails the whole
    /// broadcast.
    pub fn ignore_missing_emails(mut self) -> Self {
        self.email_ignore_missing = true;
        self
    }

    /// Reaches each person of an email address that several people have. By default it is an error.
    pub fn add_duplicate_emails(mut self) -> Self {
        self.email_add_duplicates = true;
        self
    }

    /// Checks the trigger and returns its request.
    ///
    /// # Errors
    ///
    /// A list of people is empty or has more than 10,000, the URL of a file is not http or https, a
    /// setting for missing or duplicate people has no list that it applies to, or the trigger takes
    /// more than 25,000,000 bytes.
    pub fn to_request(&self) -> Result<AppRequest, InvalidInput> {
        self.audience.check()?;
        let has_setting =
            self.id_ignore_missing || self.email_ignore_missing || self.email_add_duplicates;
        if has_setting && !self.audience.is_list() {
            return Err(InvalidInput::malformed(
                "trigger",
                "ignores missing people or adds duplicates, but has no list of people; \
                 give one, or leave the setting out",
            ));
        }
        let body = to_bytes(&self.body());
        check_bytes("trigger", body.len(), MAX_PAYLOAD)?;
        let path = format!("/v1/campaigns/{}/triggers", self.broadcast);
        Ok(AppRequest::new(Method::POST, &path)?.with_json(body))
    }

    fn body(&self) -> Body<'_> {
        let body = Body {
            data: Some(&self.data).filter(|data| !data.is_empty()),
            id_ignore_missing: self.id_ignore_missing,
            email_ignore_missing: self.email_ignore_missing,
            email_add_duplicates: self.email_add_duplicates,
            ..Body::default()
        };
        match &self.audience {
            Audience::OfBroadcast => body,
            Audience::Recipients(filter) => Body {
                recipients: Some(filter),
                ..body
            },
            Audience::Emails(emails) => Body {
                emails: Some(emails),
                ..body
            },
            Audience::Ids(ids) => Body {
                ids: Some(ids),
                ..body
            },
            Audience::PerUserData(people) => Body {
                per_user_data: Some(people.iter().map(PersonData::entry).collect()),
                ..body
            },
            Audience::DataFile(url) => Body {
                data_file_url: Some(url),
                ..body
            },
        }
    }
}

impl Audience {
    fn is_list(&self) -> bool {
        !matches!(self, Self::OfBroadcast | Self::Recipients(_))
    }

    fn check(&self) -> Result<(), InvalidInput> {
        let (count, is_blank) = match self {
            Self::OfBroadcast | Self::Recipients(_) => return Ok(()),
            Self::Emails(people) | Self::Ids(people) => (
                people.len(),
                people.iter().any(|person| person.trim().is_empty()),
            ),
            Self::PerUserData(people) => (people.len(), false),
            Self::DataFile(url) => return check_url(url),
        };
        check_some("people", count)?;
        check_count("people", count, MAX_PEOPLE)?;
        if is_blank {
            return Err(InvalidInput::malformed(
                "people",
                "have a blank identifier; leave it out",
            ));
        }
        Ok(())
    }
}

pub(super) fn check_url(url: &str) -> Result<(), InvalidInput> {
    let uri = url.parse::<Uri>().ok();
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http" | "https") => Ok(()),
        _ => Err(InvalidInput::malformed(
            "data file",
            "is not a URL of http or https, from which Customer.io could load it; give one",
        )),
    }
}

impl PersonData {
    /// Creates an entry for a person, identified by id or by email.
    ///
    /// # Errors
    ///
    /// The person is identified in another way, or `data` is no JSON object or contains NaN or an
    /// infinity.
    pub fn new(person: &Person, data: &(impl Serialize + ?Sized)) -> Result<Self, InvalidInput> {
        if !matches!(person.key(), "email" | "id") {
            return Err(InvalidInput::malformed(
                "person of a trigger",
                "is not identified by email or id, and a trigger supports no other; use one of \
                 them",
            ));
        }
        Ok(Self {
            person: person.clone(),
            data: object("data of a person", data)?,
        })
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            person: &self.person,
            data: &self.data,
        }
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("broadcast", &self.broadcast)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfBroadcast => f.write_str("OfBroadcast"),
            Self::Recipients(_) => f.write_str("Recipients([redacted])"),
            Self::Emails(people) => write!(f, "Emails({} people)", people.len()),
            Self::Ids(people) => write!(f, "Ids({} people)", people.len()),
            Self::PerUserData(people) => write!(f, "PerUserData({} people)", people.len()),
            Self::DataFile(_) => f.write_str("DataFile([redacted])"),
        }
    }
}

impl fmt::Debug for PersonData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonData({:?}, [redacted])", self.person)
    }
}
