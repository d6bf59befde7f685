//! How a limiter decides, what each setting costs in throughput, and why no request is throttled.
//!
//! This page is for readers who want to know more than [`Quota`](crate::Quota) says. It has the
//! [rules](#rules), tables of the [throughput](#throughput), the [proof](#proof) and the
//! [cases that the promise does not cover](#outside-of-the-promise).
//!
//! # Rules
//!
//! A request departs when all of these rules allow it.
//!
//! **Interval.** Departures are spaced evenly, by the interval in the table of
//! [models](#by-model). The interval is computed with the assumed jitter, 100 ms at first. Round
//! trips show how much the path really varies, and the assumed jitter falls.
//!
//! **Slots.** A request holds one slot per unit of cost, from its departure until the server can no
//! longer count it. Without an answer that is `max_transit` and a window after the departure. With
//! the server's own answer it is a window after the answer, if that is sooner. A request departs
//! only if there are slots for it. A request that hangs, is slow or was given up holds its slots no
//! longer.
//!
//! **Cap.** If more requests are unanswered than depart in a typical round trip, the path may be
//! blocked. Single requests then probe it, at gaps that double up to `max_transit`, until one of
//! them or a later request is answered. After a block of the whole path, however long, a sliding
//! log of 100 or more throttles nothing. Smaller limits see a few throttled requests after a block
//! of 5 s or more, since the limiter never stops (10 a second: none to 5 s, 3 to 5 at 10 s).
//!
//! **Start.** The first request departs one interval after the start, or 100 ms after it if that is
//! sooner. The second departs two intervals after the start: a process that was just restarted has
//! lost the record of its window. With [`unused_at_start`](crate::Quota::unused_at_start) the whole
//! burst may depart at once.
//!
//! **Stated limits.** If the window is a minute or longer, and a response states how many requests
//! remain, that many may depart at once, 10 ms apart. After them nothing departs until the stated
//! reset. The first request after the reset asks again. A throttled response that the stated limits
//! do not explain ends this for good. Many of these servers have a second limit per second: add it
//! with [`and`](crate::Quota::and).
//!
//! **Throttled responses.** One throttled response closes the gate for all requests: until
//! `Retry-After`; without it, if nothing remains, until the stated reset; otherwise for W + J,
//! doubled with every further throttled response up to 32 times. Then the rate starts at 80 % and
//! climbs. If other clients take 30 or 60 % of the limit, 2 to 5 requests a minute are throttled,
//! and 78 to 84 % of the rest is used.
//!
//! # Throughput
//!
//! All tables are of a saturated client. `cargo run --release -p pacing --example prices` prints
//! them.
//!
//! ## By model
//!
//! L is the limit and B the burst. W is the window, counted as W (1 + 500 ppm) + 1 ms since clocks
//! differ. J is the assumed jitter, 100 ms at first. D is how late a timer may fire, 2 ms.
//!
//! | model | interval |
//! |---|---|
//! | [`Unknown`](crate::Model::Unknown) | (W + J + D)/(L - B), and 2 (W + J + D) for L = 1 |
//! | [`SlidingLog`](crate::Model::SlidingLog) | W/L |
//! | [`FixedWindow`](crate::Model::FixedWindow) | W/L |
//! | [`TokenBucket`](crate::Model::TokenBucket), a token every q | q, or (q + J + D)/size if more |
//!
//! B is 1 by default. For `Unknown` with a window of a minute or more it is L/50.
//!
//! No request is throttled while these conditions hold:
//!
//! - `Unknown` before a log, a fixed window or a bucket of L: requests arrive within `max_transit`
//!   or never.
//! - `Unknown` before a sliding counter: the same, and the path varies by at most J.
//! - `SlidingLog` and `FixedWindow`: requests arrive within `max_transit` or never.
//! - `TokenBucket`: the path varies by at most J.
//!
//! ## By limit
//!
//! The share of the limit that is used at a round trip of 1 ms, at first and once jitter is
//! learned:
//!
//! | requests a second | `Unknown` | jitter ceiling of 2 ms | `SlidingLog` |
//! |---|---|---|---|
//! | 1 | 45.3 -> 49.6 % | 49.7 -> 49.7 % | 99.7 -> 99.7 % |
//! | 10 | 81.6 -> 89.3 % | 89.5 -> 89.5 % | 99.7 -> 99.7 % |
//! | 100 | 89.7 -> 98.3 % | 98.5 -> 98.5 % | 99.7 -> 99.7 % |
//! | 1000 | 90.5 -> 99.2 % | 99.3 -> 99.3 % | 99.5 -> 99.6 % |
//! | 10000 | 90.7 -> 99.3 % | 99.4 -> 99.4 % | 90.6 -> 99.5 % |
//!
//! Without a model, a small limit is only half used: at 1 request per second, one departs every
//! 2.2 s. Name the model, or set a lower [`jitter_ceiling`](crate::Quota::jitter_ceiling).
//!
//! ## By round trip
//!
//! The share of 100 requests a second that is used, at first and once jitter is learned:
//!
//! | round trip | W/(W + round trip) | `Unknown` | `SlidingLog` | `TokenBucket` |
//! |---|---|---|---|---|
//! | 1 ms | 99.9 % | 89.7 -> 98.3 % | 99.7 -> 99.7 % | 99.9 -> 99.9 % |
//! | 10 to 20 ms | 98.5 % | 89.7 -> 97.5 % | 98.2 -> 98.3 % | 99.9 -> 99.9 % |
//! | 100 ms | 90.9 % | 89.7 -> 90.7 % | 90.7 -> 90.7 % | 99.9 -> 99.9 % |
//! | 200 ms | 83.3 % | 83.3 -> 83.2 % | 83.2 -> 83.3 % | 99.9 -> 99.9 % |
//! | 20 ms, 80 ms at p99 | 97.7 % | 89.7 -> 89.9 % | 97.3 -> 97.2 % | 99.9 -> 99.9 % |
//!
//! ## By response time
//!
//! The share of 100 requests a second that is used if the server answers slowly:
//!
//! | setting, answers after | 10 to 20 ms | 2 s | 20 s | 60 s | 20 ms, 5 % of them 30 s |
//! |---|---|---|---|---|---|
//! | `Unknown` | 98 % | 50 % | 50 % | 50 % | 90 % |
//! | and [`max_transit`] of 250 ms | 98 % | 80 % | 80 % | 80 % | 90 % |
//! | `SlidingLog` | 98 % | 50 % | 50 % | 50 % | 94 % |
//! | `TokenBucket` | 100 % | 100 % | 100 % | 100 % | 100 % |
//! | `Unknown`, 6,000 a minute | 98 % | 98 % | 98 % | 98 % | 98 % |
//! | `Unknown`, [`counted_until_answered`] | 98 % | 33 % | 5 % | 2 % | 40 % |
//!
//! ## By cost
//!
//! `Unknown` spaces all requests for the highest cost of the last two windows. The cost that
//! departs per second, of a limit of 100:
//!
//! | mix | `Unknown` | jitter ceiling of 2 ms | `SlidingLog` | `TokenBucket` of 100 |
//! |---|---|---|---|---|
//! | all 1 | 97 | 98 | 99 | 100 |
//! | 1 % of 20 | 77 | 79 | 91 | 96 |
//! | 10 % of 20 | 74 | 80 | 87 | 100 |
//! | 100 % of 20 | 72 | 80 | 99 | 100 |
//! | 1 % of 50 | 45 | 48 | 79 | 91 |
//! | 10 % of 50 | 45 | 50 | 62 | 100 |
//! | 100 % of 50 | 45 | 50 | 99 | 100 |
//! | 1 % of 100 | 26 | 28 | 66 | 55 |
//! | 10 % of 100 | 18 | 21 | 55 | 49 |
//! | 100 % of 100 | 45 | 50 | 99 | 90 |
//!
//! Keep a cost below a tenth of the limit, or name the model. Set no
//! [`burst`](crate::Quota::burst) if some requests are heavy.
//!
//! A cost may be an estimate that [`Limiter::settle_answered`] corrects. The time of a lower cost
//! is then released, as if the request had departed with it. That time is lost where it exceeds the
//! burst: of 30,000 tokens a minute, with estimates of 1 to 2 times the truth and answers after 5
//! to 20 s, a `TokenBucket` uses 99 % and `Unknown` 67 %.
//!
//! [`Limiter::settle_answered`]: crate::Limiter::settle_answered
//!
//! # Proof
//!
//! The slots rest on one assumption: a request reaches the server's counter within T =
//! `max_transit` of its departure, or never. W' is the counted window.
//!
//! A request that departs at s and is answered at r holds its slots until e + W', where e is the
//! earlier of r and s + T. It arrives at the server at a <= e.
//!
//! Take the requests that arrive in any half-open window of length W, and let q be the one of them
//! that departed last. Suppose that the slots of another of them, p, were already free when q
//! departed. Then p arrived at or before e(p) <= s(q) - W', and q arrived at or after s(q). Both
//! cannot arrive in one window. So the slots of all the others were held when q departed, and the
//! rule for slots bounds their sum by the limit.
//!
//! This covers a sliding log, fixed windows wherever they start, and a token bucket of the limit.
//! A sliding counter and a named bucket rely on the interval: (W + J + D)/(L - B) has room for the
//! burst and the rate in any window, as long as transit times vary by at most J.
//!
//! # Outside of the promise
//!
//! - Another client uses the same limit.
//! - A part of the path, for instance one gateway of two, is blocked for longer than `max_transit`.
//! - The path is blocked for longer than `max_transit`, and answers take longer than that anyway.
//! - The server counts a request when it answers, without [`counted_until_answered`].
//! - A request costs more than was estimated: see [`Limiter::settle`](crate::Limiter::settle).
//!
//! [`counted_until_answered`]: crate::Quota::counted_until_answered
//! [`max_transit`]: crate::Quota::max_transit
