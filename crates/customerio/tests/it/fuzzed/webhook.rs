//! The properties of any request to a webhook.

use customerio::webhooks::{SigningKey, Verifier, WebhookEvent};
use serde_json::Value;

/// Verifies a random signature, then a true one, and parses the body as an event.
pub(crate) fn check(timestamp: &[u8], signature: &[u8], body: &[u8]) {
    let key = SigningKey::new("key").unwrap();
    let verifier = Verifier::new(key.clone());
    // Only the key's owner can sign, so nothing that is drawn at random is accepted.
    assert!(verifier.verify_values(timestamp, signature, body).is_err());
    let signature = key.sign(1, body);
    assert!(verifier.verify_values("1", signature, body).is_ok());
    if let Ok(event) = WebhookEvent::from_slice(body) {
        check_event(&event);
    }
}

fn check_event(event: &WebhookEvent) {
    assert!(event.name().starts_with(event.object_type().as_str()));
    let data = event.data();
    let identifiers = data.identifiers();
    assert_eq!(data.delivery_id(), data.get::<&str>("delivery_id"));
    assert_eq!(data.link_id(), data.get::<u64>("link_id"));
    let personal = [identifiers.id, identifiers.email, data.recipient()];
    let printed = format!("{data:?} {identifiers:?} {:?}", data.source());
    for text in personal
        .into_iter()
        .flatten()
        .filter(|text| text.len() > 20)
    {
        assert!(!printed.contains(text));
    }
    let devices = data.get::<Vec<Value>>("recipients").unwrap_or_default();
    assert!(data.recipients().count() <= devices.len());
}
