//! The values of attributes: which columns are sent, under which names and as which types.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use customerio::Attributes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::value_type::ValueType;
use crate::input::REJECTS_COLUMNS;
use crate::reject::RecordError;

/// The flags about values. Without any, each column becomes an attribute under its own name, text
/// stays text, and values that are empty are left out.
///
/// The serialized form is a part of the mapping's digest, from which event ids are made. Flags
/// that are not set are left out of it, so that a new flag changes no id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ValueRules {
    /// The types, by the column or by the name of a constant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, ValueType>,
    /// The names of attributes that differ from the name of their column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) names: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Selection::is_all")]
    pub(crate) selection: Selection,
    /// Attributes with the same value in each record. Their text is not converted yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) constants: BTreeMap<String, Value>,
    /// Text that means "no value".
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) nulls: BTreeSet<String>,
    #[serde(skip_serializing_if = "Empty::is_skip")]
    pub(crate) empty: Empty,
    /// Whether people are updated and never created.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) update_only: bool,
}

/// Which columns become attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Selection {
    #[default]
    All,
    Only(BTreeSet<String>),
    Except(BTreeSet<String>),
}

/// The effect of an empty value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Empty {
    /// Leave the attribute as it is
    #[default]
    Skip,
    /// Remove the attribute
    Remove,
}

/// An attribute of a record as it will be sent. `null` removes it.
#[derive(Debug)]
pub(super) struct Attribute {
    /// The column, or the name of a constant.
    pub(super) column: String,
    /// The name of the attribute, if it differs from the column.
    renamed: Option<String>,
    pub(super) value: Value,
}

// === impl ValueRules ===

impl ValueRules {
    /// Converts the constants to their types.
    ///
    /// # Errors
    ///
    /// Fails if a constant is empty or not of its type.
    pub(crate) fn convert_constants(&mut self) -> Result<()> {
        for (name, value) in &mut self.constants {
            ensure!(
                !is_empty(value),
                "--set {name:?}: has no value; write --set NAME=VALUE"
            );
            let Some(value_type) = self.types.get(name) else {
                continue;
            };
            match value_type.convert(value.take()) {
                Ok(converted) => *value = converted,
                Err(reason) => bail!("--set {name:?}: the value {reason}"),
            }
        }
        Ok(())
    }

    /// Fails if two flags contradict each other. `roles` are the columns with a meaning of their
    /// own, which are no attributes.
    pub(super) fn check(&self, roles: &[&str]) -> Result<()> {
        let used = |column: &String| roles.contains(&column.as_str());
        for (flag, column) in self.flags() {
            ensure!(
                !used(column),
                "column {column:?} is named by two flags, {flag} and one that gives it another \
                 meaning; leave out one of the two"
            );
            ensure!(
                flag == "--except" || self.is_selected(column) || self.is_constant(column),
                "column {column:?} is named by {flag}, but it is not sent (--only, --except); \
                 leave out one of the two"
            );
        }
        let mut targets: HashSet<&str> = HashSet::new();
        for name in self.names.values().chain(self.constants.keys()) {
            ensure!(
                !name.is_empty(),
                "an attribute needs a name; write --map FROM=TO or --set NAME=VALUE"
            );
            ensure!(
                targets.insert(name),
                "the attribute {name:?} is given twice, by --map or --set; leave out one of the two"
            );
        }
        Ok(())
    }

