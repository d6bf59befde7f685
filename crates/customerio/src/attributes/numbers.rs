//! Finds numbers that JSON cannot carry. `serde_json` writes NaN and infinities as `null`, and its
//! readers round integers of more than 64 bits.

use std::fmt;

use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use crate::error::Problem;

/// Checks that every number in `value` is finite, and every integer fits 64 bits.
///
/// A value that cannot be serialized passes; serializing it later returns the error.
pub(crate) fn check_numbers<T: Serialize + ?Sized>(value: &T) -> Result<(), Problem> {
    match value.serialize(NumberCheck) {
        Err(Found::NotFinite) => Err(Problem::NotFinite),
        Err(Found::TooWide) => Err(Problem::NotSerializable),
        Err(Found::Unserializable) | Ok(()) => Ok(()),
    }
}

/// A serializer that looks at every number and writes nothing.
#[derive(Clone, Copy)]
struct NumberCheck;

#[derive(Debug)]
enum Found {
    NotFinite,
    TooWide,
    Unserializable,
}

impl Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Unserializable
    }
}

impl std::error::Error for Found {}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a JSON number")
    }
}

fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), Found> {
    value.serialize(NumberCheck)
}

/// Writes the methods for values without a number that could be infinite.
macro_rules! valid {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, _: $type) -> Result<(), Found> {
            Ok(())
        })*
    };
}

/// Writes the trait of one compound, which checks each element.
macro_rules! compound {
    ($($trait:ident::$method:ident($($name:ty)?))*) => {
        $(impl $trait for NumberCheck {
            type Ok = ();
            type Error = Found;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_: $name,)?
                value: &T,
            ) -> Result<(), Found> {
                check(value)
            }

            fn end(self) -> Result<(), Found> {
                Ok(())
            }
        })*
    };
}

compound! {
    SerializeSeq::serialize_element()
    SerializeStruct::serialize_field(&'static str)
    SerializeStructVariant::serialize_field(&'static str)
    SerializeTuple::serialize_element()
    SerializeTupleStruct::serialize_field()
    SerializeTupleVariant::serialize_field()
}

impl SerializeMap for NumberCheck {
    type Ok = ();
    type Error = Found;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        check(value)
    }

    fn end(self) -> Result<(), Found> {
        Ok(())
    }
}

impl Serializer for NumberCheck {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    valid! {
        serialize_bool(bool)
        serialize_bytes(&[u8])
        serialize_char(char)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i8(i8)
        serialize_str(&str)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u8(u8)
        serialize_unit_struct(&'static str)
    }

    fn serialize_f32(self, number: f32) -> Result<(), Found> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Found> {
        if number.is_finite() {
            Ok(())
        } else {
            Err(Found::NotFinite)
        }
    }

    fn serialize_i128(self, number: i128) -> Result<(), Found> {
        i64::try_from(number).map_or(Err(Found::TooWide), |_| Ok(()))
    }

    fn serialize_u128(self, number: u128) -> Result<(), Found> {
        u64::try_from(number).map_or(Err(Found::TooWide), |_| Ok(()))
    }

    fn serialize_none(self) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Found> {
        check(value)
    }

    fn serialize_unit(self) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        check(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        check(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Found> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Named<T> {
        inner: Option<T>,
    }

    #[derive(Serialize)]
    enum Shape {
        New(f64),
        Struct { x: f64 },
        Tuple(u8, f64),
        Unit,
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_in_every_position() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let is_error = |checked| assert_eq!(checked, Err(Problem::NotFinite));
            is_error(check_numbers(&bad));
            is_error(check_numbers(&(bad as f32)));
            is_error(check_numbers(&[1.0, bad]));
            is_error(check_numbers(&(1, "a", bad)));
            is_error(check_numbers(&Named { inner: Some(bad) }));
            is_error(check_numbers(&BTreeMap::from([("a", vec![Some(bad)])])));
            is_error(check_numbers(&Shape::New(bad)));
            is_error(check_numbers(&Shape::Struct { x: bad }));
            is_error(check_numbers(&Shape::Tuple(0, bad)));
        }
    }

    #[test]
    fn an_integer_of_more_than_64_bits_is_an_error() {
        let check = |number: u128, expected| {
            assert_eq!(check_numbers(&[number]), expected, "{number}");
        };
        check(u64::MAX.into(), Ok(()));
        check(u128::from(u64::MAX) + 1, Err(Problem::NotSerializable));
        assert_eq!(check_numbers(&i128::MIN), Err(Problem::NotSerializable));
        assert_eq!(check_numbers(&i128::from(i64::MIN)), Ok(()));
    }

    #[test]
    fn everything_else_passes() {
        let all = (1.5, 'a', true, None::<f64>, (), f64::MAX);
        assert_eq!(check_numbers(&all), Ok(()));
        let unit = Named {
            inner: Some(Shape::Unit),
        };
        assert_eq!(check_numbers(&unit), Ok(()));
    }
}
