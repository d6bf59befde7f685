use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pacing::{Cost, Departure, Moment};

use super::state::RateState;
use crate::wait::{Queue, Wake};

/// The cost that a request was charged, in the extensions of its response. It corrects that cost
/// once the response shows what the request really took.
///
/// The rate limit inserts it into the server's own response to a request that had a [`Cost`] in its
/// extensions. The first cost is then an estimate, such as the most tokens that an answer of a
/// language model may take. The body of the response states the true cost:
///
/// ```
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_pace::{Charged, Cost, Quota, RateLimitLayer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let client = service_fn(|_: http::Request<String>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("437")))
/// # });
/// let client = RateLimitLayer::new(Quota::per_minute(30_000)).layer(client);
/// let mut request = http::Request::new(String::from("Tell me a joke."));
/// request.extensions_mut().insert(Cost::of(900));
/// let response = client.oneshot(request).await.unwrap();
/// let tokens = response.body().parse().unwrap();
/// if let Some(charged) = response.extensions().get::<Charged>() {
///     charged.settle(Cost::clamped(tokens));
///     assert_eq!(charged.cost(), Cost::of(437));
/// }
/// # }
/// ```
///
/// Estimate too high rather than too low: the server has counted the request before its cost is
/// settled. If it took more than was estimated, the server may throttle other requests.
///
/// A response without it changes nothing, and so does a response whose cost is never settled: the
/// estimate holds. A retry has a departure of its own, with the estimate again. Clones are of the
/// same request.
#[derive(Clone)]
pub struct Charged {
    /// The limit. It does not keep a limit of a key alive: one that was removed has forgotten the
    /// request.
    queue: Weak<Queue<RateState>>,
    answered: Moment,
    /// Clones share it. While the limit exists, it is changed only under the lock of the limit.
    charge: Arc<Mutex<Charge>>,
}

#[derive(Clone, Copy)]
struct Charge {
    /// With the cost that the limit counts.
    departure: Departure,
    /// The cost that was settled last.
    cost: Cost,
}

impl Charged {
    pub(super) fn new(
        queue: &Arc<Queue<RateState>>,
        departure: Departure,
        answered: Moment,
    ) -> Self {
        Self {
            queue: Arc::downgrade(queue),
            answered,
            charge: Arc::new(Mutex::new(Charge {
                departure,
                cost: departure.cost(),
            })),
        }
    }

    /// Returns the cost that the request is charged now.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.charge().cost
    }

    /// Corrects the cost of the request. The last call counts.
    ///
    /// A lower cost lets the next requests depart sooner. A higher cost makes them wait. Once the
    /// server has forgotten the request, after about two windows, the limit stays as it is.
    pub fn settle(&self, cost: Cost) {
        let Some(queue) = self.queue.upgrade() else {
            self.charge().cost = cost;
            return;
        };
        queue.change(|state, now| {
            let mut charge = self.charge();
            let is_lower = cost < charge.cost;
            charge.cost = cost;
            state.settle(&mut charge.departure, self.answered, cost, now);
            match is_lower {
                true => Wake::Next,
                // The waiters ask again when their timers fire, and then wait for longer.
                false => Wake::Nothing,
            }
        });
    }

    /// Acquires the lock. Nothing that could panic runs while it is held.
    fn charge(&self) -> MutexGuard<'_, Charge> {
        self.charge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged")
            .field("cost", &self.cost())
            .finish_non_exhaustive()
    }
}