    /// Fails if two columns become the same attribute.
    pub(super) fn check_targets<'a>(
        &self,
        columns: impl Iterator<Item = &'a String>,
    ) -> Result<()> {
        let mut seen: HashSet<&str> = self.constants.keys().map(String::as_str).collect();
        for column in columns.filter(|column| self.is_selected(column)) {
            let name = self.names.get(column).unwrap_or(column);
            ensure!(
                seen.insert(name),
                "column {column:?}: {}",
                given_twice(name)
            );
        }
        Ok(())
    }

    /// Returns the columns that flags name, each with the flag. Constants are no columns.
    fn flags(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let types = self.types.keys().filter(|name| !self.is_constant(name));
        let except = match &self.selection {
            Selection::Except(columns) => Some(columns),
            Selection::All | Selection::Only(_) => None,
        };
        let types = types.map(|column| ("--type", column));
        let names = self.names.keys().map(|column| ("--map", column));
        let except = except.into_iter().flatten();
        types
            .chain(names)
            .chain(except.map(|column| ("--except", column)))
    }

    /// Returns the columns that must be in the file.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let only = match &self.selection {
            Selection::Only(columns) => Some(columns),
            Selection::All | Selection::Except(_) => None,
        };
        let flags = self.flags().map(|(_, column)| column.as_str());
        flags.chain(only.into_iter().flatten().map(String::as_str))
    }

    fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    pub(super) fn is_selected(&self, column: &str) -> bool {
        match &self.selection {
            Selection::Only(columns) => columns.contains(column),
            Selection::Except(columns) if columns.contains(column) => false,
            Selection::All | Selection::Except(_) => !self.is_of_rejects(column),
        }
    }

    /// Returns whether a column is left out because a rejects file has it beside those of its
    /// input. A flag that names it makes it a column like the others.
    pub(super) fn is_of_rejects(&self, column: &str) -> bool {
        let is_named = self.types.contains_key(column) || self.names.contains_key(column);
        REJECTS_COLUMNS.contains(&column) && !is_named
    }

    /// Returns whether a value of the file is neither empty nor a word for no value.
    pub(crate) fn has_value(&self, value: &Value) -> bool {
        !is_empty(value) && !value.as_str().is_some_and(|text| self.nulls.contains(text))
    }

    /// Replaces text that means "no value", in columns with a meaning of their own too.
    pub(super) fn replace_nulls(&self, fields: &mut Map<String, Value>) {
        if self.nulls.is_empty() {
            return;
        }
        for (_, value) in fields.iter_mut() {
            if value.as_str().is_some_and(|text| self.nulls.contains(text)) {
                *value = Value::Null;
            }
        }
    }

    /// Returns the attributes of a record: selected, converted and named, with the constants.
    pub(super) fn resolve(
        &self,
        fields: Map<String, Value>,
    ) -> Result<Vec<Attribute>, RecordError> {
        let mut resolved = Vec::with_capacity(fields.len() + self.constants.len());
        for (column, value) in fields {
            if !self.is_selected(&column) {
                continue;
            }
            let value = self.convert(&column, value)?;
            if is_empty(&value) && self.empty == Empty::Skip {
                continue;
            }
            // Empty text and `null` both remove an attribute; `null` says it.
            let value = if is_empty(&value) { Value::Null } else { value };
            let renamed = self.names.get(&column).cloned();
            resolved.push(Attribute {
                column,
                renamed,
                value,
            });
        }
        for (name, value) in &self.constants {
            resolved.push(Attribute {
                column: name.clone(),
                renamed: None,
                value: value.clone(),
            });
        }
        if !self.names.is_empty() || !self.constants.is_empty() {
            check_unique(&resolved)?;
        }
        Ok(resolved)
    }

    fn convert(&self, column: &str, value: Value) -> Result<Value, RecordError> {
        match self.types.get(column) {
            Some(value_type) if !is_empty(&value) => value_type
                .convert(value)
                .map_err(|reason| RecordError::named(column, reason)),
            _ => Ok(value),
        }
    }
}

/// Rejects a record in which two values have the same name: one of them would be lost.
fn check_unique(resolved: &[Attribute]) -> Result<(), RecordError> {
    let mut seen = HashSet::new();
    match resolved
        .iter()
        .find(|attribute| !seen.insert(attribute.name()))
    {
        None => Ok(()),
        Some(attribute) => Err(RecordError::named(
            &attribute.column,
            given_twice(attribute.name()),
        )),
    }
}

fn given_twice(name: &str) -> String {
    format!(
        "becomes the attribute {name:?}, which another column or --set gives too; leave one out \
         (--except) or rename it (--map)"
    )
}

/// Returns whether a value means "unknown".
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Returns the attributes, in which `null` removes one.
pub(super) fn attributes(resolved: &[Attribute]) -> Result<Attributes, RecordError> {
    let mut attributes = Attributes::new();
    for attribute in resolved {
        let name = attribute.name();
        let added = match &attribute.value {
            Value::Null => attributes.unset(name),
            value => attributes.insert(name, value),
        };
        added.map_err(|error| RecordError::named(&attribute.column, error.to_string()))?;
    }
    Ok(attributes)
}

// === impl Attribute ===

impl Attribute {
    pub(super) fn name(&self) -> &str {
        self.renamed.as_deref().unwrap_or(&self.column)
    }
}

// === impl Selection ===

impl Selection {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

// === impl Empty ===

impl Empty {
    // Serde passes a reference.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_skip(&self) -> bool {
        *self == Self::Skip
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rules() -> ValueRules {
        ValueRules::default()
    }

