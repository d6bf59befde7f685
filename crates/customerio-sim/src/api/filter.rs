use serde_json::{Map, Value};

use super::rejection::Rejection;

/// A condition on people, as triggers, searches and exports have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter(Value);

impl Filter {
    /// Reads a filter: a segment, an attribute, or a group of filters. An error is about `field`.
    pub(crate) fn read(field: &str, filter: &Value) -> Result<Self, Rejection> {
        check(field, filter, MAX_DEPTH)?;
        Ok(Self(filter.clone()))
    }

    /// Returns whether a person is selected. `attribute` returns the value of an attribute as text,
    /// and `is_in` whether the person is in a segment.
    pub(crate) fn selects(
        &self,
        attribute: &dyn Fn(&str) -> Option<String>,
        is_in: &dyn Fn(u64) -> bool,
    ) -> bool {
        selects(&self.0, attribute, is_in)
    }
}

fn check(field: &str, filter: &Value, depth: usize) -> Result<(), Rejection> {
    let invalid = |message: &str| Err(Rejection::invalid(field, message));
    let Some((key, value)) = only_entry(filter) else {
        return invalid("a filter must have exactly one key");
    };
    if depth == 0 {
        return invalid("the filter is nested too deeply");
    }
    match (key, value) {
        ("and" | "or", Value::Array(filters)) => filters
            .iter()
            .try_for_each(|inner| check(field, inner, depth - 1)),
        ("not", inner) => check(field, inner, depth - 1),
        ("segment", segment) if segment["id"].is_u64() => Ok(()),
        ("attribute", attribute) => {
            let has_value = match attribute["operator"].as_str() {
                Some("eq") => !attribute["value"].is_null(),
                Some("exists") => true,
                _ => return invalid("the operator of an attribute must be eq or exists"),
            };
            match has_value && attribute["field"].is_string() {
                true => Ok(()),
                false => invalid("an attribute needs a field, and for eq a value"),
            }
        }
        _ => invalid("a filter must be and, or, not, segment or attribute"),
    }
}

fn selects(
    filter: &Value,
    attribute: &dyn Fn(&str) -> Option<String>,
    is_in: &dyn Fn(u64) -> bool,
) -> bool {
    let inner = |filter: &Value| selects(filter, attribute, is_in);
    match only_entry(filter) {
        Some(("and", Value::Array(filters))) => filters.iter().all(inner),
        Some(("or", Value::Array(filters))) => filters.iter().any(inner),
        Some(("not", filter)) => !inner(filter),
        Some(("segment", segment)) => segment["id"].as_u64().is_some_and(is_in),
        Some(("attribute", wanted)) => {
            let found = attribute(wanted["field"].as_str().unwrap_or_default());
            match wanted["operator"].as_str() {
                // The types of both are not compared: the API shows all values as texts.
                Some("eq") => found == Some(as_text(&wanted["value"])),
                _ => found.is_some(),
            }
        }
        _ => false,
    }
}

fn only_entry(filter: &Value) -> Option<(&str, &Value)> {
    let keys: &Map<_, _> = filter.as_object().filter(|keys| keys.len() == 1)?;
    keys.iter().next().map(|(key, value)| (key.as_str(), value))
}

/// Returns a value as the App API shows it: a text as it is, all else as JSON in a text.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The API documents none. Deeper filters would let a request exhaust the stack.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_has_one_key_on_each_level() {
        let segment = json!({"segment": {"id": 7}});
        let plan = json!({"attribute": {"field": "plan", "operator": "eq", "value": "pro"}});
        let check = |filter: Value, is_valid: bool| {
            assert_eq!(
                Filter::read("filter", &filter).is_ok(),
                is_valid,
                "{filter}"
            );
        };
        check(segment.clone(), true);
        check(json!({"and": [segment, {"or": [plan]}]}), true);
        check(json!({"not": segment}), true);
        check(json!({"not": [segment]}), false);
        check(json!({}), false);
        check(json!([]), false);
        check(json!({"segment": {"id": 7}, "not": plan}), false);
        check(json!({"segment": {"id": "7"}}), false);
        check(
            json!({"attribute": {"field": "plan", "operator": "eq"}}),
            false,
        );
        check(
            json!({"attribute": {"field": "plan", "operator": "gt"}}),
            false,
        );
        let deep = (0..40).fold(segment, |inner, _| json!({"not": inner}));
        check(deep, false);
    }

    #[test]
    fn a_filter_selects_people_by_attributes_and_segments() {
        let plan = |value: Value| json!({"attribute": {"field": "plan", "operator": "eq", "value": value}});
        let exists = |field| json!({"attribute": {"field": field, "operator": "exists"}});
        let check = |filter: Value, expected: bool| {
            let attribute = |name: &str| (name == "plan").then(|| "1".to_owned());
            let is_in = |segment| segment == 7;
            let found = Filter::read("filter", &filter).unwrap();
            assert_eq!(found.selects(&attribute, &is_in), expected, "{filter}");
        };
        check(plan(json!("1")), true);
        check(plan(json!(1)), true);
        check(plan(json!("2")), false);
        check(exists("plan"), true);
        check(exists("city"), false);
        check(json!({"segment": {"id": 7}}), true);
        check(json!({"segment": {"id": 8}}), false);
        check(json!({"not": {"segment": {"id": 8}}}), true);
        check(json!({"and": [plan(json!(1)), exists("city")]}), false);
        check(json!({"or": [plan(json!(1)), exists("city")]}), true);
        check(json!({"and": []}), true);
        check(json!({"or": []}), false);
    }
}
