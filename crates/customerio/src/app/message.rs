//! The six kinds of transactional messages. Each type has the members that its channel has.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{AppRequest, object};
use crate::device::DeviceBody;
use crate::error::{check_bytes, check_count, check_length};
use crate::json::{JsonObject, to_vec};
use crate::{Device, InvalidInput, Person, Timestamp};

/// The documented limit of a message without its attachments: 1 MB, read as 1,000,000 bytes to be
/// safe.
const MAX_PAYLOAD: usize = 1_000_000;

/// The documented limit of all attachments of an email together: 2 MB, before they are encoded.
const MAX_ATTACHMENTS: usize = 2_000_000;

/// The documented number of recipients in `to`, `cc` and `bcc` together.
const MAX_RECIPIENTS: usize = 15;

/// A transactional message: it can be sent with `client.app().send(&message)`.
pub trait Message: sealed::Sealed {
    /// Checks the message and returns its request.
    ///
    /// # Errors
    ///
    /// A documented limit is exceeded, a required member is empty, or the person is identified by
    /// phone number, which messages do not support.
    fn to_request(&self) -> Result<AppRequest, InvalidInput>;
}

mod sealed {
    #[expect(unnameable_types, reason = "it seals a trait")]
    pub trait Sealed {}
}

/// The template of a message: its number, or the name of its trigger, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Template {
    /// The number of the template.
    Id(u64),
    /// The name of the template's trigger.
    Name(String),
}

impl From<u64> for Template {
    fn from(id: u64) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for Template {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Template {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

/// The devices that receive a push notification.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushTo {
    /// Each device of the person.
    All,
    /// The device that the person used last.
    LastUsed,
    /// The device with this token.
    Device(String),
}

impl Serialize for PushTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::All => "all",
            Self::LastUsed => "last_used",
            Self::Device(token) => token,
        })
    }
}

/// Leaves out the token of a device.
impl fmt::Debug for PushTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::LastUsed => "LastUsed",
            Self::Device(_) => "Device([redacted])",
        })
    }
}

/// The sound of a push notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Sound {
    /// The sound of the device.
    Default,
    /// No sound.
    None,
}

/// All members of all channels. A public type has methods for those of its channel only.
#[derive(Clone, Serialize)]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(rename = "to", skip_serializing_if = "Option::is_none")]
    devices: Option<PushTo>,
    identifiers: Person,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactional_message_id: Option<Template>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_data: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_draft: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_create: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_message_retention: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_to_unsubscribed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracked: Option<bool>,
    #[serde(flatten)]
    email: EmailMembers,
    #[serde(flatten)]
    push: PushMembers,
}

#[derive(Clone, Default, Serialize)]
struct EmailMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_plain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_amp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preheader: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bcc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fake_bcc: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_css_preprocessing: Option<bool>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    #[serde(skip)]
    attachments: Vec<Attachment>,
}

#[derive(Clone, Default, Serialize)]
struct PushMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<Sound>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_data: Map<String, Value>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "custom_device"
    )]
    custom_device: Option<Device>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_payload: Map<String, Value>,
}

/// Writes a device as version 2 of the Track API does. It is not called without one.
fn custom_device<S: Serializer>(device: &Option<Device>, serializer: S) -> Result<S::Ok, S::Error> {
    let body: Option<DeviceBody<'_>> = device.as_ref().map(Device::named_token);
    body.serialize(serializer)
}

#[derive(Clone)]
struct Attachment {
    name: String,
    /// The size before encoding.
    bytes: usize,
    base64: String,
}

impl Members {
    fn new(template: Option<Template>, person: &Person) -> Self {
        Self {
            to: None,
            devices: None,
            identifiers: person.clone(),
            transactional_message_id: template,
            message_data: None,
            send_at: None,
            queue_draft: None,
            language: None,
            auto_create: None,
            disable_message_retention: None,
            send_to_unsubscribed: None,
            from: None,
            tracked: None,
            email: EmailMembers::default(),
            push: PushMembers::default(),
        }
    }

