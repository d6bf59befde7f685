//! Spans and events contain routes and statuses, and no personal data.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(feature = "queue")]
use std::time::Duration;

#[cfg(feature = "queue")]
use customerio::Operation;
use customerio::client::Error;
#[cfg(feature = "queue")]
use customerio::queue::Queue;
use customerio::{Attributes, Client, Event, Person, v1};
use http::Method;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes as SpanAttributes, Id, Record};
use tracing::{Metadata, Subscriber};

use crate::app::{APP_KEY, app_builder};
use crate::scripted_service::{Reply, ScriptedService};
use crate::support::KEY;

const DATA: &str = "jane-doe";

/// The file that documents the names.
const DOCS: &str = include_str!("../../src/client/mod.rs");

thread_local! {
    /// The records of the test on this thread.
    static LOG: RefCell<Log> = RefCell::default();
}

#[derive(Default)]
struct Log {
    text: String,
    names: BTreeSet<Named>,
}

/// Name, kind, level and fields.
type Named = (String, String, String, BTreeSet<String>);

/// A subscriber that records everything, at each level and from each crate, for its thread.
///
/// It is global: tracing caches for all threads whether a subscriber is interested in an event.
struct ToThread(AtomicU64);

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(ToThread(AtomicU64::new(1))).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
}

fn write(what: &str, record: impl FnOnce(&mut dyn Visit)) {
    let mut line = Line(what.to_owned());
    record(&mut line);
    LOG.with_borrow_mut(|log| writeln!(log.text, "{}", line.0).unwrap());
}

