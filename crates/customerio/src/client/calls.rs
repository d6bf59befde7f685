use super::{Client, Error};
use crate::{AnonymousEvent, Attributes, Device, Event, Operation, Person, Request, v1};

/// The usual operations by name; [`Client::submit`] takes any other.
impl Client {
    /// Creates a person or updates their attributes.
    ///
    /// # Errors
    ///
    /// The operation was rejected, was not sent, or its fate is unknown.
    pub async fn identify(&self, person: &Person, attributes: &Attributes) -> Result<(), Error> {
        self.submit(Operation::identify(person, attributes)?).await
    }

    /// Reports what a person did. An event without an id gets a fresh one, so that it can be sent again safely.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn track(&self, person: &Person, event: &Event) -> Result<(), Error> {
        let operation = match event.id {
            Some(_) => Operation::event(person, event)?,
            None => Operation::event(person, &self.with_id(event))?,
        };
        self.submit(operation).await
    }

    /// Reports what somebody did who is not identified yet. An event without an id gets a fresh one.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn track_anonymous(&self, event: &AnonymousEvent) -> Result<(), Error> {
        let request = match event.event.id {
            Some(_) => v1::anonymous_event(event),
            None => v1::anonymous_event(&AnonymousEvent {
                anonymous_id: event.anonymous_id.clone(),
                event: self.with_id(&event.event),
            }),
        };
        self.submit(request).await
    }

    /// Adds a device to a person or updates it.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn add_device(&self, person: &Person, device: &Device) -> Result<(), Error> {
        self.submit(Operation::add_device(person, device)?).await
    }

    /// Removes a device from a person.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn delete_device(&self, person: &Person, token: &str) -> Result<(), Error> {
        self.submit(Operation::delete_device(person, token)?).await
    }

    /// Makes one person of two, once: after a failure that leaves open whether it arrived, it is not sent again.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn merge(&self, primary: &Person, secondary: &Person) -> Result<(), Error> {
        self.submit(Operation::merge(primary, secondary)?).await
    }

    /// Deletes a person and blocks their identifiers.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn suppress(&self, person: &Person) -> Result<(), Error> {
        self.submit(Operation::suppress(person)?).await
    }

    /// Lifts the block of a person's identifiers.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn unsuppress(&self, person: &Person) -> Result<(), Error> {
        self.submit(Operation::unsuppress(person)?).await
    }

    /// Deletes a person. A later operation about them may create them again.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn delete(&self, person: &Person) -> Result<(), Error> {
        self.submit(Operation::delete(person)?).await
    }

    /// Sends any operation of version 2 or request of version 1, as it was made.
    ///
    /// An event that was made one without an id stays without: after a failure that leaves open whether it arrived, it is
    /// not sent again. [`track`](Self::track) and [`track_anonymous`](Self::track_anonymous) give it an id before.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify); of a batch, the first operation that was not accepted tells. To know about
    /// each, take [`send`](Self::send).
    pub async fn submit(&self, request: impl Into<Request>) -> Result<(), Error> {
        let outcomes = self.send(request).await;
        outcomes.into_iter().try_for_each(Error::check)
    }
}