    /// Checks what all channels have in common, and returns the request.
    fn request(&self, path: &str) -> Result<AppRequest, InvalidInput> {
        self.identifiers.check_not_phone()?;
        if let Some(Template::Name(name)) = &self.transactional_message_id {
            check_length("message template", name.trim(), usize::MAX)?;
        }
        if let Some(language) = &self.language {
            check_length("message language", language.trim(), usize::MAX)?;
        }
        if self.auto_create == Some(true) && self.identifiers.key() != "id" {
            return Err(InvalidInput::malformed(
                "auto_create",
                "needs a person who is identified by id; use `Person::id`, or leave it out",
            ));
        }
        let mut json = to_vec(self);
        check_bytes("message without its attachments", json.len(), MAX_PAYLOAD)?;
        let attachments = &self.email.attachments;
        if !attachments.is_empty() {
            JsonObject::reopen(&mut json)
                .member("attachments", |json| write_attachments(attachments, json))
                .close();
        }
        Ok(AppRequest::new(Method::POST, path)?.with_json(json.into()))
    }

    /// Checks a phone number, which may be a placeholder that the API fills in.
    fn check_phone(&self) -> Result<(), InvalidInput> {
        let to = self.to.as_deref().unwrap_or_default();
        match to.contains("{{") || Person::phone(to).is_ok() {
            true => Ok(()),
            false => Err(InvalidInput::malformed(
                "message recipient",
                "is not of the form +15551234567 (E.164); give the country code and digits only",
            )),
        }
    }
}

fn write_attachments(attachments: &[Attachment], json: &mut Vec<u8>) {
    let by_name: BTreeMap<_, _> = attachments
        .iter()
        .map(|attachment| (&attachment.name, &attachment.base64))
        .collect();
    json.append(&mut to_vec(&by_name));
}

impl EmailMembers {
    fn check(&self, to: &str) -> Result<(), InvalidInput> {
        check_length("email recipient", to.trim(), usize::MAX)?;
        let lists = [Some(to), self.cc.as_deref(), self.bcc.as_deref()];
        let recipients = lists.into_iter().flatten().map(recipients).sum();
        check_count("email recipients", recipients, MAX_RECIPIENTS)?;
        self.check_headers()?;
        let size = self.attachments.iter().map(|attachment| attachment.bytes);
        check_bytes("email attachments", size.sum(), MAX_ATTACHMENTS)?;
        for (index, attachment) in self.attachments.iter().enumerate() {
            check_length("attachment name", attachment.name.trim(), usize::MAX)?;
            let others = &self.attachments[..index];
            if others.iter().any(|other| other.name == attachment.name) {
                return Err(InvalidInput::malformed(
                    "attachment name",
                    "is used twice, and the API would keep one of both; rename one",
                ));
            }
        }
        Ok(())
    }

    /// The documentation allows ASCII without spaces in names and values.
    fn check_headers(&self) -> Result<(), InvalidInput> {
        let is_visible =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_valid = |(name, value): (&String, &Value)| {
            is_visible(name) && !name.contains(':') && value.as_str().is_some_and(is_visible)
        };
        match self.headers.iter().all(is_valid) {
            true => Ok(()),
            false => Err(InvalidInput::malformed(
                "email header",
                "is empty, or contains a space or a letter outside of ASCII, which the API does \
                 not support; remove it",
            )),
        }
    }
}

/// Counts the addresses of a list. A comma in a quoted display name separates nothing.
fn recipients(list: &str) -> usize {
    let (mut count, mut is_quoted, mut is_escaped, mut is_blank) = (0, false, false, true);
    for letter in list.chars() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                count += usize::from(!is_blank);
                is_blank = true;
                continue;
            }
            _ => {}
        }
        is_blank &= letter.is_whitespace();
    }
    count + usize::from(!is_blank)
}

