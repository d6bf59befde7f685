//! How the run waits for the server: what it holds meanwhile, and when it tries again.

use std::time::Duration;

use tokio::time::Instant;

use super::Pipeline;
use super::api::Api;
use super::halt::{Halt, chain};
use super::part::Part;
use super::server::{Outage, Verdict};
use crate::{clock, counted};

/// How often the run looks whether it waits for the server, and for how long already.
pub(super) const LOOK: Duration = Duration::from_millis(500);

impl<A: Api> Pipeline<'_, A> {
    pub(super) fn next_look(&self) -> Instant {
        let probe = self.server.next_probe().filter(|_| self.flights.is_empty());
        probe.map_or(self.look, |probe| probe.min(self.look))
    }

    /// Counts the time in which the run waits for the server, and ends it after too much of that.
    pub(super) fn look(&mut self) {
        let now = clock::now();
        self.look = now + LOOK;
        let is_over = self.server.pass_time(now, None);
        let outage = self.server.outage();
        let cause = outage.map(|outage| outage.cause.clone());
        let said = outage.map(|outage| waiting(outage, self.server.patience()));
        self.console.wait(said.as_deref(), now);
        if is_over {
            self.halt(Halt::Patience(self.server.patience(), cause));
        }
    }

    /// Sends one request to a server that fails for all, when it is time: one that was not tried yet, if there is one.
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
        let parcel = (!is_open || self.packer.is_full()).then(|| self.packer.next_parcel())??;
        Some(Part::new(parcel, self.server.successes()))
    }

    /// Returns the part whose last try is the longest ago. One that ended in 500 before is split: where it breaks the
    /// server, one half shows that the server is not down for all.
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

    /// Keeps what failed for a reason that may pass, or finds the record that breaks the server in it.
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

/// Says since when the run waits, and why. It leaves out the server's words, which may repeat people's data.
fn waiting(outage: &Outage, patience: Duration) -> String {
    let why = match outage.cause.status() {
        Some(status) => format!("the server answers with status {}", status.as_u16()),
        None => format!("no request gets through: {}", chain(&outage.cause)),
    };
    format!(
        "waiting since {}: {why}; for {} at most (--patience)",
        clock::shown(outage.since),
        counted::time(patience)
    )
}
