//! How the run waits for the server: what it holds meanwhile, and when it tries again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Pipeline;
use super::api::{Api, Asked};
use super::halt::{Halt, Wait};
use super::part::Part;
use super::server::Verdict;
use crate::{clock, counted};

/// How often the run looks whether it waits for the server, and for how long already.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How long an attempt may take that has left; longer takes only what waits for another one.
const DRAIN: Duration = Duration::from_secs(15);

impl<A: Api> Pipeline<'_, A> {
    pub(super) fn next_look(&self) -> Instant {
        // With nothing to try, a probe that is overdue would keep the run from reading on.
        let may_try = self.flights.is_empty() && !self.held.is_empty();
        let probe = self.server.next_probe().filter(|_| may_try);
        probe.map_or(self.look, |probe| probe.min(self.look))
    }

    /// Counts the time in which the run waits for the server, says what it waits for, and ends it
    /// after too much of that.
    pub(super) fn look(&mut self) {
        let now = clock::now();
        self.look = now + LOOK;
        let asked = self.api.asked();
        self.wait = asked.as_ref().and_then(|asked| self.named(asked));
        if asked.as_ref().is_some_and(|asked| asked.field.is_none()) {
            self.server.throttle(clock::unix_seconds());
        }
        let wait = self.wait.clone().or_else(|| self.unnamed());
        let patience = self.server.patience();
        let bound = counted::time(patience);
        let said = wait.as_ref();
        let said = said.map(|wait| format!("{wait}; for {bound} at most (--patience)"));
        self.console.wait(said.as_deref(), now);
        let remaining = asked.as_ref().map(|asked| asked.remaining);
        if self.server.pass_time(now, remaining) {
            let since = clock::unix_seconds();
            let wait = wait.unwrap_or(Wait::Throttled { since });
            self.halt(Halt::Patience(patience, wait));
        }
    }

    /// Returns the wait for a server that names no time.
    fn unnamed(&self) -> Option<Wait> {
        let outage = self.server.outage().map(|outage| Wait::Outage {
            since: outage.since,
            cause: outage.cause.clone(),
        });
        let throttled = || self.server.throttled_since();
        outage.or_else(|| throttled().map(|since| Wait::Throttled { since }))
    }

    /// Returns the wait that the server asked for by a field. Its end is told once: it is rounded
    /// anew with each look.
    fn named(&self, asked: &Asked) -> Option<Wait> {
        let new = asked_until(asked, asked.field.as_deref()?);
        match (&self.wait, &new) {
            (Some(Wait::Asked { until: told, .. }), Wait::Asked { until, .. })
                if told.abs_diff(*until) <= 2 =>
            {
                self.wait.clone()
            }
            _ => Some(new),
        }
    }

    /// Waits for what is in flight, but not where the server holds back what would have to leave
    /// once more.
    pub(super) async fn drain(&mut self) {
        let until = clock::now() + DRAIN;
        while !self.flights.is_empty() && (clock::now() < until || self.api.asked().is_none()) {
            tokio::select! {
                Some(landed) = self.flights.land() => self.land(landed),
                () = sleep_until(clock::now() + LOOK) => {}
            }
        }
    }

    /// Sends one request to a server that fails for all, when it is time: one that was not tried
    /// yet, if there is one.
    pub(super) fn probe(&mut self, is_open: bool) {
        let is_due = self.server.next_probe() <= Some(clock::now());
        if !is_due || !self.flights.is_empty() {
            return;
        }
        let fresh = match self.held.len() < self.concurrency {
            true => self.fresh(is_open),
            false => None,
        };
        if let Some(part) = fresh.or_else(|| self.tried()) {
            self.flights.launch(self.api.clone(), part);
        }
    }

    pub(super) fn fresh(&mut self, is_open: bool) -> Option<Part> {
        let packed = (!is_open || self.packer.is_full()).then(|| self.packer.next_request())??;
        Some(Part::new(packed, self.server.successes()))
    }

    /// Returns the part whose last try is the longest ago. One that ended in 500 before is split:
    /// where it breaks the server, one half shows that the server is not down for all.
    pub(super) fn tried(&mut self) -> Option<Part> {
        let part = self.held.pop_front()?;
        if !part.ended_in_500() || part.failures() < 2 {
            return Some(part);
        }
        let (first, second) = part.split(self.server.successes());
        if let Some(second) = second {
            self.held.push_front(second);
        }
        Some(first)
    }

    /// Keeps what failed for a reason that may pass, or finds the record that breaks the server in
    /// it.
    pub(super) fn hold(&mut self, mut part: Part) {
        if self.end.halt.is_some() {
            return self.held.push_back(part);
        }
        let verdict = self.server.judge(&part);
        let successes = self.server.successes();
        part.note(successes);
        match verdict {
            Verdict::Down => {
                let cause = part.failure().expect("what is left has failed");
                self.server.fail(cause, clock::now(), clock::unix_seconds());
                self.held.push_back(part);
                self.look();
            }
            Verdict::Again => self.held.push_back(part),
            Verdict::Breaks => match part.split(successes) {
                (first, Some(second)) => self.held.extend([first, second]),
                (whole, None) => {
                    let settled = whole.give_up(&mut self.packer);
                    self.count_all(settled);
                }
            },
        }
    }
}

fn asked_until(asked: &Asked, field: &str) -> Wait {
    let seconds = i64::try_from(asked.remaining.as_secs()).unwrap_or(i64::MAX);
    Wait::Asked {
        until: clock::unix_seconds().saturating_add(seconds),
        field: field.to_owned(),
    }
}
