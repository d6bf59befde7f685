use std::collections::HashSet;
use std::fmt;

use anyhow::{Context, Result, bail};
use customerio::{Identify, InvalidInput, Operation, Person, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::devices::DeviceColumns;
use super::events::{EventColumns, Moment};
use super::import_id::{ImportId, hex};
use super::notes::Notes;
use super::objects::{ObjectColumns, RelationshipColumns};
use super::person::{Identifier, PersonColumn};
use super::value_type::ValueType;
use super::values::{Attribute, ValueRules, attributes};
use crate::input::{Header, Row};
use crate::reject::{RecordError, Reject};
use crate::suspect_id::SuspectId;

/// The meaning of the columns of a file. A column without a meaning becomes an attribute.
///
/// The serialized form is what ids and digests are made from. A new field must be left out of it
/// while it is not set.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mapping {
    /// The column that identifies the person. Objects have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<PersonColumn>,
    #[serde(flatten)]
    pub(crate) kind: Kind,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) values: ValueRules,
    /// Whether records that a plan would ask about are rejected. It changes no id.
    #[serde(skip)]
    pub(crate) rejects_suspects: bool,
}

/// The kind of the records.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Kind {
    People,
    Events(EventColumns),
    Delete,
    Suppress,
    Unsuppress,
    Devices(DeviceColumns),
    Merges(MergeColumns),
    Relationships(RelationshipColumns),
    Objects(ObjectColumns),
}

/// The column with the person that is merged into the other one and deleted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MergeColumns {
    pub(crate) secondary: PersonColumn,
}

/// A record that can be sent.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) operation: Operation,
}

/// An operation, and its notes for the plan.
pub(super) struct Mapped {
    pub(super) operation: Operation,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) notes: Notes,
}

