use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use super::activities::{
    Activity, ActivityFilter, ActivityLog, FAILED_ATTRIBUTE_CHANGE, FAILED_EVENT,
    FAILED_RELATIONSHIP, LogSettings, SKIPPED_UPDATE,
};
use super::broadcasts::{Broadcasts, Trigger};
use super::busiest_window::BusiestWindow;
use super::event::{Dedupe, Event};
use super::exports::Exports;
use super::imports::{Imports, Row};
use super::live_notifications::{LiveNotifications, NotChanged, NotificationChange};
use super::messages::{Message, MessageFilter, Messages};
use super::object::{Object, Objects};
use super::people::People;
use super::person::{Changes, Person};
use super::reports::{Delivery, Form, Reports};
use super::retention::Records;
use super::segments::Segments;
use super::totals::Totals;
use super::visitors::Visitors;
use super::webhook_events::{Details, WebhookEvent, WebhookEvents, delivery_data, person_data};
use crate::api::{
    BroadcastTrigger, DeliveriesExport, DeliveryReport, Filter, Identifier, Identify,
    ImportRequest, Membership, NewNotification, NewSegment, ObjectChange, ObjectIdentifier,
    Operation, OutgoingMessage, RelatedPerson, Relationship, Sender, Source, Subscription,
    TrackedEvent, as_text, ulid,
};

/// All records. Applies the operations that the API accepted.
#[derive(Debug)]
pub(crate) struct Store {
    records: Records,
    dedupe: Dedupe,
    totals: Totals,
    busiest_window: BusiestWindow,
    people: People,
    visitors: Visitors,
    events: HashMap<String, Event>,
    objects: Objects,
    reports: Reports,
    segments: Segments,
    messages: Messages,
    broadcasts: Broadcasts,
    activities: ActivityLog,
    imports: Imports,
    exports: Exports,
    live_notifications: LiveNotifications,
    webhooks: WebhookEvents,
}

impl Store {
    /// Creates an empty store, whose busiest window is `window` long.
    pub(crate) fn new(records: Records, dedupe: Dedupe, window: Duration) -> Self {
        Self {
            records,
            dedupe,
            totals: Totals::default(),
            busiest_window: BusiestWindow::new(window),
            people: People::default(),
            visitors: Visitors::default(),
            events: HashMap::new(),
            objects: Objects::default(),
            reports: Reports::default(),
            segments: Segments::default(),
            messages: Messages::default(),
            broadcasts: Broadcasts::default(),
            activities: ActivityLog::default(),
            imports: Imports::default(),
            exports: Exports::default(),
            live_notifications: LiveNotifications::default(),
            webhooks: WebhookEvents::default(),
        }
    }

    /// Lets imports load a file from a URL.
    pub(crate) fn add_import_file(&mut self, url: String, csv: String) {
        self.imports.add_file(url, csv);
    }

    pub(crate) fn set_import_time(&mut self, time: Duration) {
        self.imports.set_time(time);
    }

    /// Begins an import and returns its number.
    pub(crate) fn begin_import(&mut self, import: ImportRequest, now: Duration, date: i64) -> u64 {
        self.imports.begin(import, now, date)
    }

    /// Returns an import as the App API shows it.
    pub(crate) fn import(&self, id: u64, now: Duration) -> Option<Value> {
        self.imports.shown(id, now)
    }

    pub(crate) fn has_pending_imports(&self) -> bool {
        self.imports.has_pending()
    }

    /// Applies the imports that have ended.
    pub(crate) fn settle_imports(&mut self, now: Duration, date: i64) {
        while let Some((index, request, rows)) = self.imports.next_ended(now) {
            let mut imported = 0;
            for row in rows {
                imported += u64::from(self.import_row(&request, row, date));
            }
            self.imports.ended(index, imported);
        }
    }

    /// Returns whether a row is imported. Only rows of people have an effect: the columns of others
    /// are not documented.
    fn import_row(&mut self, request: &ImportRequest, mut row: Row, date: i64) -> bool {
        let Some(column) = &request.identifier else {
            return true;
        };
        let value = row.remove(column);
        let value = value.as_ref().and_then(Value::as_str).unwrap_or_default();
        let Ok(person) = Identifier::in_column(column, value) else {
            return false;
        };
        let exists = self.people.exists(&person);
        let is_selected = match request.data_to_process.as_str() {
            "only_new" => !exists,
            "only_existing" => exists,
            _ => true,
        };
        let has_effect = request.kind == "people" && self.records == Records::All;
        if is_selected && has_effect {
            self.identify(Identify::new(person, row), date);
        }
        is_selected
    }

    /// Queues the events of one more webhook.
    pub(crate) fn add_webhook(&mut self) {
        self.webhooks.add_webhook();
    }

