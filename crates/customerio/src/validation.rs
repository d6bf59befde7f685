/// The checks before an operation is sent.
///
/// Input that cannot be sent is an error with each variant: an empty id, `.` or `..` as an id, NaN
/// or an infinity, an operation over 32,000 bytes, a time in milliseconds.
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
    /// Checks each documented limit and format.
    #[default]
    Strict,
    /// Checks the limits for which the API documents a 400: attributes over their limits, blank
    /// event names, and too much data in an event. Does not check the length of ids and event
    /// names, or the format of emails and phone numbers.
    Lenient,
    /// Checks nothing else.
    Off,
}

impl Validation {
    /// Returns whether all documented limits are checked, also those that the server may not
    /// enforce.
    pub(crate) const fn is_strict(self) -> bool {
        matches!(self, Self::Strict)
    }

    /// Returns whether the checks of the server are not repeated here.
    pub(crate) const fn is_off(self) -> bool {
        matches!(self, Self::Off)
    }
}