    fn sent(rules: &ValueRules, fields: &Value) -> Result<Value, String> {
        let fields = fields.as_object().unwrap().clone();
        let resolved = rules.resolve(fields).map_err(|error| error.to_string())?;
        let attributes = attributes(&resolved).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(attributes).unwrap())
    }

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn columns_are_selected_renamed_and_converted() {
        let rules = ValueRules {
            types: [("n".to_owned(), ValueType::Int)].into(),
            names: [("n".to_owned(), "count".to_owned())].into(),
            selection: Selection::Except(set(&["b"])),
            constants: [("source".to_owned(), json!("shop"))].into(),
            ..rules()
        };
        assert_eq!(
            sent(&rules, &json!({"a": "1", "b": "2", "n": "3"})).unwrap(),
            json!({"a": "1", "count": 3, "source": "shop"})
        );
        let error = sent(&rules, &json!({"n": "many"})).unwrap_err();
        assert_eq!(
            error,
            r#"column "n": is not a whole number; write digits only, without separators"#
        );
        let only = ValueRules {
            selection: Selection::Only(set(&["b"])),
            ..ValueRules::default()
        };
        assert_eq!(
            sent(&only, &json!({"a": "1", "b": "2"})).unwrap(),
            json!({"b": "2"})
        );
    }

    #[test]
    fn empty_values_are_skipped_or_remove_the_attribute() {
        let fields = json!({"a": "", "b": null, "c": "x"});
        assert_eq!(sent(&rules(), &fields).unwrap(), json!({"c": "x"}));
        let remove = ValueRules {
            empty: Empty::Remove,
            types: [("a".to_owned(), ValueType::Int)].into(),
            ..rules()
        };
        assert_eq!(
            sent(&remove, &fields).unwrap(),
            json!({"a": null, "b": null, "c": "x"})
        );
    }

    #[test]
    fn a_name_that_two_columns_give_is_an_error() {
        let rules = ValueRules {
            names: [("a".to_owned(), "b".to_owned())].into(),
            ..rules()
        };
        let error = sent(&rules, &json!({"a": "1", "b": "2"})).unwrap_err();
        assert!(error.contains(r#"becomes the attribute "b""#), "{error}");
        assert_eq!(
            sent(&rules, &json!({"a": "1", "b": ""})).unwrap(),
            json!({"b": "1"})
        );
        let columns = ["a".to_owned(), "b".to_owned()];
        assert!(rules.check_targets(columns.iter()).is_err());
        assert!(rules.check_targets(columns[..1].iter()).is_ok());
    }

    #[test]
    fn flags_that_contradict_each_other_are_errors() {
        let check = |rules: &ValueRules, expected: &str| {
            let error = rules.check(&["id"]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let typed = |column: &str, selection| ValueRules {
            types: [(column.to_owned(), ValueType::Int)].into(),
            selection,
            ..rules()
        };
        check(
            &typed("id", Selection::All),
            "\"id\" is named by two flags, --type",
        );
        check(&typed("a", Selection::Only(set(&["b"]))), "it is not sent");
        check(
            &typed("a", Selection::Except(set(&["a"]))),
            "it is not sent",
        );
        let except = ValueRules {
            selection: Selection::Except(set(&["id"])),
            ..rules()
        };
        check(&except, "--except");
        let twice = ValueRules {
            names: [("a", "c"), ("b", "c")]
                .map(|(from, to)| (from.to_owned(), to.to_owned()))
                .into(),
            ..rules()
        };
        check(&twice, "\"c\" is given twice");
    }

    #[test]
    fn constants_have_a_value_of_their_type() {
        let constant = |text: &str| {
            let mut rules = ValueRules {
                types: [("vip".to_owned(), ValueType::Bool)].into(),
                constants: [("vip".to_owned(), json!(text))].into(),
                ..rules()
            };
            let converted = rules.convert_constants();
            converted
                .map(|()| rules.constants["vip"].clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(constant("yes"), Ok(json!(true)));
        assert!(constant("maybe").unwrap_err().contains("is not a boolean"));
        assert!(constant("").unwrap_err().contains("has no value"));
    }

    #[test]
    fn words_for_no_value_are_replaced() {
        let rules = ValueRules {
            nulls: set(&["NULL", "N/A"]),
            ..rules()
        };
        let fields = json!({"a": "NULL", "b": "null", "c": "N/A", "d": 1});
        let mut fields = fields.as_object().unwrap().clone();
        rules.replace_nulls(&mut fields);
        let expected = json!({"a": null, "b": "null", "c": null, "d": 1});
        assert_eq!(Value::Object(fields), expected);
    }

    proptest! {
        /// Whatever a cell looks like, it arrives as the same text.
        #[test]
        fn text_stays_text(cells in proptest::collection::btree_map("[a-z]{1,8}", ".{1,40}|-?[0-9]{1,25}|true|null|\\[1\\]|1e5|0[0-9]{1,4}", 0..10)) {
            let fields: Map<String, Value> = cells
                .iter()
                .map(|(column, cell)| (column.clone(), Value::from(cell.as_str())))
                .collect();
            let found = sent(&rules(), &Value::Object(fields.clone())).unwrap();
            prop_assert_eq!(found, Value::Object(fields));
        }
    }
}