/// Defines a message: its type, and the methods for the members of its channel.
macro_rules! message {
    (
        $(#[$doc:meta])*
        $name:ident($path:literal, $check:expr): $($setter:ident)*
    ) => {
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use]
        pub struct $name(Members);

        impl $name {
            /// Sets the data of the template, from a struct or a map.
            ///
            /// # Errors
            ///
            /// The value is no JSON object, or contains NaN or an infinity.
            pub fn data(
                mut self,
                data: &(impl Serialize + ?Sized),
            ) -> Result<Self, InvalidInput> {
                self.0.message_data = Some(object("message data", data)?);
                Ok(self)
            }

            /// Sets the time at which the message is sent, at most 90 days ahead; by default it is
            /// sent at once. The API sends at once if the time is past, and rejects a later one.
            pub fn send_at(mut self, time: Timestamp) -> Self {
                self.0.send_at = Some(time);
                self
            }

            /// Sets whether the message is kept as a draft and not sent; by default it is sent.
            pub fn queue_draft(mut self, is_draft: bool) -> Self {
                self.0.queue_draft = Some(is_draft);
                self
            }

            /// Sets the language of the template, such as `fr`; by default the person's.
            pub fn language(mut self, language: impl Into<String>) -> Self {
                self.0.language = Some(language.into());
                self
            }

            $(setter!($setter);)*
        }

        impl sealed::Sealed for $name {}

        impl Message for $name {
            fn to_request(&self) -> Result<AppRequest, InvalidInput> {
                let check: fn(&Members) -> Result<(), InvalidInput> = $check;
                check(&self.0)?;
                self.0.request($path)
            }
        }

        /// Shows the template, and leaves out the rest, which is personal.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("template", &self.0.transactional_message_id)
                    .finish_non_exhaustive()
            }
        }
    };
}

/// Defines a method for a member that several channels have.
macro_rules! setter {
    (auto_create) => {
        /// Sets whether a person who does not exist is created; by default not. The person must be
        /// identified by id.
        pub fn auto_create(mut self, is_created: bool) -> Self {
            self.0.auto_create = Some(is_created);
            self
        }
    };
    (retention) => {
        /// Sets whether Customer.io keeps no copy of the message; by default it keeps one.
        pub fn disable_message_retention(mut self, is_disabled: bool) -> Self {
            self.0.disable_message_retention = Some(is_disabled);
            self
        }

        /// Sets whether a person who has unsubscribed receives the message; by default they do.
        pub fn send_to_unsubscribed(mut self, is_sent: bool) -> Self {
            self.0.send_to_unsubscribed = Some(is_sent);
            self
        }
    };
    (from) => {
        /// Sets the sender; by default that of the template.
        pub fn from(mut self, sender: impl Into<String>) -> Self {
            self.0.from = Some(sender.into());
            self
        }

        /// Sets whether opens and clicks are tracked; by default they are.
        pub fn tracked(mut self, is_tracked: bool) -> Self {
            self.0.tracked = Some(is_tracked);
            self
        }
    };
}

message! {
    /// A transactional email.
    ///
    /// ```
    /// use customerio::Person;
    /// use customerio::app::{Email, Message};
    ///
    /// let person = Person::id("u1")?;
    /// let request = Email::new(44, &person, "\"Lovelace, Ada\" <ada@example.com>")
    ///     .cc("support@example.com")
    ///     .header("X-Order", "4711")
    ///     .attachment("receipt.txt", "23.45 EUR")
    ///     .to_request()?;
    /// assert_eq!(request.path(), "/v1/send/email");
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    ///
    /// # Limits
    ///
    /// An email has at most 15 recipients in `to`, `cc` and `bcc`, 2,000,000 bytes of attachments
    /// and 1,000,000 bytes of everything else.
    Email("/v1/send/email", |members| {
        members.email.check(members.to.as_deref().unwrap_or_default())
    }): auto_create retention from
}

impl Email {
    /// Creates an email from a template. `to` is an address, or a list with commas.
    pub fn new(template: impl Into<Template>, person: &Person, to: impl Into<String>) -> Self {
        Self(Members {
            to: Some(to.into()),
            ..Members::new(Some(template.into()), person)
        })
    }