/// The use of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnUse {
    /// A meaning of its own, such as the person's id.
    Role(String),
    Attribute {
        value_type: Option<ValueType>,
        /// The name of the attribute, if it differs from the column.
        name: Option<String>,
    },
    /// A flag leaves it out.
    LeftOut,
    /// It says in a rejects file why the record was rejected.
    OfRejects,
    /// Records of this kind have no attributes.
    Ignored,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Mapping {
    /// Returns the operation of a row.
    ///
    /// # Errors
    ///
    /// Fails if the row cannot be sent. The error has its line and column.
    pub(crate) fn record(&self, import: &ImportId, row: Row) -> Result<Record, Reject> {
        self.noted_record(import, row).map(|(record, _)| record)
    }

    /// Returns the operation of a row, and its notes for the plan.
    ///
    /// # Errors
    ///
    /// As for [`Mapping::record`].
    pub(crate) fn noted_record(
        &self,
        import: &ImportId,
        row: Row,
    ) -> Result<(Record, Notes), Reject> {
        // Kept apart: mapping consumes the row.
        let lines = (row.line, row.last_line);
        let mapped = self
            .mapped(import, row)
            .map_err(|error| error.over(lines).at(lines.0))?;
        let Mapped {
            operation,
            timestamp,
            notes,
        } = mapped;
        let record = Record {
            line: lines.0,
            timestamp,
            operation,
        };
        Ok((record, notes))
    }

    fn mapped(&self, import: &ImportId, row: Row) -> Result<Mapped, RecordError> {
        let Row {
            position,
            mut fields,
            ..
        } = row;
        self.values.replace_nulls(&mut fields);
        // Looked for before the columns are taken out of the row.
        let suspect_id = self.suspect_id(&fields);
        let mut mapped = self.operation(import, position, fields)?;
        mapped.notes.suspect_id = suspect_id;
        if self.rejects_suspects {
            check_notes(&mapped.notes)?;
        }
        Ok(mapped)
    }

    fn operation(
        &self,
        import: &ImportId,
        position: u64,
        fields: Map<String, Value>,
    ) -> Result<Mapped, RecordError> {
        let values = &self.values;
        match &self.kind {
            Kind::People => self.identify(fields),
            Kind::Events(columns) => {
                columns.operation(self.person_column(), values, import, position, fields)
            }
            Kind::Delete => self.on_person(fields, Operation::delete),
            Kind::Suppress => self.on_person(fields, Operation::suppress),
            Kind::Unsuppress => self.on_person(fields, Operation::unsuppress),
            Kind::Devices(columns) => columns.operation(self.person_column(), values, fields),
            Kind::Merges(columns) => self.merge(columns, fields),
            Kind::Relationships(columns) => columns.operation(self.person_column(), values, fields),
            Kind::Objects(columns) => columns.operation(values, fields),
        }
    }

    /// Returns the operation that creates or updates a person.
    fn identify(&self, mut fields: Map<String, Value>) -> Result<Mapped, RecordError> {
        let column = self.person_column();
        let (person, key) = column.take(&mut fields)?;
        let resolved = self.values.resolve(fields)?;
        let mut notes = Notes::default();
        notes.add_person(&resolved);
        notes.set_subject(&(column.identifier, key));
        let attributes = attributes(&resolved)?;
        let operation = match self.values.update_only {
            true => {
                check_update(&resolved)?;
                Operation::identify_with(&Identify::new(person, attributes).update_only())
            }
            false => Operation::identify(&person, &attributes),
        };
        Ok(Mapped::new(
            operation.map_err(|error| invalid(&error))?,
            notes,
        ))
    }

    fn on_person(
        &self,
        mut fields: Map<String, Value>,
        operation: fn(&Person) -> Result<Operation, InvalidInput>,
    ) -> Result<Mapped, RecordError> {
        let (person, _) = self.person_column().take(&mut fields)?;
        Ok(Mapped::new(
            operation(&person).map_err(|error| invalid(&error))?,
            Notes::default(),
        ))
    }

    fn merge(
        &self,
        columns: &MergeColumns,
        mut fields: Map<String, Value>,
    ) -> Result<Mapped, RecordError> {
        let (primary, _) = self.person_column().take(&mut fields)?;
        let (secondary, _) = columns.secondary.take(&mut fields)?;
        let operation = Operation::merge(&primary, &secondary).map_err(|error| invalid(&error))?;
        Ok(Mapped::new(operation, Notes::default()))
    }

    /// Returns the person of a row, and a key that is equal for the same person.
    ///
    /// # Errors
    ///
    /// Fails if the row has no identifier, or one that is not valid.
    pub(crate) fn person_of(&self, mut row: Row) -> Result<(Person, String), RecordError> {
        self.values.replace_nulls(&mut row.fields);
        self.person_column().take(&mut row.fields)
    }

    fn person_column(&self) -> &PersonColumn {
        self.person
            .as_ref()
            .expect("every kind but objects has a person")
    }

    /// Returns the column of an id that a program has probably changed, if there is one.
    fn suspect_id(&self, fields: &Map<String, Value>) -> Option<(String, SuspectId)> {
        let is_id = |person: &&PersonColumn| person.identifier == Identifier::Id;
        let person = self.person.as_ref().filter(is_id);
        let (secondary, object) = match &self.kind {
            Kind::Merges(columns) => (Some(&columns.secondary).filter(is_id), None),
            Kind::Relationships(columns) => (None, Some(columns.object.id.as_str())),
            Kind::Objects(columns) => (None, Some(columns.object.id.as_str())),
            _ => (None, None),
        };
        let people = person.into_iter().chain(secondary);
        let mut columns = people.map(|person| person.column.as_str()).chain(object);
        columns.find_map(|column| {
            let suspect = fields.get(column).and_then(SuspectId::of)?;
            Some((column.to_owned(), suspect))
        })
    }

    /// Fails if the header lacks a column of the mapping, or if two of its columns become the same
    /// attribute.
    pub(crate) fn check_header(&self, header: &Header) -> Result<()> {
        let columns = self.columns();
        let missing = columns
            .iter()
            .find(|column| !header.columns.iter().any(|name| name == *column));
        if let Some(column) = missing {
            bail!(
                "line {}: the header has no column {column:?}; {}",
                header.line,
                advice(column, &header.columns)
            );
        }
        if !self.kind.has_attributes() {
            return Ok(());
        }
        let roles: HashSet<&str> = self.role_columns().into_iter().collect();
        let others = header
            .columns
            .iter()
            .filter(|name| !roles.contains(name.as_str()));
        self.values
            .check_targets(others)
            .with_context(|| format!("line {}", header.line))
    }

    /// Fails if one column has two meanings, since the first use would remove its value for the
    /// second, and if flags about values contradict each other.
    pub(crate) fn check_columns(&self) -> Result<()> {
        let mut seen = HashSet::new();
        let roles = self.role_columns();
        if let Some(column) = roles.iter().find(|name| !seen.insert(**name)) {
            bail!("column {column:?} is named by two flags; name another column in one of them");
        }
        self.values.check(&roles)
    }

    /// Returns the columns that the mapping names.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns = self.role_columns();
        columns.extend(self.values.columns());
        columns
    }

    /// Returns the columns with a meaning of their own.
    fn role_columns(&self) -> Vec<&str> {
        let person = self.person.iter().map(|person| person.column.as_str());
        let mut columns: Vec<_> = person.collect();
        match &self.kind {
            Kind::People | Kind::Delete | Kind::Suppress | Kind::Unsuppress => {}
            Kind::Events(events) => columns.extend(events.columns()),
            Kind::Devices(devices) => columns.extend(devices.columns()),
            Kind::Merges(merges) => columns.push(&merges.secondary.column),
            Kind::Relationships(relationships) => columns.extend(relationships.object.columns()),
            Kind::Objects(objects) => columns.extend(objects.object.columns()),
        }
        columns
    }

    /// Returns the column without which no record can be sent: it shows where the header is.
    pub(crate) fn id_column(&self) -> &str {
        match (&self.person, &self.kind) {
            (Some(person), _) => &person.column,
            (None, Kind::Objects(objects)) => &objects.object.id,
            (None, _) => unreachable!("every kind but objects has a person"),
        }
    }

    /// Returns the use of a column.
    pub(crate) fn column_use(&self, column: &str) -> ColumnUse {
        if let Some(role) = self.role(column) {
            return ColumnUse::Role(role);
        }
        if !self.kind.has_attributes() {
            return ColumnUse::Ignored;
        }
        if !self.values.is_selected(column) {
            return match self.values.is_of_rejects(column) {
                true => ColumnUse::OfRejects,
                false => ColumnUse::LeftOut,
            };
        }
        ColumnUse::Attribute {
            value_type: self.values.types.get(column).cloned(),
            name: self.values.names.get(column).cloned(),
        }
    }

    fn role(&self, column: &str) -> Option<String> {
        let person = self.person.as_ref().filter(|it| it.column == column);
        match (person, &self.kind) {
            (Some(person), Kind::Merges(_)) => {
                Some(format!("{} of the person that is kept", person.identifier))
            }
            (Some(person), _) => Some(format!("the person's {}", person.identifier)),
            (None, Kind::Events(columns)) => columns.role(column),
            (None, Kind::Devices(columns)) => columns.role(column),
            (None, Kind::Merges(columns)) => {
                let secondary = Some(&columns.secondary).filter(|it| it.column == column)?;
                Some(format!(
                    "{} of the person that is merged and deleted",
                    secondary.identifier
                ))
            }
            (None, Kind::Relationships(columns)) => columns.object.role(column),
            (None, Kind::Objects(columns)) => columns.object.role(column),
            (None, _) => None,
        }
    }

    /// Returns whether the events happen when the API receives them.
    pub(crate) fn is_now(&self) -> bool {
        matches!(&self.kind, Kind::Events(columns) if columns.moment == Moment::Now)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::People => "people",
            Kind::Events(_) => "events",
            Kind::Delete => "delete",
            Kind::Suppress => "suppress",
            Kind::Unsuppress => "unsuppress",
            Kind::Devices(_) => "devices",
            Kind::Merges(_) => "merges",
            Kind::Relationships(_) => "relationships",
            Kind::Objects(_) => "objects",
        }
    }

    /// Returns a digest of the mapping.
    pub(crate) fn digest(&self) -> String {
        hex(&Sha256::digest(self.serialized()))
    }

    /// Derives the id of the import from the content of the file, the kind of records and the
    /// mapping. The name of the file does not matter.
    pub(crate) fn import_id(&self, content: &[u8; 32]) -> ImportId {
        ImportId::derive(content, &self.serialized())
    }

    /// Returns the bytes that ids and digests are made from. A renamed field would change them.
    fn serialized(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a mapping can be serialized")
    }
}

