use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::retention::Records;

/// The record of one trigger of a broadcast.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trigger {
    /// The id in the response.
    pub id: u64,
    /// The broadcast.
    pub broadcast_id: u64,
    /// When the request arrived, in Unix seconds.
    pub created_at: i64,
    /// When it is processed, in Unix seconds. This may be in the future.
    pub processed_at: i64,
    /// The members of the request.
    pub request: Map<String, Value>,
}

/// The broadcasts and their triggers, which are processed one after the other.
#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    /// How long one trigger takes.
    trigger_time: Duration,
    triggers: BTreeMap<u64, Vec<Trigger>>,
    /// How many triggers were accepted: the id of the last one.
    accepted: u64,
    /// When the last accepted trigger is processed, since the simulator's start.
    free_at: Duration,
    /// When the processing of each waiting trigger begins.
    waiting: VecDeque<Duration>,
}

impl Broadcasts {
    pub(super) fn set_trigger_time(&mut self, time: Duration) {
        self.trigger_time = time;
    }

    pub(super) fn add(&mut self, id: u64) {
        self.triggers.entry(id).or_default();
    }

    /// Returns the triggers of a broadcast, or `None` if it does not exist.
    pub(super) fn triggers(&self, broadcast: u64) -> Option<&[Trigger]> {
        self.triggers.get(&broadcast).map(Vec::as_slice)
    }

    /// Returns the time until the next trigger fits, if too many wait. `now` is since the
    /// simulator's start.
    pub(super) fn full_for(&mut self, now: Duration) -> Option<Duration> {
        while self.waiting.front().is_some_and(|begin| *begin <= now) {
            self.waiting.pop_front();
        }
        let first = *self.waiting.front()?;
        (self.waiting.len() >= MAX_WAITING).then(|| first - now)
    }

    /// Records a trigger and returns its id, or `None` if the broadcast does not exist. `now` is
    /// since the simulator's start, and `date` the same in Unix seconds. The trigger takes its
    /// place in the queue even if no record of it is kept.
    pub(super) fn record(
        &mut self,
        broadcast: u64,
        request: Map<String, Value>,
        now: Duration,
        date: i64,
        records: Records,
    ) -> Option<u64> {
        let triggers = self.triggers.get_mut(&broadcast)?;
        let begin = self.free_at.max(now);
        self.free_at = begin + self.trigger_time;
        if begin > now {
            self.waiting.push_back(begin);
        }
        self.accepted += 1;
        if records == Records::All {
            let delay = i64::try_from((self.free_at - now).as_secs()).unwrap_or(i64::MAX);
            triggers.push(Trigger {
                id: self.accepted,
                broadcast_id: broadcast,
                created_at: date,
                processed_at: date.saturating_add(delay),
                request,
            });
        }
        Some(self.accepted)
    }
}

/// The documented length of the queue.
const MAX_WAITING: usize = 5;
