use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::{MAX_ATTRIBUTES, Sender, as_text};

/// The record of one person.
///
/// A person has one identifier beside its `cio_id`. An id and an email address that belong together
/// in the real service are two people here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Person {
    /// The id that the service assigns. With the prefix `cio_` it identifies the person in a path.
    pub cio_id: String,
    /// The attributes as last set, at most 300. `null` and an empty string remove one.
    pub attributes: Map<String, Value>,
    /// The devices by their tokens.
    pub devices: BTreeMap<String, Value>,
    /// How many identify operations were applied.
    pub updates: u64,
    /// How many events were applied. Duplicates count only with
    /// [`Dedupe::Off`](crate::Dedupe::Off).
    pub events: u64,
    /// When an attribute was last set that has no time of its own in `times`, in Unix seconds. Most
    /// people get all attributes at one time: a time for each would take most of the memory.
    #[serde(skip)]
    set_at: i64,
    /// When other attributes and each topic were last set. Preferences and attributes that were
    /// removed always have their time here.
    #[serde(skip)]
    times: HashMap<String, i64>,
    /// The senders whose messages the person does not want.
    #[serde(skip)]
    opt_outs: BTreeSet<Sender>,
}

impl Person {
    pub(super) fn new(cio_id: String) -> Self {
        Self {
            cio_id,
            ..Self::default()
        }
    }

    /// Sets attributes, except those that a later update has set. `at` is the time of this update.
    pub(super) fn update(&mut self, attributes: Map<String, Value>, at: i64) -> Changes {
        self.updates += 1;
        let mut changes = Changes::default();
        if self.attributes.is_empty() {
            self.set_at = at;
            // The first update of most people becomes their record as it is.
            if self.times.is_empty() && is_plain(&attributes) {
                for (name, value) in &attributes {
                    changes.add(name, None, Some(value));
                }
                self.attributes = attributes;
                return changes;
            }
        }
        for (name, value) in attributes {
            let is_topic = name.starts_with(TOPIC_PREFIX);
            let attribute = if is_topic { PREFERENCES } else { &name };
            if !removes(&value) && !self.has_room_for(attribute) {
                changes.without_room.push(attribute.to_owned());
                continue;
            }
            if attribute != PREFERENCES {
                self.set(name, value, at, &mut changes);
                continue;
            }
            let before = self.attributes.get(PREFERENCES).cloned();
            match is_topic {
                true => self.set_topic(name, value, at),
                false => self.set_preferences(value, at),
            }
            let after = self.attributes.get(PREFERENCES);
            if before.as_ref() != after {
                changes.add(PREFERENCES, before.as_ref(), after);
            }
        }
        changes
    }

    fn set(&mut self, name: String, value: Value, at: i64, changes: &mut Changes) {
        if self.is_outdated(&name, at) || !self.has_room_for(&name) {
            return;
        }
        if removes(&value) {
            if let Some(before) = self.attributes.remove(&name) {
                changes.add(&name, Some(&before), None);
            }
            self.times.insert(name, at);
            return;
        }
        self.record_time(&name, at);
        match self.attributes.get_mut(&name) {
            Some(known) if *known == value => {}
            Some(known) => {
                changes.add(&name, Some(known), Some(&value));
                *known = value;
            }
            None => {
                changes.add(&name, None, Some(&value));
                self.attributes.insert(name, value);
            }
        }
    }

    /// Records when an attribute was set that the person now has.
    fn record_time(&mut self, name: &str, at: i64) {
        if let Some(time) = self.times.get_mut(name) {
            *time = at;
        } else if at != self.set_at || name == PREFERENCES {
            self.times.insert(name.to_owned(), at);
        }
    }

    /// Changes one topic of the preferences and keeps the others.
    fn set_topic(&mut self, name: String, value: Value, at: i64) {
        let is_outdated = self.is_outdated(PREFERENCES, at) || self.is_outdated(&name, at);
        if is_outdated || !self.has_room_for(PREFERENCES) {
            return;
        }
        let preferences = self.attributes.entry(PREFERENCES).or_insert(Value::Null);
        let topics = member(preferences, "topics");
        let topic = name.trim_start_matches(TOPIC_PREFIX).to_owned();
        set(topics, topic, value);
        self.times.insert(name, at);
    }