/// Returns advice for a column that the header lacks. It shows no other name of the header: without
/// a header, the first line is a person's data.
fn advice(column: &str, header: &[String]) -> String {
    let folded = |name: &str| name.trim().to_lowercase();
    match header.iter().find(|name| folded(name) == folded(column)) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "name a column of the file; its first line must be the header".into(),
    }
}

/// Rejects a record that a plan would ask about.
fn check_notes(notes: &Notes) -> Result<(), RecordError> {
    let advice = "correct it; --yes without --reject-suspects sends it unchanged";
    if let Some((column, suspect)) = &notes.suspect_id {
        let reason = format!("the id is {suspect}; {advice}");
        return Err(RecordError::named(column, reason));
    }
    if let Some(column) = notes.odd_booleans.first() {
        let reason = format!("is a boolean of Customer.io, but the value is none; {advice}");
        return Err(RecordError::named(column, reason));
    }
    Ok(())
}

/// Rejects a record with an attribute `_update` of its own: `--update-only` would overwrite it.
fn check_update(resolved: &[Attribute]) -> Result<(), RecordError> {
    match resolved
        .iter()
        .find(|attribute| attribute.name() == "_update")
    {
        None => Ok(()),
        Some(attribute) => Err(RecordError::named(
            &attribute.column,
            "becomes the attribute \"_update\", which --update-only sets; leave out one of the two",
        )),
    }
}

