use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use tokio::sync::Notify;

use crate::api::Identifier;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::fault::{FaultInjector, Faults, Script};
use crate::http;
use crate::limit::Limit;
use crate::records::{
    Arrival, ArrivalLog, Dedupe, Delivery, Event, Form, LogSettings, Message, Object, Person,
    Records, Store, Totals, Trigger,
};
use crate::setting::LONGEST;
use crate::shared::{Limits, Shared, State};
use crate::webhook::{Webhook, deliver_all};

/// A simulated Customer.io, and the handle to its records. Clones share all state.
///
/// Its clock starts when it is built. Build it inside the runtime that serves it: a runtime with
/// paused time has a clock of its own.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
    router: Router,
}

impl Simulator {
    /// Returns a builder without a limit and without faults, for any credentials, with seed 0.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Returns the simulator as a tower service, to put behind any HTTP server.
    ///
    /// Prefer [`serve_connection`](crate::serve_connection). Behind another server a dropped
    /// connection appears as a response whose body breaks off, and a request may never reach the
    /// counter once its client is gone.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Returns the counts of requests and records so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.store(|store| store.totals())
    }

    /// Returns the record of a person, or `None` if it does not exist.
    ///
    /// `identifier` is read as in a path of API v1: an id, an email address, or `cio_` and a cio
    /// id.
    #[must_use]
    pub fn person(&self, identifier: &str) -> Option<Person> {
        let identifier = Identifier::in_path(identifier).ok()?;
        self.shared
            .store(|store| store.person(&identifier).cloned())
    }

    /// Returns the event with this id, or `None` if none was applied.
    #[must_use]
    pub fn event(&self, id: &str) -> Option<Event> {
        self.shared.store(|store| store.event(id).cloned())
    }

    /// Returns the object of this type and id, or `None` if it does not exist.
    #[must_use]
    pub fn object(&self, type_id: &str, id: &str) -> Option<Object> {
        self.shared
            .store(|store| store.object(type_id, id).cloned())
    }

    /// Returns the reports about a delivery, or `None` if there are none.
    #[must_use]
    pub fn delivery(&self, id: &str) -> Option<Delivery> {
        self.shared.store(|store| store.delivery(id).cloned())
    }

    /// Returns the submissions of a form, or `None` if there are none.
    #[must_use]
    pub fn form(&self, id: &str) -> Option<Form> {
        self.shared.store(|store| store.form(id).cloned())
    }

    /// Returns the identifiers of the people in a manual segment, or `None` if it does not exist.
    #[must_use]
    pub fn segment(&self, id: u64) -> Option<BTreeSet<String>> {
        self.shared.store(|store| store.segment(id))
    }

    /// Returns all transactional messages in the order of their arrival.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.store(|store| store.messages().to_vec())
    }

    /// Returns the transactional message with this delivery id, or `None` if there is none.
    #[must_use]
    pub fn message(&self, delivery_id: &str) -> Option<Message> {
        self.shared
            .store(|store| store.message(delivery_id).cloned())
    }

    /// Returns the accepted triggers of a broadcast in the order of their arrival, or `None` unless
    /// [`Builder::broadcast`] created it.
    #[must_use]
    pub fn triggers(&self, broadcast: u64) -> Option<Vec<Trigger>> {
        self.shared
            .store(|store| store.triggers(broadcast).map(<[_]>::to_vec))
    }

    /// Delivers the events of all webhooks, until it is dropped. Ends at once without a webhook.
    ///
    /// Each webhook gets its events in their order. One that is not answered with 2xx in time is
    /// tried again, and later events wait. Run it once: two deliveries would send each event twice.
    ///
    /// Dropping it may lose the response to an event, which the next run delivers again.
    pub async fn deliver_webhooks(&self) {
        deliver_all(&self.shared).await;
    }

    /// Returns the first requests that reached the counter, up to the bound of [`Builder::trace`],
    /// in the order of their responses.
    #[must_use]
    pub fn trace(&self) -> Vec<Arrival> {
        self.shared.arrivals()
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("totals", &self.totals())
            .finish_non_exhaustive()
    }
}

