//! What a subscriber is told: routes and statuses, and nobody's data.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use customerio::{Attributes, Event, Person, v1};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes as SpanAttributes, Id, Record};
use tracing::{Metadata, Subscriber};

use crate::script::{Reply, Script, builder};
use crate::support::KEY;

const DATA: &str = "jane-doe";

/// Writes down all that it is told, at every level, by every crate.
#[derive(Clone, Default)]
struct Log {
    text: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

impl Log {
    fn write(&self, what: &str, record: impl FnOnce(&mut dyn Visit)) {
        let mut line = Line(what.to_owned());
        record(&mut line);
        let mut text = self.text.lock().unwrap();
        writeln!(text, "{}", line.0).unwrap();
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &SpanAttributes<'_>) -> Id {
        self.write(span.metadata().name(), |line| span.record(line));
        Id::from_u64(self.spans.fetch_add(1, Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write("record", |line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.write(event.metadata().name(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn logged(replies: impl IntoIterator<Item = Reply>) -> String {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let client = builder().build_with(Script::new(replies)).unwrap();
    let person = Person::id(DATA).unwrap();
    let mut attributes = Attributes::new();
    attributes.insert("name", DATA).unwrap();
    let event = Event::new("e").unwrap().attributes(attributes.clone());
    for sent in [
        client.identify(&person, &attributes).await,
        client.track(&person, &event).await,
        client.submit(v1::delete(&person).unwrap()).await,
        client.submit(v1::unsubscribe(DATA).unwrap()).await,
    ] {
        let error = sent.map_or_else(|error| format!("{error:?} {error}"), |()| String::new());
        log.write(&error, |_| ());
    }
    drop(guard);
    let text = log.text.lock().unwrap().clone();
    for hidden in [DATA, KEY, "c2l0ZTp0b3Atc2VjcmV0", "dG9wLXNlY3JldA"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    text
}

#[tokio::test(start_paused = true)]
async fn spans_and_events_have_the_documented_names_and_fields() {
    let text = logged([Reply::Answer(503, "")]).await;
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let entity = r#"customerio.request method="POST" route="/api/v2/entity" operations=1"#;
    assert_eq!(lines[0], entity);
    assert!(lines[1].starts_with("customerio.attempt") && lines[1].contains("status=503"));
    assert!(lines[1].contains("may_have_arrived=true"), "{}", lines[1]);
    assert!(
        lines[2].contains("status=200 may_have_arrived=false"),
        "{}",
        lines[2]
    );
    assert_eq!(lines[3], "record status=200");
    for route in [
        "DELETE\" route=\"/api/v1/customers/{id}\"",
        "route=\"/unsubscribe/{delivery_id}\"",
    ] {
        assert!(text.contains(route), "{route} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobodys_data_is_told_when_all_goes_wrong() {
    let replies = (0..40).map(|number| match number % 4 {
        0 => Reply::Reset,
        1 => Reply::Hang,
        2 => Reply::BreakOff,
        _ => Reply::Answer(200, "<html>jane</html>"),
    });
    assert!(logged(replies).await.contains("may_have_arrived=true"));
}