/// Returns the error of an operation as a whole.
pub(super) fn invalid(error: &InvalidInput) -> RecordError {
    RecordError::new(error.to_string())
}

// === impl Kind ===

impl Kind {
    /// Returns whether columns become attributes.
    pub(crate) fn has_attributes(&self) -> bool {
        match self {
            Self::People | Self::Events(_) => true,
            Self::Delete | Self::Suppress | Self::Unsuppress | Self::Merges(_) => false,
            Self::Devices(columns) => !columns.delete,
            Self::Relationships(columns) => !columns.delete,
            Self::Objects(columns) => !columns.delete,
        }
    }

    /// Returns whether each record needs a request of its own.
    pub(crate) fn goes_alone(&self) -> bool {
        match self {
            Self::Delete | Self::Suppress | Self::Unsuppress | Self::Merges(_) => true,
            Self::People | Self::Events(_) | Self::Devices(_) | Self::Relationships(_) => false,
            Self::Objects(columns) => columns.delete,
        }
    }

    /// Returns a noun for the records.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Events(_) => "events",
            Self::Delete => "people to delete",
            Self::Suppress => "people to suppress",
            Self::Unsuppress => "people to unsuppress",
            Self::Devices(columns) if columns.delete => "devices to remove",
            Self::Devices(_) => "devices",
            Self::Merges(_) => "people to merge",
            Self::Relationships(columns) if columns.delete => "relationships to remove",
            Self::Relationships(_) => "relationships",
            Self::Objects(columns) if columns.delete => "objects to delete",
            Self::Objects(_) => "objects",
        }
    }

    /// Returns a sentence about the removal, for one record and for many, if the kind removes
    /// something.
    pub(crate) fn deletion(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::People | Self::Events(_) | Self::Unsuppress => return None,
            Self::Delete => (
                "person is deleted, which cannot be undone",
                "people are deleted, which cannot be undone",
            ),
            Self::Suppress => (
                "person is deleted and blocked, which cannot be undone",
                "people are deleted and blocked, which cannot be undone",
            ),
            Self::Merges(_) => (
                "person is merged into another one and deleted, which cannot be undone",
                "people are merged into others and deleted, which cannot be undone",
            ),
            Self::Devices(columns) if columns.delete => {
                ("device is removed", "devices are removed")
            }
            Self::Relationships(columns) if columns.delete => {
                ("relationship is removed", "relationships are removed")
            }
            Self::Objects(columns) if columns.delete => (
                "object is deleted, which cannot be undone",
                "objects are deleted, which cannot be undone",
            ),
            Self::Devices(_) | Self::Relationships(_) | Self::Objects(_) => return None,
        })
    }
}

// === impl Mapped ===

impl Mapped {
    pub(super) fn new(operation: Operation, notes: Notes) -> Self {
        Self {
            operation,
            timestamp: None,
            notes,
        }
    }
}

// === impl ColumnUse ===

impl fmt::Display for ColumnUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => f.write_str(role),
            Self::Attribute { value_type, name } => {
                f.write_str("attribute")?;
                if let Some(name) = name {
                    write!(f, " {name:?}")?;
                }
                match value_type {
                    None => Ok(()),
                    Some(value_type) => write!(f, " as {value_type}"),
                }
            }
            Self::LeftOut => f.write_str("left out (--only, --except)"),
            Self::OfRejects => f.write_str("left out: a column of a rejects file"),
            Self::Ignored => f.write_str("not used: these records have no attributes"),
        }
    }
}