    /// Returns the next event for a webhook.
    pub(crate) fn webhook_event(&self, webhook: usize) -> Option<WebhookEvent> {
        self.webhooks.next(webhook)
    }

    /// Removes the next event for a webhook.
    pub(crate) fn webhook_event_done(&mut self, webhook: usize, is_delivered: bool) {
        self.webhooks.done(webhook);
        match is_delivered {
            true => self.totals.webhooks += 1,
            false => self.totals.webhooks_dropped += 1,
        }
    }

    /// Queues the event of a message.
    fn report_message(&mut self, message: &Message, metric: &str, details: Details<'_>, now: i64) {
        // A message in an inbox has no events.
        if !self.webhooks.is_enabled() || message.in_activities.is_none() {
            return;
        }
        let person = message.recipient.as_ref();
        let identifiers = person.map_or(Value::Null, |person| self.people.identifiers(person));
        let devices = person.and_then(|person| self.people.get(person));
        let devices = devices.map_or_else(Vec::new, Person::recipients);
        let data = delivery_data(message, metric, details, &identifiers, &devices);
        self.totals.webhooks_dropped += self.webhooks.add(&message.channel, metric, &data, now);
    }

    /// Queues the event of a subscription.
    fn report_subscription(&mut self, person: &Identifier, metric: &str, content: Value, now: i64) {
        if !self.webhooks.is_enabled() {
            return;
        }
        let identifiers = self.people.identifiers(person);
        let mut data = person_data(&identifiers);
        data.insert("email_address".to_owned(), identifiers["email"].clone());
        if !content.is_null() {
            data.insert("content".to_owned(), content);
        }
        self.totals.webhooks_dropped += self.webhooks.add("customer", metric, &data.into(), now);
    }

    pub(crate) fn configure_log(&mut self, settings: LogSettings) {
        self.activities.configure(settings);
    }

    /// Returns a page of the activities that are visible at `now`, the newest first, and the
    /// position of the next page. `None` if the person does not exist.
    pub(crate) fn activities(
        &self,
        mut filter: ActivityFilter,
        now: i64,
    ) -> Option<(Vec<Value>, Option<u64>)> {
        if let Some(person) = &mut filter.person {
            // Activities of a person who was deleted are found by the identifier that they had.
            match self.people.existing(person) {
                Some(resolved) => *person = resolved,
                None if filter.deleted => {}
                None => return None,
            }
        }
        let is_shown = |activity: &&Activity| {
            activity.is_selected(&filter)
                && (filter.deleted || !self.is_of_deleted_person(activity))
        };
        let found = self.activities.visible(now).filter(is_shown);
        let (page, last) = page(found, filter.limit);
        let shown = page.into_iter().map(|entry| self.shown(entry));
        Some((shown.collect(), last.map(|last| last.number)))
    }

    fn is_of_deleted_person(&self, activity: &Activity) -> bool {
        let person = activity.person.as_ref().filter(|_| activity.existed);
        person.is_some_and(|person| !self.people.exists(person))
    }

    /// Returns an activity as the App API shows it.
    fn shown(&self, activity: &Activity) -> Value {
        let identifiers = activity
            .person
            .as_ref()
            .map(|person| self.people.identifiers(person));
        let mut shown = json!({
            // Opaque, as the API's ids are.
            "id": format!("{:026}", activity.number),
            "type": activity.kind,
            "timestamp": activity.at,
            "customer_id": identifiers.as_ref().map(|known| known["id"].clone()),
            "customer_identifiers": identifiers,
        });
        if let Some(name) = &activity.name {
            let member = if activity.kind == "page" {
                "url"
            } else {
                "name"
            };
            shown[member] = name.as_str().into();
        }
        if let Some(delivery) = &activity.delivery_id {
            shown["delivery_id"] = delivery.as_str().into();
        }
        if let Some(data) = &activity.data {
            let data = serde_json::from_slice(data);
            shown["data"] = data.expect("it was written as JSON");
        }
        shown
    }

    /// Returns the identifiers of the people with an address: as their identifier, or as their
    /// attribute `email`.
    pub(crate) fn people_with_email(&self, email: &str) -> Vec<Value> {
        let people = self
            .people
            .after(None)
            .map(|(person, _)| self.people.identifiers(person));
        let is_same = |known: &Value| {
            known
                .as_str()
                .is_some_and(|k| k.eq_ignore_ascii_case(email))
        };
        people.filter(|known| is_same(&known["email"])).collect()
    }

