//! Events of each kind, and members that are absent, null, unknown or of another type.

use customerio::webhooks::{EventMetric, ObjectType, Source, WebhookEvent};
use serde_json::{Value, json};

/// Each documented type of object with its metrics.
const DOCUMENTED: [(&str, &str); 8] = [
    (
        "customer",
        "subscribed unsubscribed cio_subscription_preferences_changed",
    ),
    (
        "email",
        "drafted attempted sent delivered opened clicked converted bounced dropped deferred \
         undeliverable failed unsubscribed spammed",
    ),
    (
        "push",
        "drafted attempted sent delivered opened clicked converted bounced dropped undeliverable \
         failed",
    ),
    (
        "sms",
        "drafted attempted sent delivered clicked converted bounced dropped undeliverable failed \
         replied",
    ),
    (
        "whatsapp",
        "drafted attempted sent delivered opened clicked converted bounced dropped undeliverable \
         failed replied",
    ),
    (
        "slack",
        "drafted attempted sent clicked converted undeliverable failed",
    ),
    (
        "webhook",
        "drafted attempted sent clicked converted undeliverable failed",
    ),
    (
        "in_app",
        "drafted attempted sent opened clicked converted undeliverable failed",
    ),
];

fn parse(event: &Value) -> WebhookEvent {
    WebhookEvent::from_slice(event.to_string().as_bytes()).unwrap()
}

fn event(data: Value) -> WebhookEvent {
    parse(&envelope("email", "sent", data))
}

fn envelope(object_type: &str, metric: &str, data: Value) -> Value {
    let mut event = json!({
        "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
        "object_type": object_type,
        "metric": metric,
        "timestamp": 1_669_337_049,
    });
    event["data"] = data;
    event
}

#[test]
fn each_documented_event_has_variants() {
    for (object_type, metrics) in DOCUMENTED {
        for metric in metrics.split(' ') {
            let event = parse(&envelope(object_type, metric, json!({})));
            assert!(!matches!(event.object_type(), ObjectType::Other(_)));
            assert!(!matches!(event.metric(), EventMetric::Other(_)), "{metric}");
            assert_eq!(event.object_type().to_string(), object_type);
            assert_eq!(event.metric().to_string(), metric);
        }
    }
}