    /// Replaces the preferences, except the topics that a later update has set.
    fn set_preferences(&mut self, value: Value, at: i64) {
        if self.is_outdated(PREFERENCES, at) {
            return;
        }
        let later = |(name, time): &(&String, &i64)| name.starts_with(TOPIC_PREFIX) && **time > at;
        let kept: Vec<_> = self
            .times
            .iter()
            .filter(later)
            .map(|(name, time)| (name.clone(), self.topic(name), *time))
            .collect();
        // `update` compares the preferences before with those after.
        self.set(PREFERENCES.to_owned(), value, at, &mut Changes::default());
        for (name, value, time) in kept {
            self.set_topic(name, value, time);
        }
    }

    /// Returns the value of a topic, or `null` if the preferences do not contain it.
    fn topic(&self, name: &str) -> Value {
        let topic = name.trim_start_matches(TOPIC_PREFIX);
        let preferences = self.attributes.get(PREFERENCES);
        let topics = preferences.and_then(|preferences| preferences.get("topics"));
        topics
            .and_then(|topics| topics.get(topic))
            .cloned()
            .unwrap_or_default()
    }

    /// Returns whether a later update than that of `at` has set the attribute. Of two updates with
    /// one time, the second to arrive is the later one.
    fn is_outdated(&self, name: &str, at: i64) -> bool {
        match self.times.get(name) {
            Some(time) => *time > at,
            None => self.set_at > at && name != PREFERENCES && self.attributes.contains_key(name),
        }
    }

    fn has_room_for(&self, name: &str) -> bool {
        self.attributes.len() < MAX_ATTRIBUTES || self.attributes.contains_key(name)
    }

    /// Returns the person as the App API shows them: all attributes are texts.
    pub(super) fn customer(&self, identifiers: &Value) -> Value {
        let own = ["id", "email", "cio_id"].into_iter();
        let own = own.map(|name| (name.to_owned(), identifiers[name].clone()));
        let own = own.filter(|(_, value)| !value.is_null());
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| (name.clone(), as_text(value).into()));
        let devices = self.devices.iter().map(|(token, device)| {
            let mut device = device.clone();
            if let Some(members) = device.as_object_mut() {
                members.remove("token");
                members.insert("id".to_owned(), token.as_str().into());
            }
            device
        });
        json!({
            "id": identifiers["id"].as_str().unwrap_or_default(),
            "identifiers": identifiers,
            "attributes": attributes.chain(own).collect::<Map<_, _>>(),
            "timestamps": {},
            "unsubscribed": self.is_unsubscribed(),
            "devices": devices.collect::<Vec<_>>(),
        })
    }

    /// Returns the subscriptions of the person as the App API shows them. The topics are those that
    /// the preferences contain.
    pub(super) fn subscription_preferences(&self, identifiers: &Value) -> Value {
        let preferences = self.attributes.get(PREFERENCES);
        let topics = preferences.and_then(|preferences| preferences["topics"].as_object());
        let numbered = topics.into_iter().flatten().filter_map(|(name, value)| {
            let number = name.strip_prefix("topic_")?.parse::<u64>().ok()?;
            Some((number, is_true(value)))
        });
        // By number: `topic_10` is after `topic_9`.
        let numbered: BTreeMap<_, _> = numbered.collect();
        let topics = numbered.into_iter().map(|(number, subscribed)| {
            json!({
                "id": number,
                "name": format!("Topic {number}"),
                "description": "",
                "subscribed": subscribed,
            })
        });
        json!({
            "id": identifiers["id"],
            "identifiers": identifiers,
            "unsubscribed": self.is_unsubscribed(),
            "topics": topics.collect::<Vec<_>>(),
            "header": {"title": "", "subtitle": ""},
        })
    }

    pub(super) fn change_opt_out(&mut self, sender: Sender, opts_out: bool) {
        match opts_out {
            true => self.opt_outs.insert(sender),
            false => self.opt_outs.remove(&sender),
        };
    }

    /// Returns whether the person opted out of a sender, or of any.
    pub(super) fn opted_out(&self, from: Option<&str>) -> bool {
        let mut senders = self.opt_outs.iter();
        senders.any(|sender| from.is_none_or(|from| sender.from == from))
    }

    /// Returns the opt-outs as the App API shows them.
    pub(super) fn opt_outs(&self) -> Vec<Value> {
        let senders = self.opt_outs.iter();
        let shown = senders.map(|sender| json!({"channel": sender.channel, "from": sender.from}));
        shown.collect()
    }

    fn is_unsubscribed(&self) -> bool {
        self.attributes.get("unsubscribed").is_some_and(is_true)
    }

    /// Returns the devices as the events of webhooks show them.
    pub(super) fn recipients(&self) -> Vec<Value> {
        let devices = self.devices.iter();
        let recipients = devices.map(
            |(token, device)| json!({"device_id": token, "device_platform": device["platform"]}),
        );
        recipients.collect()
    }

    /// Adds the events and opt-outs of `other`, and its attributes and devices that this person
    /// does not have.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.events += other.events;
        // An attribute that both have keeps the value of the primary, as in the API.
        for (name, value) in other.attributes {
            if !self.attributes.contains_key(&name) && self.has_room_for(&name) {
                let time = other.times.remove(&name);
                let time = time.or_else(|| (name != PREFERENCES).then_some(other.set_at));
                if let Some(time) = time {
                    self.record_time(&name, time);
                }
                self.attributes.insert(name, value);
            }
        }
        for (token, device) in other.devices {
            self.devices.entry(token).or_insert(device);
        }
        self.opt_outs.append(&mut other.opt_outs);
    }
}

