use std::fmt;

use serde::ser::{Error, Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::Attributes;
use crate::InvalidInput;
use crate::error::Problem;

/// Takes the fields of a struct or the entries of a map, one after the other.
pub(super) struct Fields<'a>(pub(super) &'a mut Attributes);

/// How the names of structs begin that are none: `serde_json` marks JSON that is written already by them.
const SERDE_JSON: &str = "$serde_json::private";

/// Why the fields were not taken.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The value is neither a struct nor a map; an enum may be an object all the same.
    NoFields,
    Refused(InvalidInput),
}

impl From<InvalidInput> for Stopped {
    fn from(refused: InvalidInput) -> Self {
        Self::Refused(refused)
    }
}

impl Error for Stopped {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Refused(InvalidInput::new("attributes", Problem::NotSerializable))
    }
}

impl std::error::Error for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fields were not taken")
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        self.0.put_name(name)?;
        self.serialize_value(value)
    }

    fn end(self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Stopped> {
        Ok(self.0.put_any_name(name)?)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        Ok(self.0.put_value(value)?)
    }

    fn end(self) -> Result<(), Stopped> {
        Ok(())
    }
}

/// Writes the methods of values that have no fields.
macro_rules! no_fields {
    ($($method:ident($($type:ty),*))*) => {
        $(fn $method(self, $(_: $type),*) -> Result<(), Stopped> {
            Err(Stopped::NoFields)
        })*
    };
}

/// Writes the methods of compounds whose elements have no names of their own.
macro_rules! no_members {
    ($($method:ident($($type:ty),*))*) => {
        $(fn $method(self, $(_: $type),*) -> Result<Impossible<(), Stopped>, Stopped> {
            Err(Stopped::NoFields)
        })*
    };
}

impl Serializer for Fields<'_> {
    type Ok = ();
    type Error = Stopped;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeSeq = Impossible<(), Stopped>;
    type SerializeStructVariant = Impossible<(), Stopped>;
    type SerializeTuple = Impossible<(), Stopped>;
    type SerializeTupleStruct = Impossible<(), Stopped>;
    type SerializeTupleVariant = Impossible<(), Stopped>;

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

    fn serialize_map(self, len: Option<usize>) -> Result<Self, Stopped> {
        self.0.reserve(len.unwrap_or_default());
        Ok(self)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self, Stopped> {
        if name.starts_with(SERDE_JSON) {
            return Err(Stopped::NoFields);
        }
        self.serialize_map(Some(len))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, fields: &T) -> Result<(), Stopped> {
        fields.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        fields: &T,
    ) -> Result<(), Stopped> {
        fields.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Stopped> {
        Err(Stopped::NoFields)
    }
}
