use std::collections::HashMap;

use serde_json::{Value, json};

use super::webhook_events::ulid;
use crate::api::NewNotification;

/// The live notifications, by the ids of their instances.
#[derive(Debug, Default)]
pub(super) struct LiveNotifications {
    started: u64,
    by_id: HashMap<String, LiveNotification>,
}

#[derive(Debug)]
struct LiveNotification {
    notification: NewNotification,
    /// In Unix seconds, as all times here.
    started_at: i64,
    ended_at: Option<i64>,
    /// The last delivery: its number, its operation and its time.
    last_delivery: (u64, &'static str, i64),
}

/// What happens to a live notification that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotificationChange {
    Update,
    End,
}

/// Why a change has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotChanged {
    Unknown,
    /// It has ended or expired.
    NotActive,
}

impl LiveNotifications {
    /// Starts a live notification, and returns the id of its instance. It leaves a record only if
    /// `is_kept`.
    pub(super) fn start(
        &mut self,
        notification: NewNotification,
        now: i64,
        is_kept: bool,
    ) -> String {
        self.started += 1;
        let id = ulid(now, self.started);
        let started = LiveNotification {
            notification,
            started_at: now,
            ended_at: None,
            last_delivery: (1, "start", now),
        };
        if is_kept {
            self.by_id.insert(id.clone(), started);
        }
        id
    }

    pub(super) fn change(
        &mut self,
        id: &str,
        change: NotificationChange,
        now: i64,
    ) -> Result<(), NotChanged> {
        let known = self.by_id.get_mut(id).ok_or(NotChanged::Unknown)?;
        if known.state(now) != "active" {
            return Err(NotChanged::NotActive);
        }
        let operation = match change {
            NotificationChange::Update => "update",
            NotificationChange::End => {
                known.ended_at = Some(now);
                "end"
            }
        };
        known.last_delivery = (known.last_delivery.0 + 1, operation, now);
        Ok(())
    }

    /// Returns a live notification as the App API shows it.
    pub(super) fn shown(&self, id: &str, now: i64) -> Option<Value> {
        let known = self.by_id.get(id)?;
        let (number, operation, at) = known.last_delivery;
        Some(json!({
            "instance_id": id,
            "notification_type": known.notification.notification_type,
            "platform": known.notification.platform,
            "state": known.state(now),
            "started_at": known.started_at,
            "ended_at": known.ended_at,
            "expires_at": known.notification.expires_at,
            "failure_reason": null,
            "last_delivery": {
                "id": format!("{id}:{number}"),
                "operation": operation,
                "source": "api",
                "status": "sent",
                "created_at": at,
            },
        }))
    }
}

impl LiveNotification {
    fn state(&self, now: i64) -> &'static str {
        match self.ended_at {
            Some(_) => "ended",
            None if now >= self.notification.expires_at => "expired",
            None => "active",
        }
    }
}