/// Configures and builds a [`Simulator`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    limits: Limits,
    faults: Faults,
    changes: Vec<(Duration, Faults)>,
    script: Script,
    seed: u64,
    credentials: Credentials,
    dedupe: Dedupe,
    records: Records,
    omits_retry_after: bool,
    epoch: SystemTime,
    trace: usize,
    segments: Vec<u64>,
    broadcasts: Vec<u64>,
    trigger_time: Duration,
    log: LogSettings,
    webhooks: Vec<Webhook>,
    import_files: Vec<ImportFile>,
    import_time: Duration,
    export_time: Duration,
}

impl Builder {
    fn new() -> Self {
        Self {
            limits: Limits {
                app: Limit::per_second(10),
                ingress: None,
                triggers: Limit::new(1, Duration::from_secs(10)).expect("a valid limit"),
            },
            faults: Faults::none(),
            changes: Vec::new(),
            script: Script::default(),
            seed: 0,
            credentials: Credentials::any(),
            dedupe: Dedupe::On,
            records: Records::All,
            omits_retry_after: false,
            epoch: SystemTime::UNIX_EPOCH + NEW_YEAR_2026,
            trace: 0,
            segments: Vec::new(),
            broadcasts: Vec::new(),
            trigger_time: Duration::ZERO,
            log: LogSettings::default(),
            webhooks: Vec::new(),
            import_files: Vec::new(),
            import_time: Duration::ZERO,
            export_time: Duration::ZERO,
        }
    }

