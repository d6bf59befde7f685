use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::InvalidInput;
use crate::error::check_length;

/// How deep filters may be nested. No limit is documented; a reader of JSON stops at about 128.
const MAX_DEPTH: usize = 32;

/// A condition on people: the audience of a [`Trigger`](super::Trigger), of a search or an export.
///
/// `Debug` leaves out the values.
///
/// ```
/// use customerio::app::Filter;
/// let filter = Filter::all([
///     Filter::segment(7),
///     Filter::attribute_is("plan", "pro")?,
///     Filter::not(Filter::attribute_exists("deleted_at")?)?,
/// ])?;
/// let json = serde_json::to_value(&filter)?;
/// assert_eq!(json["and"][0]["segment"]["id"], 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Filter {
    json: Value,
    #[serde(skip)]
    depth: usize,
}

impl Filter {
    /// Selects the people of a segment.
    #[must_use]
    pub fn segment(id: u64) -> Self {
        Self::of(json!({"segment": {"id": id}}))
    }

    /// Selects the people whose attribute has this value.
    ///
    /// # Errors
    ///
    /// The name is empty.
    pub fn attribute_is(field: &str, value: impl Into<String>) -> Result<Self, InvalidInput> {
        check_length("filter's attribute", field, usize::MAX)?;
        let attribute = json!({"field": field, "operator": "eq", "value": value.into()});
        Ok(Self::of(json!({"attribute": attribute})))
    }

    /// Selects the people who have this attribute.
    ///
    /// # Errors
    ///
    /// The name is empty.
    pub fn attribute_exists(field: &str) -> Result<Self, InvalidInput> {
        check_length("filter's attribute", field, usize::MAX)?;
        Ok(Self::of(
            json!({"attribute": {"field": field, "operator": "exists"}}),
        ))
    }

    /// Selects the people who meet all conditions.
    ///
    /// # Errors
    ///
    /// There is no condition, which the API would reject, or conditions are nested more than 32
    /// deep.
    pub fn all(conditions: impl IntoIterator<Item = Self>) -> Result<Self, InvalidInput> {
        Self::group("and", conditions)
    }

    /// Selects the people who meet at least one condition.
    ///
    /// # Errors
    ///
    /// As for [`all`](Self::all).
    pub fn any(conditions: impl IntoIterator<Item = Self>) -> Result<Self, InvalidInput> {
        Self::group("or", conditions)
    }

    /// Selects the people who do not meet a condition.
    ///
    /// # Errors
    ///
    /// Conditions are nested more than 32 deep.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn not(condition: Self) -> Result<Self, InvalidInput> {
        let json = Map::from_iter([("not".to_owned(), condition.json)]);
        Self::nested(condition.depth, json.into())
    }

    fn group(
        name: &'static str,
        conditions: impl IntoIterator<Item = Self>,
    ) -> Result<Self, InvalidInput> {
        let conditions: Vec<_> = conditions.into_iter().collect();
        let Some(depth) = conditions.iter().map(|condition| condition.depth).max() else {
            return Err(InvalidInput::malformed(
                "filter",
                "has no condition, and the API rejects it; give at least one",
            ));
        };
        Self::nested(depth, json!({name: conditions}))
    }

    fn nested(depth: usize, json: Value) -> Result<Self, InvalidInput> {
        if depth >= MAX_DEPTH {
            return Err(InvalidInput::malformed(
                "filter",
                "is nested more than 32 deep; write it with fewer groups",
            ));
        }
        Ok(Self {
            json,
            depth: depth + 1,
        })
    }

    fn of(json: Value) -> Self {
        Self { json, depth: 1 }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_the_api_rejects_is_an_error() {
        assert!(Filter::all([]).is_err() && Filter::any([]).is_err());
        assert!(Filter::attribute_exists("").is_err());
        let nested = |times| (1..times).try_fold(Filter::segment(1), |inner, _| Filter::not(inner));
        assert!(nested(MAX_DEPTH).is_ok());
        assert!(nested(MAX_DEPTH + 1).is_err());
    }
}
