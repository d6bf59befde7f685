//! Reads JSON whose shape nobody promises: what has another type than expected counts as absent, and fails nothing.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::answer::Name;

/// Takes from any JSON value what it knows, and steps over the rest.
pub(super) trait Take: Default {
    fn text(&mut self, _: &str) {}

    fn number(&mut self, _: u64) {}

    /// Takes the member whose name was read.
    fn member<'de, A: MapAccess<'de>>(&mut self, _: Name, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }

    /// Takes the next element, and returns whether there was one.
    fn element<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        Ok(list.next_element::<IgnoredAny>()?.is_some())
    }
}

/// A value that was taken.
pub(super) struct Taken<T>(pub(super) T);

impl<'de, T: Take> Deserialize<'de> for Taken<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Taking::new()).map(Self)
    }
}

pub(super) struct Taking<T>(PhantomData<T>);

impl<T> Taking<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Take> Visitor<'de> for Taking<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let mut taken = T::default();
        taken.number(number);
        Ok(taken)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let mut taken = T::default();
        taken.text(text);
        Ok(taken)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut taken = T::default();
        while taken.element(&mut list)? {}
        Ok(taken)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut taken = T::default();
        while let Some(name) = map.next_key()? {
            taken.member(name, &mut map)?;
        }
        Ok(taken)
    }
}
