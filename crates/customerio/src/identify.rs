use std::fmt;

use crate::{Attributes, Object, Person, Relationship, Timestamp};

/// An identify with more than attributes: its time, subscriptions, relationships, and whether it
/// may create the person.
///
/// [`Operation::identify_with`](crate::Operation::identify_with) and
/// [`v1::identify_with`](crate::v1::identify_with) send it. `Debug` shows the names of attributes
/// and leaves out the values.
///
/// ```
/// use customerio::{Attributes, Identify, Operation, Person};
/// let identify = Identify::new(Person::id("u1")?, Attributes::new());
/// let identify = identify.update_only().unsubscribe_topic(3);
/// let operation = Operation::identify_with(&identify)?;
/// assert!(operation.json().ends_with(
///     br#""attributes":{"_update":true,"cio_subscription_preferences.topics.topic_3":false}}"#,
/// ));
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct Identify {
    pub(crate) person: Person,
    pub(crate) attributes: Attributes,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) relationships: Vec<Relationship<Object>>,
}

impl Identify {
    /// Creates an identify of a person with attributes.
    pub fn new(person: Person, attributes: Attributes) -> Self {
        Self {
            person,
            attributes,
            timestamp: None,
            relationships: Vec::new(),
        }
    }

    /// Updates the person and never creates them. After a deletion, the API accepts the update and
    /// drops it.
    pub fn update_only(self) -> Self {
        self.with("_update", true)
    }

    /// Sets the time of the change. The server uses it to order changes that arrive in another
    /// order.
    pub fn timestamp(mut self, moment: Timestamp) -> Self {
        self.timestamp = Some(moment);
        self
    }

    /// Unsubscribes the person from everything.
    pub fn unsubscribe(self) -> Self {
        self.with("unsubscribed", true)
    }

    /// Reverts an [`unsubscribe`](Self::unsubscribe).
    pub fn resubscribe(self) -> Self {
        self.with("unsubscribed", false)
    }

    /// Subscribes the person to one topic. Other topics keep their state.
    pub fn subscribe_topic(self, topic: u32) -> Self {
        self.with(&topic_name(topic), true)
    }

    /// Unsubscribes the person from one topic. Other topics keep their state.
    pub fn unsubscribe_topic(self, topic: u32) -> Self {
        self.with(&topic_name(topic), false)
    }

    /// Relates the person to one more object.
    pub fn relationship(mut self, relationship: Relationship<Object>) -> Self {
        self.relationships.push(relationship);
        self
    }

    fn with(mut self, name: &str, value: bool) -> Self {
        self.attributes.set(name, &value);
        self
    }
}

/// Returns the dotted name, which changes one topic. A nested object would replace all topics.
fn topic_name(topic: u32) -> String {
    format!("cio_subscription_preferences.topics.topic_{topic}")
}

impl fmt::Debug for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identify")
            .field("person", &self.person)
            .field("attributes", &self.attributes)
            .field("timestamp", &self.timestamp)
            .field("relationships", &self.relationships.len())
            .finish()
    }
}