/// The changes that an update has made.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The attributes that changed, with their values as the activity log shows them: a JSON object
    /// without its last brace. A text, since few activities are ever shown.
    changed: Vec<u8>,
    /// Whether the person unsubscribed or subscribed.
    pub(super) unsubscribed: Option<bool>,
    /// The preferences as the activity log shows them, if they changed.
    pub(super) preferences: Option<String>,
    /// The attributes that are not stored, since the person has too many.
    pub(super) without_room: Vec<String>,
}

impl Changes {
    fn add(&mut self, name: &str, before: Option<&Value>, after: Option<&Value>) {
        if name == "unsubscribed" {
            let is_true = |value: Option<&Value>| value.is_some_and(is_true);
            let has_changed = is_true(before) != is_true(after);
            self.unsubscribed = has_changed.then(|| is_true(after));
        }
        if name == PREFERENCES {
            self.preferences = Some(after.map(as_text).unwrap_or_default());
        }
        let separator = if self.changed.is_empty() { b'{' } else { b',' };
        self.changed.push(separator);
        self.write(name);
        self.changed.extend(br#":{"from":"#);
        self.write_shown(before);
        self.changed.extend(br#","to":"#);
        self.write_shown(after);
        self.changed.push(b'}');
    }

    fn write_shown(&mut self, value: Option<&Value>) {
        match value {
            Some(Value::String(text)) => self.write(text),
            Some(value) => self.write(&value.to_string()),
            None => self.write(""),
        }
    }

    fn write(&mut self, text: &str) {
        serde_json::to_writer(&mut self.changed, text).expect("a text is written to memory");
    }

    /// Returns the attributes that changed as a JSON object, if there are any.
    pub(super) fn into_json(mut self) -> Option<Box<[u8]>> {
        let is_changed = !self.changed.is_empty();
        self.changed.push(b'}');
        is_changed.then(|| self.changed.into_boxed_slice())
    }
}

/// Returns the object at `name` in `parent`. Replaces anything else at both places by an object.
fn member<'a>(parent: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !parent.is_object() {
        *parent = json!({});
    }
    let child = &mut parent[name];
    if !child.is_object() {
        *child = json!({});
    }
    child.as_object_mut().expect("it was made an object")
}

/// Sets an attribute. `null` and an empty string remove it.
pub(super) fn set(attributes: &mut Map<String, Value>, name: String, value: Value) {
    if removes(&value) {
        attributes.remove(&name);
    } else {
        attributes.insert(name, value);
    }
}