    /// Creates an email without a template. `from` is a verified sender; a display name in it is
    /// quoted: `"Ada" <ada@example.com>`.
    ///
    /// ```
    /// use customerio::Person;
    /// use customerio::app::{Email, Message};
    ///
    /// let person = Person::id("u1")?;
    /// let email = Email::without_template(&person, "a@b.co", "shop@b.co", "Hello", "<p>Hi</p>");
    /// assert!(email.to_request().is_ok());
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    pub fn without_template(
        person: &Person,
        to: impl Into<String>,
        from: impl Into<String>,
        subject: impl Into<String>,
        body: impl Into<String>,
    ) -> Self {
        let members = Members {
            to: Some(to.into()),
            from: Some(from.into()),
            ..Members::new(None, person)
        };
        Self(members).subject(subject).body(body)
    }

    /// Sets the subject; by default that of the template.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.0.email.subject = Some(subject.into());
        self
    }

    /// Sets the body as HTML; by default that of the template.
    pub fn body(mut self, html: impl Into<String>) -> Self {
        self.0.email.body = Some(html.into());
        self
    }

    /// Sets the body as plain text; by default it is made of the HTML.
    pub fn body_plain(mut self, text: impl Into<String>) -> Self {
        self.0.email.body_plain = Some(text.into());
        self
    }

    /// Sets the body as AMP for email.
    pub fn body_amp(mut self, amp: impl Into<String>) -> Self {
        self.0.email.body_amp = Some(amp.into());
        self
    }

    /// Sets the text that an inbox shows beside the subject.
    pub fn preheader(mut self, text: impl Into<String>) -> Self {
        self.0.email.preheader = Some(text.into());
        self
    }

    /// Sets the address to which replies go.
    pub fn reply_to(mut self, address: impl Into<String>) -> Self {
        self.0.email.reply_to = Some(address.into());
        self
    }

    /// Sets the recipients of a copy: an address, or a list with commas.
    pub fn cc(mut self, addresses: impl Into<String>) -> Self {
        self.0.email.cc = Some(addresses.into());
        self
    }

    /// Sets the recipients of a blind copy: an address, or a list with commas.
    pub fn bcc(mut self, addresses: impl Into<String>) -> Self {
        self.0.email.bcc = Some(addresses.into());
        self
    }

    /// Sets whether each blind copy names its recipient in its subject; by default not.
    pub fn fake_bcc(mut self, is_fake: bool) -> Self {
        self.0.email.fake_bcc = Some(is_fake);
        self
    }

    /// Sets whether the styles are left as they are; by default they are written into the tags.
    pub fn disable_css_preprocessing(mut self, is_disabled: bool) -> Self {
        self.0.email.disable_css_preprocessing = Some(is_disabled);
        self
    }

    /// Sets a header. Name and value are ASCII without spaces. The API rejects reserved names.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Value::String(value.into());
        self.0.email.headers.insert(name.into(), value);
        self
    }

    /// Attaches a file, which is encoded as base64. Each name is used once, and its ending says
    /// the type of the file. The API rejects some types.
    pub fn attachment(mut self, name: impl Into<String>, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.0.email.attachments.push(Attachment {
            name: name.into(),
            bytes: content.len(),
            base64: STANDARD.encode(content),
        });
        self
    }
}

message! {
    /// A transactional push notification, to all devices of a person by default.
    ///
    /// ```
    /// use customerio::Person;
    /// use customerio::app::{Message, Push, PushTo};
    ///
    /// let person = Person::id("u1")?;
    /// let push = Push::new("shipped", &person).to(PushTo::LastUsed).title("On its way");
    /// assert_eq!(push.to_request()?.path(), "/v1/send/push");
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    Push("/v1/send/push", |members| match &members.devices {
        Some(PushTo::Device(token)) => crate::device::check_token(token),
        Some(PushTo::All | PushTo::LastUsed) | None => Ok(()),
    }): auto_create retention
}

impl Push {
    /// Creates a push notification from a template.
    pub fn new(template: impl Into<Template>, person: &Person) -> Self {
        Self(Members::new(Some(template.into()), person))
    }

    /// Sets the devices that receive it; by default all of the person.
    pub fn to(mut self, devices: PushTo) -> Self {
        self.0.devices = Some(devices);
        self
    }