fn note(metadata: &Metadata<'_>, kind: &str) {
    let fields = metadata
        .fields()
        .iter()
        .map(|field| field.name().to_owned());
    let named = (
        metadata.name().to_owned(),
        kind.to_owned(),
        metadata.level().to_string().to_lowercase(),
        fields.filter(|field| field != "message").collect(),
    );
    LOG.with_borrow_mut(|log| log.names.insert(named));
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for ToThread {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &SpanAttributes<'_>) -> Id {
        note(span.metadata(), "span");
        write(span.metadata().name(), |line| span.record(line));
        Id::from_u64(self.0.fetch_add(1, Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        write("record", |line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        note(event.metadata(), "event");
        write(event.metadata().name(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn logged(replies: impl IntoIterator<Item = Reply>) -> Log {
    listen();
    LOG.take();
    let client = app_builder()
        .build_with(ScriptedService::new(replies))
        .unwrap();
    let person = Person::id(DATA).unwrap();
    let mut attributes = Attributes::new();
    attributes.insert("name", DATA).unwrap();
    let event = Event::new("e").unwrap().attributes(attributes.clone());
    for sent in [
        client.identify(&person, &attributes).await,
        client.track(&person, &event).await,
        client.submit(v1::delete(&person).unwrap()).await,
        client.submit(v1::unsubscribe(DATA).unwrap()).await,
        client.check().await.map(drop),
        ask(&client).await,
    ] {
        let error = sent.map_or_else(|error| format!("{error:?} {error}"), |()| String::new());
        write(&error, |_| ());
    }
    let log = LOG.take();
    for hidden in [DATA, KEY, APP_KEY, "c2l0ZTp0b3Atc2VjcmV0", "dG9wLXNlY3JldA"] {
        assert!(!log.text.contains(hidden), "{hidden} is in {}", log.text);
    }
    log
}

async fn ask(client: &Client) -> Result<(), Error> {
    let path = format!("/v1/customers/{DATA}/attributes");
    let call = client.app().request(Method::GET, &path);
    call.query("id_type", "id").send().await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn spans_and_events_have_the_documented_fields() {
    let text = logged([Reply::Answer(503, "")]).await.text;
    let ours = |line: &&str| line.starts_with("customerio.") || line.starts_with("record");
    let lines: Vec<_> = text.lines().filter(ours).collect();
    let entity = r#"customerio.request method="POST" route="/api/v2/entity" operations=1"#;
    assert_eq!(lines[0], entity);
    for (line, expected) in [
        (lines[1], "status=503 may_have_arrived=true"),
        (lines[2], "status=200 may_have_arrived=false"),
    ] {
        assert!(line.starts_with("customerio.attempt"), "{line}");
        assert!(line.contains(expected), "{expected} is not in {line}");
    }
    assert_eq!(lines[3], "record status=200");
    for route in [
        "DELETE\" route=\"/api/v1/customers/{id}\"",
        "route=\"/unsubscribe/{delivery_id}\"",
        "route=\"/api/v1/accounts/region\"",
        "method=\"GET\" route=\"/v1/customers/{}/attributes\"",
    ] {
        assert!(text.contains(route), "{route} is not in {text}");
    }
}

/// Reads the table: the first word of a kind, and of the fields the code that looks like a name.
fn documented() -> BTreeSet<Named> {
    let rows = DOCS.lines().filter(|line| line.starts_with("//! | `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, kind, level, fields, _] = cells[..] else {
            panic!("{row}")
        };
        let is_name = |code: &&str| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let fields = fields.split('`').skip(1).step_by(2).filter(is_name);
        (
            name.trim_matches('`').to_owned(),
            kind.split([' ', ',']).next().unwrap().to_owned(),
            level.to_owned(),
            fields.map(str::to_owned).collect(),
        )
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn the_documented_table_lists_all_spans_and_events() {
    let mut logged_values = logged([Reply::Answer(503, ""), Reply::Throttle(2)])
        .await
        .names;
    logged_values.retain(|(name, ..)| name.starts_with("customerio."));
    assert_eq!(logged_values, documented());
}

#[tokio::test(start_paused = true)]
async fn no_personal_data_is_traced_when_everything_fails() {
    let replies = (0..40).map(|number| match number % 4 {
        0 => Reply::Reset,
        1 => Reply::Hang,
        2 => Reply::BreakOff,
        _ => Reply::Answer(200, "<html>jane</html>"),
    });
    let text = logged(replies).await.text;
    assert!(text.contains("may_have_arrived=true"), "{text}");
}

#[cfg(feature = "queue")]
#[tokio::test(start_paused = true)]
async fn a_queue_warns_once_of_each_request_with_operations_that_were_not_accepted() {
    listen();
    LOG.take();
    let rejected = r#"{"errors":[{"batch_index":0,"message":"jane-doe"},{"batch_index":2}]}"#;
    let replies = [
        Reply::Answer(207, rejected),
        Reply::Answer(200, "{}"),
        Reply::Reset,
        Reply::Hang,
    ];
    let service = ScriptedService::new(replies);
    let client = app_builder().build_with(service).unwrap();
    let (queue, worker) = Queue::new(&client);
    tokio::spawn(worker);
    let person = Person::id(DATA).unwrap();
    let identify = || Operation::identify(&person, &Attributes::new()).unwrap();
    let warnings = || {
        let text = LOG.take().text;
        assert!(!text.contains(DATA), "{text}");
        let is_warning = |line: &&str| line.starts_with("customerio.queue.failed");
        let lines: Vec<_> = text.lines().filter(is_warning).map(str::to_owned).collect();
        lines
    };

    for _ in 0..3 {
        queue.enqueue(identify()).await.unwrap();
    }
    queue.on_idle().await;
    let lines = warnings();
    let fields = r#" operations=2 outcome="rejected" status=207"#;
    assert!(lines.len() == 1 && lines[0].contains(fields), "{lines:?}");

    queue.enqueue(identify()).await.unwrap();
    queue.on_idle().await;
    assert_eq!(warnings().len(), 0, "it was accepted");

    let other = Person::id("other").unwrap();
    queue
        .enqueue(Operation::merge(&person, &other).unwrap())
        .await
        .unwrap();
    queue.on_idle().await;
    let lines = warnings();
    let fields = r#" operations=1 outcome="unknown""#;
    assert!(lines.len() == 1 && lines[0].contains(fields), "{lines:?}");

    // One departs, one is cleared, and one is left by the drain.
    queue.enqueue(identify()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    queue.enqueue(identify()).await.unwrap();
    queue.clear();
    queue.enqueue(identify()).await.unwrap();
    let drained = queue.drain(Duration::from_secs(1)).await;
    assert_eq!((drained.unknown, drained.not_sent), (1, 1));
    assert_eq!(warnings().len(), 0, "it was not the API");
}
