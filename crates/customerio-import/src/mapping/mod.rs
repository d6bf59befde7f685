//! Turns rows into operations of the API, by the columns that the command line names.
//!
//! `columns` knows the meaning of each column, and calls the module of its kind: `person`,
//! `events`, `devices` or `objects`. All other columns are attributes, which `values` selects,
//! renames and converts. `notes` finds values that the plan asks about.

mod columns;
mod devices;
mod events;
mod fields;
mod import_id;
mod notes;
mod objects;
mod person;
mod time;
mod value_type;
mod values;

pub(crate) use self::columns::{ColumnUse, Kind, Mapping, MergeColumns, Record};
pub(crate) use self::devices::{DeviceColumns, LastUsed};
pub(crate) use self::events::{EventColumns, Moment};
pub(crate) use self::fields::Source;
pub(crate) use self::import_id::{ImportId, hex};
pub(crate) use self::notes::Notes;
pub(crate) use self::objects::{ObjectColumn, ObjectColumns, RelationshipColumns};
pub(crate) use self::person::{Identifier, PersonColumn};
pub(crate) use self::time::TimeFormat;
pub(crate) use self::value_type::{TypeName, ValueType};
pub(crate) use self::values::{Empty, Selection, ValueRules};

#[cfg(test)]
mod tests;