/// Returns whether an attribute with this value is removed.
fn removes(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Returns whether a person can have these attributes as they are: none removes one or changes the
/// preferences, and there are not too many.
fn is_plain(attributes: &Map<String, Value>) -> bool {
    let mut all = attributes.iter();
    attributes.len() <= MAX_ATTRIBUTES
        && all.all(|(name, value)| !name.starts_with(PREFERENCES) && !removes(value))
}

/// Returns whether a value unsubscribes: `true` in any case, or 1.
fn is_true(value: &Value) -> bool {
    let text = as_text(value);
    text == "1" || text.eq_ignore_ascii_case("true")
}

/// The attribute that contains a person's subscriptions to topics.
const PREFERENCES: &str = "cio_subscription_preferences";
/// An attribute with this prefix changes one topic and keeps the others.
const TOPIC_PREFIX: &str = "cio_subscription_preferences.topics.";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Some attributes with their values.
    fn update() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::vec(attribute(), 1..4).prop_map(Map::from_iter)
    }

    /// One attribute and its value: some remove it, and some are no preferences.
    fn attribute() -> impl Strategy<Value = (String, Value)> {
        let topics = prop::collection::btree_map("topic_[12]", any::<bool>(), 0..3);
        let preferences = topics.prop_map(|topics| json!({"topics": topics}));
        let plain = prop_oneof![
            Just(json!(null)),
            Just(json!("")),
            Just(json!(true)),
            Just(json!(7)),
        ];
        prop_oneof![
            ("[ab]", plain.clone()),
            (Just(PREFERENCES.to_owned()), preferences),
            (Just(PREFERENCES.to_owned()), plain.clone()),
            (
                "topic_[12]".prop_map(|topic| format!("{TOPIC_PREFIX}{topic}")),
                plain
            ),
        ]
    }

    fn attributes_after(updates: &[(i64, Map<String, Value>)]) -> Map<String, Value> {
        let mut person = Person::default();
        for (at, attributes) in updates {
            person.update(attributes.clone(), *at);
        }
        person.attributes
    }

    proptest! {
        #[test]
        fn updates_with_different_times_have_one_result_in_any_order(
            (ordered, arrived) in prop::collection::vec(update(), 0..12).prop_flat_map(|updates| {
                let ordered: Vec<_> = (0..).zip(updates).collect();
                (Just(ordered.clone()), Just(ordered).prop_shuffle())
            }),
        ) {
            prop_assert_eq!(attributes_after(&arrived), attributes_after(&ordered));
        }
    }

    /// Returns the changes of an update as the activity log shows them.
    fn changed(person: &mut Person, attributes: &Value, at: i64) -> Value {
        let attributes = attributes.as_object().unwrap().clone();
        let changed = person.update(attributes, at).into_json();
        changed.map_or(Value::Null, |json| serde_json::from_slice(&json).unwrap())
    }

    #[test]
    fn the_changes_of_an_update_are_texts() {
        let mut person = Person::default();
        let first = json!({"a": "x\"y", "n": 1, "gone": ""});
        let expected = json!({"a": {"from": "", "to": "x\"y"}, "n": {"from": "", "to": "1"}});
        assert_eq!(changed(&mut person, &first, 5), expected);
        let late = json!({"a": "late", "b": true});
        let expected = json!({"b": {"from": "", "to": "true"}});
        assert_eq!(changed(&mut person, &late, 4), expected);
        let next = json!({"a": null, "n": 1, "b": {"c": "d"}});
        let expected = json!({
            "a": {"from": "x\"y", "to": ""}, "b": {"from": "true", "to": r#"{"c":"d"}"#},
        });
        assert_eq!(changed(&mut person, &next, 6), expected);
        assert_eq!(changed(&mut person, &json!({"n": 1}), 7), Value::Null);
    }

    #[test]
    fn a_merged_attribute_keeps_its_time() {
        let update = |attributes: &Value, at| {
            let mut person = Person::default();
            changed(&mut person, attributes, at);
            person
        };
        let mut primary = update(&json!({"a": 1}), 9);
        primary.merge(update(&json!({"a": 2, "b": 2}), 5));
        changed(&mut primary, &json!({"a": 0, "b": 0}), 4);
        assert_eq!(
            Value::from(primary.attributes.clone()),
            json!({"a": 1, "b": 2})
        );
        changed(&mut primary, &json!({"a": 6, "b": 6}), 6);
        assert_eq!(Value::from(primary.attributes), json!({"a": 1, "b": 6}));
    }
}
