//! Finds the endpoint of a path: its route without personal data, and the limit that counts it.

use http::Method;

/// The words in the paths of the App API, in order. A segment that is none of them counts as a
/// value. A word that is missing here only makes routes less distinct.
const WORDS: [&str; 88] = [
    "actions",
    "activities",
    "archived_message",
    "assets",
    "attributes",
    "blocks",
    "bounces",
    "broadcasts",
    "campaigns",
    "captures",
    "clients",
    "collections",
    "components",
    "content",
    "contents",
    "credits",
    "customer_count",
    "customers",
    "data_index",
    "deliveries",
    "design_studio",
    "domains",
    "download",
    "email",
    "emails",
    "end",
    "errors",
    "esp",
    "events",
    "exports",
    "files",
    "folders",
    "imports",
    "in_app",
    "inbox_message",
    "inbox_previews",
    "info",
    "invalid_emails",
    "ip_addresses",
    "jobs",
    "journey_metrics",
    "language",
    "languages",
    "link",
    "links",
    "live_notifications",
    "membership",
    "messages",
    "metrics",
    "newsletters",
    "object_types",
    "objects",
    "optouts",
    "preview",
    "publish",
    "publish_status",
    "push",
    "relationships",
    "render",
    "reporting_webhooks",
    "restore",
    "review",
    "schedule",
    "search_suppression",
    "segments",
    "send",
    "sender_identities",
    "sms",
    "snippets",
    "spam_reports",
    "start",
    "subscription_center",
    "subscription_channels",
    "subscription_preferences",
    "subscription_topics",
    "suppression",
    "test_group",
    "test_groups",
    "token",
    "transactional",
    "triggers",
    "unpublished_changes",
    "update",
    "used_by",
    "v1",
    "versions",
    "whatsapp",
    "workspaces",
];

/// The most segments of a route. Longer paths do not exist; the bound keeps routes few.
const MAX_SEGMENTS: usize = 12;

/// What a request does, which decides how it is counted and whether it may be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A transactional message. It counts against the limit of the Track API.
    Message,
    /// A trigger of a broadcast, which has a limit of its own.
    Trigger,
    /// Everything else.
    Other,
}

/// Returns the path without its query and with `{}` in place of each value.
pub(super) fn route(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let segments = path.split('/').skip(1).take(MAX_SEGMENTS);
    let words = segments.map(|segment| match WORDS.binary_search(&segment) {
        Ok(index) => WORDS[index],
        Err(_) => "{}",
    });
    words.fold(String::new(), |route, word| route + "/" + word)
}

pub(super) fn kind(method: &Method, route: &str) -> Kind {
    match route.strip_prefix("/v1/") {
        _ if *method != Method::POST => Kind::Other,
        Some("campaigns/{}/triggers") => Kind::Trigger,
        Some(rest) if rest.starts_with("send/") => Kind::Message,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_words_of_the_api_and_no_values() {
        assert!(WORDS.is_sorted());
        let check = |path, expected| assert_eq!(route(path), expected, "{path}");
        check("/v1/exports", "/v1/exports");
        check("/v1/customers?email=a%40b.co", "/v1/customers");
        check(
            "/v1/customers/jane/attributes",
            "/v1/customers/{}/attributes",
        );
        check(
            "/v1/messages/dgO%3D/archived_message",
            "/v1/messages/{}/archived_message",
        );
        check(
            "/v1/campaigns/5/triggers/6/errors",
            "/v1/campaigns/{}/triggers/{}/errors",
        );
    }

    #[test]
    fn a_path_says_which_limit_counts_it() {
        let check = |method, path, expected| {
            assert_eq!(kind(&method, &route(path)), expected, "{path}");
        };
        check(Method::POST, "/v1/send/email", Kind::Message);
        check(Method::POST, "/v1/send/carrier_pigeon", Kind::Message);
        check(Method::POST, "/v1/campaigns/5/triggers", Kind::Trigger);
        check(Method::GET, "/v1/campaigns/5/triggers", Kind::Other);
        check(Method::GET, "/v1/campaigns/5/triggers/1", Kind::Other);
        check(Method::POST, "/v1/newsletters/5/send", Kind::Other);
    }
}
