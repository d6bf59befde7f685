use std::fmt;

use serde::ser::{Error, Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::Attributes;
use crate::InvalidInput;
use crate::error::Problem;

/// A serializer that reads the fields of a struct or the entries of a map into attributes.
pub(super) struct Fields<'a>(pub(super) &'a mut Attributes);

/// The prefix of struct names that `serde_json` uses for its own types, such as raw JSON. These are
/// not structs.
const SERDE_JSON: &str = "$serde_json::private";

/// The reason why a value was not read as fields.
#[derive(Debug)]
pub(super) enum NotRead {
    /// The value is neither a struct nor a map. An enum may still be an object.
    NoFields,
    Invalid(InvalidInput),
}

impl From<InvalidInput> for NotRead {
    fn from(invalid: InvalidInput) -> Self {
        Self::Invalid(invalid)
    }
}

impl Error for NotRead {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Invalid(InvalidInput::new("attributes", Problem::NotSerializable))
    }
}

impl std::error::Error for NotRead {}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value was not read as fields")
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = NotRead;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), NotRead> {
        self.0.put_name(name)?;
        self.serialize_value(value)
    }

    fn end(self) -> Result<(), NotRead> {
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = NotRead;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), NotRead> {
        Ok(self.0.put_any_name(name)?)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotRead> {
        Ok(self.0.put_value(value)?)
    }

    fn end(self) -> Result<(), NotRead> {
        Ok(())
    }
}

/// Writes the methods for values without fields.
macro_rules! no_fields {
    ($($method:ident($($type:ty),*))*) => {
        $(fn $method(self, $(_: $type),*) -> Result<(), NotRead> {
            Err(NotRead::NoFields)
        })*
    };
}

/// Writes the methods for lists and the like, whose elements have no names.
macro_rules! no_members {
    ($($method:ident($($type:ty),*))*) => {
        $(fn $method(self, $(_: $type),*) -> Result<Impossible<(), NotRead>, NotRead> {
            Err(NotRead::NoFields)
        })*
    };
}

impl Serializer for Fields<'_> {
    type Ok = ();
    type Error = NotRead;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeSeq = Impossible<(), NotRead>;
    type SerializeStructVariant = Impossible<(), NotRead>;
    type SerializeTuple = Impossible<(), NotRead>;
    type SerializeTupleStruct = Impossible<(), NotRead>;
    type SerializeTupleVariant = Impossible<(), NotRead>;

    no_fields! {
        serialize_bool(bool)
        serialize_bytes(&[u8])
        serialize_char(char)
        serialize_f32(f32)
        serialize_f64(f64)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i8(i8)
        serialize_none()
        serialize_str(&str)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u8(u8)
        serialize_unit()
        serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    no_members! {
        serialize_seq(Option<usize>)
        serialize_struct_variant(&'static str, u32, &'static str, usize)
        serialize_tuple(usize)
        serialize_tuple_struct(&'static str, usize)
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, NotRead> {
        self.0.reserve(len.unwrap_or_default());
        Ok(self)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self, NotRead> {
        if name.starts_with(SERDE_JSON) {
            return Err(NotRead::NoFields);
        }
        self.serialize_map(Some(len))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, fields: &T) -> Result<(), NotRead> {
        fields.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        fields: &T,
    ) -> Result<(), NotRead> {
        fields.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotRead> {
        Err(NotRead::NoFields)
    }
}