    /// Returns a page of the people whom a filter selects, and the position of the next page.
    pub(crate) fn search(
        &self,
        filter: &Filter,
        start: Option<&str>,
        limit: usize,
    ) -> (Vec<Value>, Option<String>) {
        let is_selected = |(identifier, person): &(&Identifier, &Person)| {
            let attribute = |name: &str| {
                let own = self.people.identifiers(identifier);
                let own = own.get(name).filter(|value| !value.is_null()).map(as_text);
                own.or_else(|| person.attributes.get(name).map(as_text))
            };
            let is_in = |segment| self.segments.contains(segment, identifier);
            filter.selects(&attribute, &is_in)
        };
        self.page_of_people(self.people.after(start).filter(is_selected), limit)
    }

    fn page_of_people<'a>(
        &self,
        people: impl Iterator<Item = (&'a Identifier, &'a Person)>,
        limit: usize,
    ) -> (Vec<Value>, Option<String>) {
        let (page, last) = page(people, limit);
        let people = page.into_iter();
        let people = people.map(|(person, _)| self.people.identifiers(person));
        (people.collect(), last.map(|(_, last)| last.cio_id.clone()))
    }

    /// Returns a page of the people in a segment, and the position of the next page. `None` if the
    /// segment does not exist.
    pub(crate) fn segment_members(
        &self,
        id: u64,
        start: Option<&str>,
        limit: usize,
    ) -> Option<(Vec<Value>, Option<String>)> {
        let is_member = |(person, _): &(&Identifier, _)| self.segments.contains(id, person);
        let members = self.people.after(start).filter(is_member);
        let is_known = self.segments.exists(id);
        is_known.then(|| self.page_of_people(members, limit))
    }

    /// Returns the segments of a person.
    pub(crate) fn segments_of(&self, person: &Identifier) -> Option<Vec<Value>> {
        Some(self.segments.of(&self.people.existing(person)?))
    }

    /// Returns a page of the relationships of a person, and the position of the next page. `None`
    /// if the person does not exist.
    pub(crate) fn relationships_of(
        &self,
        person: &Identifier,
        after: u64,
        limit: usize,
    ) -> Option<(Vec<Value>, Option<u64>)> {
        let related = self
            .objects
            .related_to(&self.people.existing(person)?, after);
        let (page, last) = page(related.iter(), limit);
        let shown = page.into_iter().map(|(_, shown)| shown.clone());
        Some((shown.collect(), last.map(|(position, _)| *position)))
    }

    /// Returns the subscriptions of a person.
    pub(crate) fn subscription_preferences(&self, person: &Identifier) -> Option<Value> {
        let identifiers = self.people.identifiers(person);
        Some(
            self.people
                .get(person)?
                .subscription_preferences(&identifiers),
        )
    }

    /// Returns the opt-outs of a person.
    pub(crate) fn opt_outs(&self, person: &Identifier) -> Option<Vec<Value>> {
        Some(self.people.get(person)?.opt_outs())
    }

    /// Changes the opt-outs of a person. Returns whether the person exists.
    pub(crate) fn change_opt_outs(
        &mut self,
        person: &Identifier,
        changes: Vec<(Sender, bool)>,
    ) -> bool {
        let Some(person) = self.people.get_mut(person) else {
            return false;
        };
        for (sender, opts_out) in changes {
            person.change_opt_out(sender, opts_out);
        }
        true
    }

    /// Returns a page of the people who opted out of a sender, or of any, and the position of the
    /// next page.
    pub(crate) fn all_opt_outs(
        &self,
        from: Option<&str>,
        start: Option<&str>,
        limit: usize,
    ) -> (Vec<Value>, Option<String>) {
        let people = self.people.after(start);
        let (page, last) = page(people.filter(|(_, person)| person.opted_out(from)), limit);
        let shown = page.into_iter().map(|(identifier, person)| {
            json!({
                "cio_id": person.cio_id,
                "customer_id": self.people.identifiers(identifier)["id"],
                "optouts": person.opt_outs(),
            })
        });
        (shown.collect(), last.map(|(_, last)| last.cio_id.clone()))
    }

    /// Returns a page of the messages that a filter selects, the newest first, and the position of
    /// the next page. `None` if the person of the filter does not exist.
    pub(crate) fn selected_messages(
        &self,
        mut filter: MessageFilter,
        before: Option<u64>,
        limit: usize,
        now: i64,
    ) -> Option<(Vec<Value>, Option<u64>)> {
        if let Some(person) = &mut filter.person {
            *person = self.people.existing(person)?;
        }
        let messages = self.messages.before(before);
        let found = messages.filter(|message| message.is_selected(&filter, now));
        let (page, last) = page(found, limit);
        let shown = page
            .into_iter()
            .map(|message| self.shown_message(message, now));
        Some((shown.collect(), last.map(|last| last.number)))
    }

    /// Returns a message as the App API shows it.
    pub(crate) fn app_message(&self, delivery_id: &str, now: i64) -> Option<Value> {
        Some(self.shown_message(self.messages.get(delivery_id)?, now))
    }

    fn shown_message(&self, message: &Message, now: i64) -> Value {
        let person = message.recipient.as_ref();
        let identifiers = person.map(|person| self.people.identifiers(person));
        message.shown(&identifiers.unwrap_or(Value::Null), now)
    }

    pub(crate) fn set_export_time(&mut self, time: Duration) {
        self.exports.set_time(time);
    }

    /// Begins an export of the people whom a filter selects, and returns its number.
    pub(crate) fn export_people(&mut self, filter: &Filter, now: Duration, date: i64) -> u64 {
        let (people, _) = self.search(filter, None, usize::MAX);
        self.exports.begin("customers", people, now, date)
    }

    /// Begins an export of deliveries, and returns its number.
    pub(crate) fn export_deliveries(
        &mut self,
        export: &DeliveriesExport,
        now: Duration,
        date: i64,
    ) -> u64 {
        let (source, id) = export.source;
        let filter = MessageFilter {
            metric: export.metric.clone(),
            // Either all, or those that are no drafts.
            draft: (!export.drafts).then_some(false),
            template: Some(id),
            created: export.start.unwrap_or(i64::MIN)..=export.end.unwrap_or(i64::MAX),
            has_other_parent: source != "transactional_message_id",
            ..MessageFilter::all()
        };
        let messages = self.messages.before(None);
        let found = messages.filter(|message| message.is_selected(&filter, date));
        let rows = found.map(|message| {
            let mut row = self.shown_message(message, date);
            let person = message.recipient.as_ref();
            let person = person.and_then(|person| self.people.get(person));
            for name in &export.attributes {
                let value = person.and_then(|person| person.attributes.get(name));
                row["attributes"][name] = value.map(as_text).into();
            }
            row
        });
        let rows = rows.collect();
        self.exports.begin("deliveries", rows, now, date)
    }

    /// Returns an export as the App API shows it.
    pub(crate) fn export(&self, id: u64, now: Duration) -> Option<Value> {
        self.exports.shown(id, now)
    }

    /// Returns all exports as the App API shows them.
    pub(crate) fn exports(&self, now: Duration) -> Vec<Value> {
        self.exports.all(now)
    }

    /// Counts a request for the link of an export. Returns whether the export is done.
    pub(crate) fn download_export(&mut self, id: u64, now: Duration) -> bool {
        self.exports.download(id, now)
    }

    /// Returns what was exported, once the export is done.
    pub(crate) fn exported(&self, id: u64, now: Duration) -> Option<&[Value]> {
        self.exports.items(id, now)
    }

    /// Starts a live notification, and returns the id of its instance.
    pub(crate) fn start_notification(&mut self, notification: NewNotification, now: i64) -> String {
        let is_kept = self.records == Records::All;
        self.live_notifications.start(notification, now, is_kept)
    }

    /// Changes a live notification. Without records, every one may be active.
    pub(crate) fn change_notification(
        &mut self,
        id: &str,
        change: NotificationChange,
        now: i64,
    ) -> Result<(), NotChanged> {
        match self.records {
            Records::All => self.live_notifications.change(id, change, now),
            Records::CountsOnly => Ok(()),
        }
    }

    /// Returns a live notification as the App API shows it.
    pub(crate) fn notification(&self, id: &str, now: i64) -> Option<Value> {
        self.live_notifications.shown(id, now)
    }

    /// Returns a person as the App API shows them.
    pub(crate) fn customer(&self, person: &Identifier) -> Option<Value> {
        let identifiers = self.people.identifiers(person);
        Some(self.people.get(person)?.customer(&identifiers))
    }

    fn log(&mut self, mut activity: Activity, person: &Identifier) {
        activity.existed = self.people.exists(person);
        activity.person = Some(person.clone());
        self.activities.record(activity);
    }

    /// Records that a person was created, unless they exist.
    fn log_creation(&mut self, person: &Identifier, now: i64) {
        if !self.people.exists(person) {
            self.people.find_or_create(person);
            self.log(Activity::new("profile_create", now), person);
        }
    }

    /// Records a request that reaches the counter, and whether it counts under the limit of the
    /// Track API.
    pub(crate) fn record_arrival(&mut self, now: Duration, is_ingress: bool) {
        self.totals.requests += 1;
        if is_ingress {
            self.busiest_window.record(now);
        }
    }

    /// Returns the counts that `http` adds to. [`totals`](Self::totals) computes the others.
    pub(crate) fn counts(&mut self) -> &mut Totals {
        &mut self.totals
    }

    pub(crate) fn totals(&self) -> Totals {
        // The rest is counted as it happens.
        Totals {
            people: self.people.len() as u64,
            busiest_window: self.busiest_window.most(),
            window_us: u64::try_from(self.busiest_window.window().as_micros()).unwrap_or(u64::MAX),
            ..self.totals.clone()
        }
    }

    pub(crate) fn person(&self, identifier: &Identifier) -> Option<&Person> {
        self.people.get(identifier)
    }

    pub(crate) fn event(&self, id: &str) -> Option<&Event> {
        self.events.get(&ulid(id)?)
    }

    pub(crate) fn object(&self, type_id: &str, id: &str) -> Option<&Object> {
        self.objects.object(type_id, id)
    }

    pub(crate) fn delivery(&self, id: &str) -> Option<&Delivery> {
        self.reports.deliveries.get(id)
    }

    pub(crate) fn form(&self, id: &str) -> Option<&Form> {
        self.reports.forms.get(id)
    }

    /// Returns the people in a manual segment.
    pub(crate) fn segment(&self, id: u64) -> Option<BTreeSet<String>> {
        self.segments.people(id)
    }

    /// Returns whether a manual segment exists.
    pub(crate) fn segment_exists(&self, id: u64) -> bool {
        self.segments.exists(id)
    }

    /// Returns the number of people in a manual segment.
    pub(crate) fn segment_size(&self, id: u64) -> Option<usize> {
        self.segments.len(id)
    }

    /// Returns a manual segment as the App API shows it.
    pub(crate) fn shown_segment(&self, id: u64) -> Option<Value> {
        self.segments.shown(id)
    }

    /// Returns all manual segments as the App API shows them.
    pub(crate) fn segments(&self) -> Vec<Value> {
        self.segments.all()
    }

    /// Creates an empty manual segment with this number. The Track API cannot do this.
    pub(crate) fn add_segment(&mut self, id: u64, now: i64) {
        let segment = NewSegment {
            name: format!("Segment {id}"),
            description: String::new(),
        };
        self.segments.add(id, segment, now);
    }

    /// Creates an empty manual segment, and returns its number.
    pub(crate) fn create_segment(&mut self, segment: NewSegment, now: i64) -> u64 {
        self.segments.create(segment, now)
    }

    /// Returns whether the segment existed.
    pub(crate) fn delete_segment(&mut self, id: u64) -> bool {
        self.segments.delete(id)
    }

    pub(crate) fn message(&self, delivery_id: &str) -> Option<&Message> {
        self.messages.get(delivery_id)
    }

    pub(crate) fn messages(&self) -> &[Message] {
        self.messages.all()
    }

    /// Returns the triggers of a broadcast, or `None` if it does not exist.
    pub(crate) fn triggers(&self, broadcast: u64) -> Option<&[Trigger]> {
        self.broadcasts.triggers(broadcast)
    }

    /// Creates a broadcast. No API can do this.
    pub(crate) fn add_broadcast(&mut self, id: u64) {
        self.broadcasts.add(id);
    }

    pub(crate) fn set_trigger_time(&mut self, time: Duration) {
        self.broadcasts.set_trigger_time(time);
    }

    /// Records a transactional message. The device in a push is added to the person, if it exists.
    pub(crate) fn send(&mut self, mut message: OutgoingMessage, now: i64) -> Message {
        self.totals.accepted += 1;
        self.totals.messages += 1;
        let person = message.person.take();
        let existing = person
            .as_ref()
            .and_then(|person| self.people.get_mut(person));
        if let (Some(person), Some((token, device))) = (existing, message.device.take()) {
            person.devices.insert(token, device);
        }
        let resolved = person.map(|person| self.people.existing(&person).unwrap_or(person));
        let message = Message::new(self.totals.messages, message, resolved, now);
        if self.records == Records::CountsOnly {
            return message;
        }
        self.messages.record(message.clone());
        let metric = match message.is_draft() {
            true => "drafted",
            false => "sent",
        };
        let is_due = message.is_draft() || message.send_at.is_none_or(|at| at <= now);
        if let (Some(channel), true) = (message.in_activities, is_due) {
            let (kind, person) = (format!("{metric}_{channel}"), message.recipient.as_ref());
            self.log_delivery(kind, message.delivery_id.clone(), person, now);
            self.report_message(&message, metric, Details::default(), now);
        }
        message
    }

    fn log_delivery(
        &mut self,
        kind: String,
        delivery_id: String,
        person: Option<&Identifier>,
        now: i64,
    ) {
        let mut activity = Activity::new(kind, now);
        activity.delivery_id = Some(delivery_id);
        match person {
            Some(person) => self.log(activity, person),
            None => self.activities.record(activity),
        }
    }

    /// Returns the person of a trigger who must exist and does not. Without records, everyone may
    /// exist.
    pub(crate) fn missing<'a>(&self, trigger: &'a BroadcastTrigger) -> Option<&'a Identifier> {
        if self.records == Records::CountsOnly {
            return None;
        }
        let mut required = trigger.required.iter();
        required.find(|person| !self.people.exists(person))
    }

    /// Returns the time until the next trigger fits, if too many wait.
    pub(crate) fn queue_full_for(&mut self, now: Duration) -> Option<Duration> {
        self.broadcasts.full_for(now)
    }

    /// Records a trigger and returns its id, or `None` if the broadcast does not exist.
    pub(crate) fn trigger(
        &mut self,
        broadcast: u64,
        trigger: BroadcastTrigger,
        now: Duration,
        date: i64,
    ) -> Option<u64> {
        let records = self.records;
        let id = self
            .broadcasts
            .record(broadcast, trigger.request, now, date, records)?;
        self.totals.accepted += 1;
        self.totals.triggers += 1;
        Some(id)
    }

    /// Applies an operation. It counts as accepted, whether or not it then has an effect. `now` is
    /// the time of its arrival in Unix seconds.
    pub(crate) fn apply(&mut self, operation: Operation, now: i64) {
        self.totals.accepted += 1;
        match self.records {
            Records::All => self.record(operation, now),
            Records::CountsOnly => self.count(&operation),
        }
    }

    /// Counts an operation that leaves no record. Whether an event repeats an earlier one is
    /// unknown, so each of them counts as applied.
    fn count(&mut self, operation: &Operation) {
        self.totals.events += u64::from(matches!(operation, Operation::Event { .. }));
    }

    fn record(&mut self, operation: Operation, now: i64) {
        match operation {
            Operation::AddDevice {
                person,
                token,
                device,
            } => {
                let Some(resolved) = self.people.resolve(&person) else {
                    return self.log(Activity::new(FAILED_ATTRIBUTE_CHANGE, now), &person);
                };
                self.log_creation(&resolved, now);
                let person = self.people.find_or_create(&resolved);
                person.devices.insert(token, device);
                self.log(Activity::new("device_change", now), &resolved);
            }
            Operation::AddRelationships { person, objects } => {
                if self.people.resolve(&person).is_none() {
                    return self.log(Activity::new(FAILED_RELATIONSHIP, now), &person);
                }
                self.relate(&person, objects, now);
            }
            Operation::Delete(person) => {
                self.delete(&person, now);
            }
            Operation::DeleteDevice { person, token } => {
                let Some(resolved) = self.people.existing(&person) else {
                    return;
                };
                let person = self.people.find_or_create(&resolved);
                if person.devices.remove(&token).is_some() {
                    self.log(Activity::new("device_change", now), &resolved);
                }
            }
            Operation::DeleteRelationships { person, objects } => {
                self.unrelate(&person, &objects, now);
            }
            Operation::Delivery { id, report } => {
                self.log_report(&id, &report, now);
                self.reports.delivery(id, report);
            }
            Operation::Event { source, event } => self.receive_event(source, event, now),
            // A form creates or updates its person, and its fields become attributes.
            Operation::Form { id, person, data } => {
                self.identify(Identify::new(person, data.clone()), now);
                self.reports.form_submitted(id, data);
            }
            Operation::Identify(update) => self.identify(update, now),
            Operation::Merge { primary, secondary } => self.merge(&primary, &secondary, now),
            Operation::Object { object, change } => self.change_object(object, change, now),
            Operation::Segment {
                id,
                people,
                membership,
            } => self.change_segment(id, &people, membership),
            Operation::Suppress(person) => self.suppress(&person, now),
            Operation::Unsuppress(person) => self.people.unsuppress(&person),
        }
    }

    /// Records a report about a message that was sent here. The channel of others is not known.
    fn log_report(&mut self, id: &str, report: &DeliveryReport, now: i64) {
        let Some(message) = self.messages.get(id) else {
            return;
        };
        let message = message.clone();
        let (metric, details) = match report {
            DeliveryReport::Metric { name, href, reason } => {
                let (href, reason) = (href.as_deref(), reason.as_deref());
                (name.as_str(), Details { href, reason })
            }
            DeliveryReport::Subscription(Subscription::Unsubscribed) => {
                ("unsubscribed", Details::default())
            }
            DeliveryReport::Subscription(Subscription::Subscribed) => return,
        };
        self.messages.report(id, metric, details.reason, now);
        self.report_message(&message, metric, details, now);
        if let (DeliveryReport::Subscription(_), Some(person)) = (report, &message.recipient) {
            self.report_subscription(person, metric, Value::Null, now);
        }
        let Some(channel) = message.in_activities else {
            return;
        };
        let (kind, person) = (format!("{metric}_{channel}"), message.recipient.clone());
        self.log_delivery(kind, id.to_owned(), person.as_ref(), now);
    }

    /// Has no effect on a suppressed person, on an unknown `cio_id`, on any unknown person if the
    /// update must not create one, and if the address belongs to another person.
    fn identify(&mut self, update: Identify, now: i64) {
        let Some(person) = self.people.resolve(&update.person) else {
            return self.log(Activity::new(FAILED_ATTRIBUTE_CHANGE, now), &update.person);
        };
        if update.update_only && !self.people.exists(&person) {
            return self.log(Activity::new(SKIPPED_UPDATE, now), &person);
        }
        if self.people.conflicts(&person, &update.attributes) {
            return self.log(Activity::new(FAILED_ATTRIBUTE_CHANGE, now), &person);
        }
        // It stays an attribute too.
        let anonymous_id = update.anonymous_id();
        self.log_creation(&person, now);
        let record = self.people.find_or_create(&person);
        let changes = record.update(update.attributes, update.timestamp.unwrap_or(now));
        self.people.record_address(&person);
        self.log_changes(changes, &person, now);
        self.relate(&person, update.related, now);
        self.unrelate(&person, &update.unrelated, now);
        if let Some(anonymous_id) = anonymous_id {
            self.identify_visitor(&anonymous_id, &person, now);
        }
    }

    fn log_changes(&mut self, mut changes: Changes, person: &Identifier, now: i64) {
        if let Some(is_unsubscribed) = changes.unsubscribed {
            let metric = match is_unsubscribed {
                true => "unsubscribed",
                false => "subscribed",
            };
            self.report_subscription(person, metric, Value::Null, now);
        }
        if let Some(preferences) = changes.preferences.take() {
            let metric = "cio_subscription_preferences_changed";
            self.report_subscription(person, metric, preferences.into(), now);
        }
        let without_room = std::mem::take(&mut changes.without_room);
        if let Some(changed) = changes.into_json() {
            let mut activity = Activity::new("attribute_change", now);
            activity.data = Some(changed);
            self.log(activity, person);
        }
        if !without_room.is_empty() {
            let mut activity = Activity::new(FAILED_ATTRIBUTE_CHANGE, now);
            let data = json!({"attributes": without_room}).to_string();
            activity.data = Some(data.into_bytes().into());
            self.log(activity, person);
        }
    }

    /// Gives a visitor's events and relationships to the person. An anonymous id belongs to the
    /// first person who is identified with it, until that person is deleted.
    fn identify_visitor(&mut self, anonymous_id: &str, person: &Identifier, now: i64) {
        if self.person_of_visitor(anonymous_id).is_some() {
            return;
        }
        let adopted = self.visitors.identify(anonymous_id, person, now);
        self.people.find_or_create(person).events += adopted.len() as u64;
        for id in adopted.into_iter().flatten() {
            if let Some(event) = self.events.get_mut(&id) {
                event.person = Some(person.text().to_owned());
            }
        }
        self.objects.identify_visitor(anonymous_id, person);
        self.log(Activity::new("anon_merge", now), person);
    }

    /// Returns the person who was identified as this visitor, and exists.
    fn person_of_visitor(&self, anonymous_id: &str) -> Option<Identifier> {
        self.people.existing(self.visitors.person(anonymous_id)?)
    }

    fn relate(
        &mut self,
        person: &Identifier,
        objects: Vec<Relationship<ObjectIdentifier>>,
        now: i64,
    ) {
        if let Some(person) = self.people.resolve(person) {
            for relationship in objects {
                self.objects.relate(&person, relationship);
                self.log(Activity::new("add_relationship", now), &person);
            }
        }
    }

    fn unrelate(
        &mut self,
        person: &Identifier,
        objects: &[Relationship<ObjectIdentifier>],
        now: i64,
    ) {
        if let Some(person) = self.people.resolve(person) {
            for relationship in objects {
                self.objects.unrelate(&person, &relationship.with);
                self.log(Activity::new("delete_relationship", now), &person);
            }
        }
    }

    fn change_object(&mut self, object: ObjectIdentifier, change: ObjectChange, now: i64) {
        for kind in self.objects.activities(&object, &change) {
            self.activities.record(Activity::new(kind, now));
        }
        let change = match change {
            ObjectChange::Delete => ObjectChange::Delete,
            ObjectChange::Identify { attributes, people } => ObjectChange::Identify {
                attributes,
                people: self.resolved(people),
            },
            ObjectChange::DeleteRelationships(people) => {
                ObjectChange::DeleteRelationships(self.resolved(people))
            }
        };
        self.objects.change(object, change);
    }

    /// Returns the relationships without those to people that the API ignores. A visitor that was
    /// identified is a person.
    fn resolved(
        &self,
        people: Vec<Relationship<RelatedPerson>>,
    ) -> Vec<Relationship<RelatedPerson>> {
        let resolve = |Relationship { with, attributes }| {
            let with = match with {
                RelatedPerson::Identified(person) => {
                    RelatedPerson::Identified(self.people.resolve(&person)?)
                }
                RelatedPerson::Anonymous(id) => match self.person_of_visitor(&id) {
                    Some(person) => RelatedPerson::Identified(person),
                    None => RelatedPerson::Anonymous(id),
                },
            };
            Some(Relationship { with, attributes })
        };
        people.into_iter().filter_map(resolve).collect()
    }

    /// Ignores unknown people, as the API does.
    fn change_segment(&mut self, id: u64, people: &[Identifier], membership: Membership) {
        for person in people {
            if let Some(person) = self.people.existing(person) {
                self.segments.change(id, &person, membership);
            }
        }
    }

    fn receive_event(&mut self, source: Source, event: TrackedEvent, now: i64) {
        let person = match &source {
            Source::Invite => None,
            Source::Anonymous(id) => self.person_of_visitor(id),
            // Before the id is counted: an event that the API ignores does not use up its id.
            Source::Person(person) => match self.people.resolve(person) {
                Some(person) => Some(person),
                None => {
                    let mut failed = Activity::new(FAILED_EVENT, now);
                    failed.name = Some(event.name);
                    return self.log(failed, person);
                }
            },
        };
        let is_duplicate = self.count_duplicate(event.id.as_deref());
        self.totals.duplicate_events += u64::from(is_duplicate);
        if is_duplicate && self.dedupe == Dedupe::On {
            return;
        }
        self.totals.events += 1;
        let id = event.id.clone();
        let mut activity = Activity::new(event.kind, now);
        activity.name = Some(event.name.clone());
        match &person {
            Some(person) => {
                self.log_creation(person, now);
                self.log(activity, person);
            }
            None => self.activities.record(activity),
        }
        self.record_event(person.as_ref(), event);
        match (person, source) {
            (Some(person), _) => self.people.find_or_create(&person).events += 1,
            (None, Source::Anonymous(visitor)) => self.visitors.record(visitor, id, now),
            (None, _) => {}
        }
    }

    /// Returns whether an event with this id was received before, and counts the repetition.
    fn count_duplicate(&mut self, id: Option<&str>) -> bool {
        let known = id.and_then(|id| self.events.get_mut(id));
        known.map(|event| event.received += 1).is_some()
    }

    /// Records an event that carries an id. An event without one only counts.
    fn record_event(&mut self, person: Option<&Identifier>, event: TrackedEvent) {
        let Some(id) = event.id else { return };
        let person = person.map(|identifier| identifier.text().to_owned());
        let TrackedEvent {
            name,
            timestamp,
            attributes,
            ..
        } = event;
        // With `Dedupe::Off` the id may exist. The record stays that of the first event.
        self.events.entry(id).or_insert(Event {
            name,
            person,
            timestamp,
            attributes,
            received: 1,
        });
    }

    /// Deletes the person, and ignores all later operations on it until it is unsuppressed.
    fn suppress(&mut self, person: &Identifier, now: i64) {
        if let Some(person) = self.people.resolve(person) {
            self.delete(&person, now);
            self.people.suppress(person);
        }
    }

    /// Deletes a person with its relationships and its memberships of segments.
    fn delete(&mut self, person: &Identifier, now: i64) -> Option<Person> {
        let person = self.people.existing(person)?;
        self.log(Activity::new("profile_delete", now), &person);
        self.objects.forget_person(&person);
        self.segments.forget_person(&person);
        self.people.remove(&person)
    }

    /// Does nothing if one of the two does not exist, as the API does.
    fn merge(&mut self, primary: &Identifier, secondary: &Identifier, now: i64) {
        let existing = |person| self.people.existing(person);
        let (Some(primary), Some(secondary)) = (existing(primary), existing(secondary)) else {
            return;
        };
        if primary == secondary {
            return;
        }
        self.segments.merge(&primary, &secondary);
        self.visitors.merge(&primary, &secondary);
        if let Some(merged) = self.delete(&secondary, now) {
            self.people.find_or_create(&primary).merge(merged);
            self.people.record_address(&primary);
            self.log(Activity::new("profile_merge", now), &primary);
        }
    }
}

/// Returns the first `limit` items, and the last of these if there are more.
fn page<T: Copy>(mut items: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, Option<T>) {
    let page: Vec<_> = items.by_ref().take(limit).collect();
    let last = items.next().and_then(|_| page.last().copied());
    (page, last)
}
