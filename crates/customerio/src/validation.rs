/// Says how much is checked before anything is sent.
///
/// What cannot travel is refused by every kind: an empty id, one that a URL's path loses, a number that JSON lacks, an
/// operation over 32,000 bytes, a time in milliseconds.
///
/// ```
/// use customerio::{Attributes, Operation, Person, Validation};
/// let long = "x".repeat(2_000); // more than the documented 1,000 bytes of a value
/// let identify = |validation| {
///     let mut attributes = Attributes::with(validation);
///     attributes.insert("bio", &long)?;
///     Operation::identify(&Person::id("u1")?, &attributes)
/// };
/// assert!(identify(Validation::Strict).is_err());
/// assert!(identify(Validation::Off).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Validation {
    /// Every documented limit and form.
    #[default]
    Strict,
    /// Only what the server answers 400 to by its documentation: attributes over their limits, blank names of events,
    /// too much data in an event. The length of ids and of event names, and the forms of emails and phone numbers, are
    /// left to it.
    Lenient,
    /// Nothing beside what cannot travel.
    Off,
}

impl Validation {
    /// Returns whether what the documentation limits is checked, even where the server may take more.
    pub(crate) const fn is_strict(self) -> bool {
        matches!(self, Self::Strict)
    }

    /// Returns whether nothing is checked that the server would refuse by itself.
    pub(crate) const fn is_off(self) -> bool {
        matches!(self, Self::Off)
    }
}