#[test]
fn an_unknown_event_keeps_its_names_and_its_data() {
    let event = parse(&envelope("live_notification", "ended", json!({"new": [1]})));
    assert_eq!(
        *event.object_type(),
        ObjectType::Other("live_notification".into())
    );
    assert_eq!(*event.metric(), EventMetric::Other("ended".into()));
    assert_eq!(event.name(), "live_notification_ended");
    assert_eq!(event.data().get("new"), Some([1]));
    assert_eq!(event.data().names().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn names_are_those_of_the_subscription() {
    let check = |object_type: &str, metric: &str, expected: &str| {
        assert_eq!(
            parse(&envelope(object_type, metric, json!({}))).name(),
            expected
        );
    };
    check("email", "bounced", "email_bounced");
    check("in_app", "clicked", "in_app_clicked");
    check("customer", "unsubscribed", "customer_unsubscribed");
    check(
        "customer",
        "cio_subscription_preferences_changed",
        "customer_subscription_preferences_changed",
    );
}

#[test]
fn the_envelope_is_read() {
    let event = event(json!({}));
    assert_eq!(event.event_id(), "01E4C4CT6YDC7Y5M7FE1GWWPQJ");
    assert_eq!(event.timestamp(), 1_669_337_049);
    assert_eq!(*event.object_type(), ObjectType::Email);
    assert_eq!(*event.metric(), EventMetric::Sent);
}

#[test]
fn the_misspelled_type_of_the_specification_is_read() {
    let metric = "cio_subscription_preferences_changed";
    let mut event = envelope("customer", metric, json!({"content": "{}"}));
    let object = event.as_object_mut().unwrap();
    let object_type = object.remove("object_type").unwrap();
    object.insert("object_type_type".into(), object_type);
    assert_eq!(*parse(&event).object_type(), ObjectType::Customer);
}

#[test]
fn a_member_of_the_envelope_that_is_absent_or_of_another_type_is_named() {
    for name in ["event_id", "object_type", "metric", "timestamp", "data"] {
        for wrong in [None, Some(json!(null)), Some(json!([])), Some(json!(-1))] {
            let mut event = envelope("email", "sent", json!({}));
            event.as_object_mut().unwrap().remove(name);
            if let Some(wrong) = wrong {
                event[name] = wrong;
            }
            let error = WebhookEvent::from_slice(event.to_string().as_bytes()).unwrap_err();
            assert_eq!((error.member(), error.is_syntax()), (Some(name), false));
        }
    }
}

#[test]
fn a_body_that_is_not_one_object_is_an_error() {
    let deep = format!("{{\"data\":{}", "[".repeat(100_000));
    for body in ["", "null", "[{}]", "{} {}", "{", "\u{feff}{}", &deep] {
        let error = WebhookEvent::from_slice(body.as_bytes()).unwrap_err();
        assert!(error.is_syntax() && error.member().is_none(), "{body:.20}");
    }
    assert!(WebhookEvent::from_slice(&[0xff]).unwrap_err().is_syntax());
}

#[test]
fn each_member_has_its_accessor() {
    let event = event(json!({
        "identifiers": {"id": "42", "email": "a@example.com", "cio_id": "d9c1"},
        "customer_id": "42", "delivery_id": "d1", "template_id": 7,
        "recipient": "b@example.com", "email_address": "c@example.com", "subject": "s",
        "content": "c", "failure_message": "f", "href": "h", "link_id": 8,
        "tracked_response": "yes", "to": "+1", "inbound_event_id": "i",
        "proxied": true, "prefetched": false, "synthetic": true, "machine": false,
    }));
    let data = event.data();
    let identifiers = data.identifiers();
    assert_eq!(identifiers.id, Some("42"));
    assert_eq!(identifiers.email, Some("a@example.com"));
    assert_eq!(identifiers.cio_id, Some("d9c1"));
    assert_eq!(data.customer_id(), Some("42"));
    assert_eq!(data.delivery_id(), Some("d1"));
    assert_eq!(data.template_id(), Some(7));
    assert_eq!(data.recipient(), Some("b@example.com"));
    assert_eq!(data.email_address(), Some("c@example.com"));
    assert_eq!(data.subject(), Some("s"));
    assert_eq!(data.content(), Some("c"));
    assert_eq!(data.failure_message(), Some("f"));
    assert_eq!((data.href(), data.link_id()), (Some("h"), Some(8)));
    assert_eq!(data.tracked_response(), Some("yes"));
    assert_eq!(
        (data.to(), data.inbound_event_id()),
        (Some("+1"), Some("i"))
    );
    assert_eq!(data.is_proxied(), Some(true));
    assert_eq!(data.is_prefetched(), Some(false));
    assert_eq!(data.is_synthetic(), Some(true));
    assert_eq!(data.is_machine(), Some(false));
}

#[test]
fn members_that_are_absent_null_or_of_another_type_are_nothing() {
    let wrong = json!({
        "identifiers": {"id": null, "email": 1}, "customer_id": null, "delivery_id": 1,
        "recipient": ["a"], "recipients": {"device_id": "a"}, "link_id": "8", "template_id": -1,
        "proxied": "true", "campaign_id": null,
    });
    for data in [
        json!({}),
        json!({"identifiers": [], "recipients": null}),
        wrong,
    ] {
        let event = event(data);
        let data = event.data();
        let identifiers = data.identifiers();
        assert_eq!((identifiers.id, identifiers.email), (None, None));
        assert_eq!((data.customer_id(), data.delivery_id()), (None, None));
        assert_eq!(data.recipient(), None);
        assert_eq!(data.recipients().count(), 0);
        assert_eq!((data.link_id(), data.template_id()), (None, None));
        assert_eq!(data.is_proxied(), None);
        assert_eq!(data.get::<u64>("campaign_id"), None);
    }
}

#[test]
fn the_devices_of_a_push_are_listed() {
    let event = event(json!({"recipients": [
        {"device_id": "t1", "device_platform": "ios"},
        "not a device",
        {"device_id": "t2", "device_platform": "android", "failure_message": "expired"},
    ]}));
    let devices: Vec<_> = event.data().recipients().collect();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[0].device_id, Some("t1"));
    assert_eq!(devices[0].failure_message, None);
    assert_eq!(devices[1].device_platform, Some("android"));
    assert_eq!(devices[1].failure_message, Some("expired"));
}

#[test]
fn each_source_is_recognized() {
    let event = event(json!({
        "broadcast_id": null, "trigger_id": 2, "action_id": 3, "journey_id": "j",
        "parent_action_id": 4,
    }));
    let source = event.data().source();
    let Some(Source::Broadcast {
        broadcast_id: None,
        trigger_id: Some(2),
        action_id: Some(3),
        parent_action_id: Some(4),
        journey_id: Some("j"),
        ..
    }) = source
    else {
        panic!("{source:?}");
    };

    let campaign = parse(&envelope(
        "push",
        "sent",
        json!({"campaign_id": 5, "action_id": 6, "trigger_event_id": "e", "broadcast_id": null}),
    ));
    let source = campaign.data().source();
    let Some(Source::Campaign {
        campaign_id: Some(5),
        action_id: Some(6),
        parent_action_id: None,
        trigger_event_id: Some("e"),
        ..
    }) = source
    else {
        panic!("{source:?}");
    };
}

#[test]
fn a_source_whose_id_is_null_is_recognized_if_no_other_has_a_value() {
    let source_of = |data: Value| format!("{:?}", event(data).data().source());
    let campaign = source_of(json!({"campaign_id": null, "action_id": 6}));
    assert!(campaign.starts_with("Some(Campaign"), "{campaign}");
    let newsletter = source_of(json!({"campaign_id": null, "newsletter_id": 7, "content_id": 8}));
    assert!(
        newsletter.contains("newsletter_id: Some(7)"),
        "{newsletter}"
    );
    let transactional = source_of(json!({"transactional_message_id": 9}));
    assert!(transactional.contains("Some(9)"), "{transactional}");
    assert_eq!(source_of(json!({"action_id": 6})), "None");
}