    /// Sets the title; by default that of the template.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.0.push.title = Some(title.into());
        self
    }

    /// Sets the text; by default that of the template.
    pub fn message(mut self, text: impl Into<String>) -> Self {
        self.0.push.message = Some(text.into());
        self
    }

    /// Sets the image.
    pub fn image_url(mut self, url: impl Into<String>) -> Self {
        self.0.push.image_url = Some(url.into());
        self
    }

    /// Sets the link that a tap opens.
    pub fn link(mut self, link: impl Into<String>) -> Self {
        self.0.push.link = Some(link.into());
        self
    }

    /// Sets the sound.
    pub fn sound(mut self, sound: Sound) -> Self {
        self.0.push.sound = Some(sound);
        self
    }

    /// Adds a value for the app. Firebase carries strings only.
    pub fn custom_data(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Value::String(value.into());
        self.0.push.custom_data.insert(name.into(), value);
        self
    }

    /// Adds a device to the person when the notification is sent.
    pub fn custom_device(mut self, device: Device) -> Self {
        self.0.push.custom_device = Some(device);
        self
    }

    /// Sets the whole notification for iOS, in the format of FCM or of APNs. It replaces all other
    /// settings.
    ///
    /// # Errors
    ///
    /// The value is no JSON object, or contains NaN or an infinity.
    pub fn ios_payload(self, payload: &(impl Serialize + ?Sized)) -> Result<Self, InvalidInput> {
        self.payload("ios", payload)
    }

    /// Sets the whole notification for Android, in the format of FCM. It replaces all other
    /// settings.
    ///
    /// # Errors
    ///
    /// As for [`ios_payload`](Self::ios_payload).
    pub fn android_payload(
        self,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Self, InvalidInput> {
        self.payload("android", payload)
    }

    fn payload(
        mut self,
        platform: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Self, InvalidInput> {
        let payload = Value::Object(object("push payload", payload)?);
        self.0
            .push
            .custom_payload
            .insert(platform.to_owned(), payload);
        Ok(self)
    }
}

message! {
    /// A transactional SMS.
    ///
    /// The recipient is a phone number such as `+15551234567`, or Liquid such as
    /// `{{customer.phone}}`.
    Sms("/v1/send/sms", Members::check_phone): auto_create retention from
}

message! {
    /// A transactional WhatsApp message. The recipient is as for [`Sms`].
    WhatsApp("/v1/send/whatsapp", Members::check_phone): retention from
}

impl Sms {
    /// Creates an SMS from a template.
    pub fn new(template: impl Into<Template>, person: &Person, to: impl Into<String>) -> Self {
        Self(Members {
            to: Some(to.into()),
            ..Members::new(Some(template.into()), person)
        })
    }
}

impl WhatsApp {
    /// Creates a WhatsApp message from a template.
    pub fn new(template: impl Into<Template>, person: &Person, to: impl Into<String>) -> Self {
        Self(Members {
            to: Some(to.into()),
            ..Members::new(Some(template.into()), person)
        })
    }
}

message! {
    /// A transactional in-app message.
    InApp("/v1/send/in_app", |_| Ok(())): auto_create
}

impl InApp {
    /// Creates an in-app message from a template.
    pub fn new(template: impl Into<Template>, person: &Person) -> Self {
        Self(Members::new(Some(template.into()), person))
    }
}

message! {
    /// A transactional message to the inbox of an app.
    InboxMessage("/v1/send/inbox_message", |_| Ok(())): auto_create
}

impl InboxMessage {
    /// Creates an inbox message from a template.
    pub fn new(template: impl Into<Template>, person: &Person) -> Self {
        Self(Members::new(Some(template.into()), person))
    }

    /// Sets the recipient; by default the person.
    pub fn to(mut self, recipient: impl Into<String>) -> Self {
        self.0.to = Some(recipient.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_display_name_separates_no_recipients() {
        let check = |list, expected| assert_eq!(recipients(list), expected, "{list}");
        check("a@b.co", 1);
        check("a@b.co, c@d.co", 2);
        check("a@b.co, ,c@d.co,", 2);
        check("\"A, B\" <a@b.co>", 1);
        check("\"A \\\", B\" <a@b.co>,c@d.co", 2);
        check("", 0);
    }
}