    /// Responds 429 to requests over `limit`, which counts those to the Track API and transactional
    /// messages. The default is no limit.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.ingress = Some(limit);
        self
    }

    /// Sets the limit of the App API, without transactional messages and triggers. The default is
    /// the documented one, 10 per second.
    pub fn app_limit(mut self, limit: Limit) -> Self {
        self.limits.app = limit;
        self
    }

    /// Sets the limit of all triggers of broadcasts. The default is the documented one, one in 10
    /// seconds.
    pub fn trigger_limit(mut self, limit: Limit) -> Self {
        self.limits.triggers = limit;
        self
    }

    /// Sends 429 without `Retry-After`, as an API with a daily quota does.
    pub fn omit_retry_after(mut self) -> Self {
        self.omits_retry_after = true;
        self
    }

    /// Injects delays and faults. The default is [`Faults::none`].
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Replaces the faults by `faults` at `time` after the simulator was built.
    pub fn faults_after(mut self, time: Duration, faults: Faults) -> Self {
        self.changes.push((time, faults));
        self
    }

    /// Injects the faults of `script` into the first requests.
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Sets the seed of all random decisions. The default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Responds 401 to requests to the Track API with other credentials. By default any credentials
    /// are accepted, but a request without credentials is not.
    pub fn credentials(mut self, site_id: &str, api_key: &str) -> Self {
        self.credentials.only(site_id, api_key);
        self
    }

    /// Responds 401 to requests to the App API with another key. By default any key is accepted,
    /// but a request without a key is not.
    pub fn app_api_key(mut self, key: &str) -> Self {
        self.credentials.only_app_key(key);
        self
    }

    /// Sets whether an event whose id was seen before is ignored. The default is [`Dedupe::On`].
    pub fn dedupe(mut self, dedupe: Dedupe) -> Self {
        self.dedupe = dedupe;
        self
    }

    /// Sets which records the simulator keeps. The default is [`Records::All`].
    pub fn records(mut self, records: Records) -> Self {
        self.records = records;
        self
    }

    /// Sets the time at which the simulator's clock starts, for the `Date` header of responses. The
    /// default is 2026-01-01, midnight UTC.
    pub fn epoch(mut self, epoch: SystemTime) -> Self {
        self.epoch = epoch;
        self
    }

    /// Records the first `arrivals` requests for [`Simulator::trace`]. The default is 0.
    ///
    /// The recorded paths contain identifiers of people.
    pub fn trace(mut self, arrivals: usize) -> Self {
        self.trace = arrivals;
        self
    }

    /// Creates an empty manual segment with this number. `POST /v1/segments` creates one with a
    /// number and a name of its own. Requests about other segments get 404.
    pub fn segment(mut self, id: u64) -> Self {
        self.segments.push(id);
        self
    }

    /// Creates a broadcast. Triggers of other broadcasts get 404.
    pub fn broadcast(mut self, id: u64) -> Self {
        self.broadcasts.push(id);
        self
    }

    /// Sets the time that the processing of a trigger takes. The default is 0, the maximum one day.
    ///
    /// Triggers are processed one after the other, and at most five wait. The next one gets 429.
    pub fn trigger_time(mut self, time: Duration) -> Self {
        self.trigger_time = time.min(LONGEST);
        self
    }

    /// Keeps the newest `activities` failed and skipped updates and events, and as many other
    /// activities, for the activity log of the App API. The default is 10,000.
    pub fn activities(mut self, activities: usize) -> Self {
        self.log.capacity = activities;
        self
    }

    /// Shows an activity only after this time. The default is 0: no lag of the activity log is
    /// documented.
    pub fn activity_lag(mut self, lag: Duration) -> Self {
        self.log.lag = lag;
        self
    }

    /// Shows an activity only up to this age. By default all are shown: no retention of the
    /// activity log is documented.
    pub fn activity_retention(mut self, retention: Duration) -> Self {
        self.log.retention = retention;
        self
    }

    /// Queues the events of messages and subscriptions for a webhook.
    /// [`Simulator::deliver_webhooks`] delivers them.
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhooks.push(webhook);
        self
    }

    /// Lets `POST /v1/imports` load a CSV file from this URL. Imports of other URLs fail: the
    /// simulator loads nothing from elsewhere.
    pub fn import_file(mut self, url: &str, csv: &str) -> Self {
        self.import_files.push(ImportFile {
            url: url.to_owned(),
            csv: csv.to_owned(),
        });
        self
    }

    /// Sets the time that an import takes. The default is 0, the maximum one day.
    pub fn import_time(mut self, time: Duration) -> Self {
        self.import_time = time.min(LONGEST);
        self
    }

    /// Sets the time that an export takes. The default is 0, the maximum one day.
    pub fn export_time(mut self, time: Duration) -> Self {
        self.export_time = time.min(LONGEST);
        self
    }

    /// Builds the simulator and starts its clock, which is tokio's.
    #[must_use]
    pub fn build(self) -> Simulator {
        // `Totals::busiest_window` needs a window without a limit too.
        let window = self
            .limits
            .ingress
            .as_ref()
            .map_or(Duration::from_secs(1), Limit::window);
        let mut store = Store::new(self.records, self.dedupe, window);
        let clock = Clock::start(self.epoch);
        let now = clock.unix_seconds();
        self.segments
            .iter()
            .for_each(|id| store.add_segment(*id, now));
        store.set_trigger_time(self.trigger_time);
        store.configure_log(self.log);
        store.set_import_time(self.import_time);
        store.set_export_time(self.export_time);
        for file in self.import_files {
            store.add_import_file(file.url, file.csv);
        }
        self.webhooks.iter().for_each(|_| store.add_webhook());
        self.broadcasts
            .iter()
            .for_each(|id| store.add_broadcast(*id));
        let state = State {
            injector: FaultInjector::new(self.faults, self.seed)
                .changes(self.changes)
                .script(self.script),
            limiters: self.limits.limiters(),
            store,
            arrivals: ArrivalLog::new(self.trace),
        };
        let shared = Arc::new(Shared {
            clock,
            credentials: self.credentials,
            limits: self.limits,
            omits_retry_after: self.omits_retry_after,
            webhooks: self.webhooks,
            webhook_events: Notify::new(),
            state: Mutex::new(state),
        });
        Simulator {
            router: http::router(&shared),
            shared,
        }
    }
}

/// A file that imports can load. `Debug` leaves out its rows.
#[derive(Clone)]
struct ImportFile {
    url: String,
    csv: String,
}

impl fmt::Debug for ImportFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportFile")
            .field("bytes", &self.csv.len())
            .finish_non_exhaustive()
    }
}

/// A fixed default, so that a run's `Date` headers repeat too. In seconds since the Unix epoch.
const NEW_YEAR_2026: Duration = Duration::from_secs(1_767_225_600);
