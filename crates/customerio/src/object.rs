use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::check_length;
use crate::{InvalidInput, Lane};

/// The documented limit of an object's id, in bytes.
const MAX_ID: usize = 150;

/// The identifier of an object, such as a company or a course, to which people can be related.
///
/// `Debug` shows the type and leaves out the id.
///
/// ```
/// use customerio::{Attributes, Object, Operation};
/// let acme = Object::new(1, "acme")?; // of the first type that the workspace defines
/// let operation = Operation::identify_object(&acme, &Attributes::new(), &[])?;
/// assert_eq!(
///     operation.json(),
///     br#"{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"acme"}}"#,
/// );
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Object(Name);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    CioId(Box<str>),
    Id { type_id: u32, id: Box<str> },
}

impl Object {
    /// Creates the identifier from the number of the type in the workspace and your own id.
    ///
    /// # Errors
    ///
    /// The id is empty or longer than 150 bytes.
    pub fn new(type_id: u32, id: &str) -> Result<Self, InvalidInput> {
        check_length("object id", id, MAX_ID)?;
        let id = id.into();
        Ok(Self(Name::Id { type_id, id }))
    }

    /// Creates the identifier from the `cio_object_id` that Customer.io assigned. The object must
    /// exist.
    ///
    /// # Errors
    ///
    /// As for [`Object::new`].
    pub fn cio_object_id(id: &str) -> Result<Self, InvalidInput> {
        check_length("cio_object_id", id, MAX_ID)?;
        Ok(Self(Name::CioId(id.into())))
    }

    pub(crate) fn lane(&self) -> Lane {
        match &self.0 {
            Name::CioId(id) => Lane::of(&["cio_object_id", id]),
            Name::Id { type_id, id } => Lane::of(&["object_id", &type_id.to_string(), id]),
        }
    }
}

impl Serialize for Object {
    /// Writes the `identifiers` object. The API requires the number of the type as a string.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.0 {
            Name::CioId(id) => map.serialize_entry("cio_object_id", id)?,
            Name::Id { type_id, id } => {
                map.serialize_entry("object_type_id", &type_id.to_string())?;
                map.serialize_entry("object_id", id)?;
            }
        }
        map.end()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::CioId(_) => f.write_str("Object(cio_object_id)"),
            Name::Id { type_id, .. } => write!(f, "Object(type {type_id})"),
        }
    }
}
