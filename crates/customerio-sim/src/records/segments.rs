use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};

use crate::api::{Identifier, Membership, NewSegment};

/// The manual segments, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Segments(BTreeMap<u64, Segment>);

#[derive(Debug)]
struct Segment {
    name: String,
    description: String,
    /// In Unix seconds.
    created_at: i64,
    people: HashSet<Identifier>,
}

impl Segments {
    /// Creates an empty segment with this number, unless there is one. `now` is in Unix seconds.
    pub(super) fn add(&mut self, id: u64, segment: NewSegment, now: i64) {
        self.0.entry(id).or_insert_with(|| Segment {
            name: segment.name,
            description: segment.description,
            created_at: now,
            people: HashSet::new(),
        });
    }

    /// Creates an empty segment and returns its number.
    pub(super) fn create(&mut self, segment: NewSegment, now: i64) -> u64 {
        let last = self.0.last_key_value().map_or(0, |(id, _)| *id);
        // A number that is in use would be the number of another segment.
        let mut free = (1..=last.saturating_add(1)).rev();
        let id = free.find(|id| !self.0.contains_key(id));
        let id = id.expect("fewer segments exist than numbers");
        self.add(id, segment, now);
        id
    }

    /// Returns whether the segment existed.
    pub(super) fn delete(&mut self, id: u64) -> bool {
        self.0.remove(&id).is_some()
    }

    pub(super) fn exists(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }

    /// Returns the number of people in a segment.
    pub(super) fn len(&self, id: u64) -> Option<usize> {
        self.0.get(&id).map(|segment| segment.people.len())
    }

    /// Returns whether a person is in a segment. Nobody is in one that does not exist.
    pub(super) fn contains(&self, id: u64, person: &Identifier) -> bool {
        let segment = self.0.get(&id);
        segment.is_some_and(|segment| segment.people.contains(person))
    }

    /// Returns the people in a segment, without the kinds of their identifiers.
    pub(super) fn people(&self, id: u64) -> Option<BTreeSet<String>> {
        let people = self.0.get(&id)?.people.iter();
        Some(people.map(|person| person.text().to_owned()).collect())
    }

    pub(super) fn change(&mut self, id: u64, person: &Identifier, membership: Membership) {
        let Some(segment) = self.0.get_mut(&id) else {
            return;
        };
        match membership {
            Membership::Added => segment.people.insert(person.clone()),
            Membership::Removed => segment.people.remove(person),
        };
    }

    /// Removes a deleted person from all segments.
    pub(super) fn forget_person(&mut self, person: &Identifier) {
        for segment in self.0.values_mut() {
            segment.people.remove(person);
        }
    }

    /// Moves the memberships of a person to the one into which it is merged.
    pub(super) fn merge(&mut self, primary: &Identifier, secondary: &Identifier) {
        for segment in self.0.values_mut() {
            if segment.people.remove(secondary) {
                segment.people.insert(primary.clone());
            }
        }
    }

    /// Returns a segment as the App API shows it.
    pub(super) fn shown(&self, id: u64) -> Option<Value> {
        Some(self.0.get(&id)?.shown(id))
    }

    /// Returns all segments as the App API shows them.
    pub(super) fn all(&self) -> Vec<Value> {
        self.0
            .iter()
            .map(|(id, segment)| segment.shown(*id))
            .collect()
    }

    /// Returns the segments of a person, of which the App API shows less.
    pub(super) fn of(&self, person: &Identifier) -> Vec<Value> {
        let segments = self.0.iter();
        let segments = segments.filter(|(_, segment)| segment.people.contains(person));
        let shown = |(id, segment): (&u64, &Segment)| json!({"id": id, "name": segment.name, "description": segment.description});
        segments.map(shown).collect()
    }
}

impl Segment {
    fn shown(&self, id: u64) -> Value {
        json!({
            "id": id,
            // The number and the time of the last update. A change of its people is none.
            "deduplicate_id": format!("{id}:{}", self.created_at),
            "name": self.name,
            "description": self.description,
            "state": "finished",
            "progress": null,
            "type": "manual",
            "tags": null,
            "created_at": self.created_at,
            "updated_at": self.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_segment_gets_the_number_after_the_last() {
        let mut segments = Segments::default();
        let segment = || NewSegment {
            name: "s".to_owned(),
            description: String::new(),
        };
        assert_eq!(segments.create(segment(), 0), 1);
        segments.add(7, segment(), 0);
        assert_eq!(segments.create(segment(), 0), 8);
        segments.add(u64::MAX, segment(), 0);
        assert_eq!(segments.create(segment(), 0), u64::MAX - 1);
    }
}
