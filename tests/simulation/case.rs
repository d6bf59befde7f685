//! A case, drawn from a seed and run to its end.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use customerio::client::{Client, Limits};
use customerio::{Credentials, Outcome};
use customerio_sim::{
    FailurePoint, Faults, Limit, Model, Script, Simulator, Stall, Step, serve_connection,
};
use pacing::Quota;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::calls::{self, Call, Record};
use crate::support::{Dial, client, now};
use crate::wire::{Attempt, Recorder};

/// The settings that a seed stands for.
pub(crate) struct Case {
    seed: u64,
    model: Model,
    limit: u32,
    concurrency: usize,
    latency: Duration,
    jitter: Duration,
    stall: Option<Duration>,
    script: ScriptedFaults,
    rng: SmallRng,
}

/// The result of one run of a case.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) quota: Quota,
    pub(crate) concurrency: usize,
    /// The longest possible transit of a request and its response together.
    pub(crate) round_trip: Duration,
    pub(crate) simulator: Simulator,
    pub(crate) wire: Vec<Attempt>,
    pub(crate) settled: Vec<(Record, Outcome)>,
    /// The bodies of the requests whose callers gave up.
    pub(crate) given_up: HashSet<Bytes>,
    pub(crate) end: Instant,
    /// The number of 429s in the script. Every further one would come from the limit.
    pub(crate) scripted_429s: u64,
}

impl Case {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let limit = NonZeroU32::new(rng.random_range(10..200)).expect("at least ten");
        let model = [
            Model::SlidingLog,
            Model::SlidingCounter,
            Model::FixedWindow,
            Model::TokenBucket { size: limit },
        ];
        let model = model[rng.random_range(0..model.len())];
        // For a sliding counter the limit holds only while transit times vary by at most the
        // jitter ceiling, which a stall exceeds.
        let stalls = model != Model::SlidingCounter && rng.random_bool(0.5);
        Self {
            seed,
            model,
            limit: limit.get(),
            concurrency: if rng.random_bool(0.2) {
                1
            } else {
                rng.random_range(2..64)
            },
            latency: Duration::from_millis(rng.random_range(0..30)),
            jitter: Duration::from_millis(rng.random_range(0..60)),
            stall: stalls.then(|| Duration::from_millis(rng.random_range(50..3_000))),
            script: ScriptedFaults::draw(&mut rng),
            rng,
        }
    }

    pub(crate) async fn run(mut self) -> Run {
        let calls = calls::calls(&mut self.rng);
        let simulator = self.simulator();
        let recorder = Recorder::new(client(dial(simulator.clone())));
        let quota = Quota::per_second(self.limit);
        let client = Client::builder()
            .credentials(Credentials::new("site", "key").expect("good credentials"))
            .base_url("http://localhost")
            .limits(Limits::documented().ingress(quota))
            .concurrency(self.concurrency)
            .jitter_seed(self.seed)
            .build_with(recorder.clone())
            .expect("good settings");
        let (settled, given_up) = self.send(client, calls).await;
        Run {
            seed: self.seed,
            quota,
            concurrency: self.concurrency,
            round_trip: 2 * (self.latency + self.jitter) + self.stall.unwrap_or_default(),
            wire: recorder.attempts(),
            simulator,
            settled,
            given_up,
            end: now(),
            scripted_429s: self.script.throttled,
        }
    }

    fn simulator(&self) -> Simulator {
        let limit = format!("{}/1s", self.limit)
            .parse::<Limit>()
            .expect("a limit")
            .model(self.model);
        let mut faults = Faults::none().latency(self.latency).jitter(self.jitter);
        if let Some(length) = self.stall {
            faults = faults.stall(Stall::new("2%".parse().expect("a probability"), length));
        }
        Simulator::builder()
            .limit(limit)
            .faults(faults)
            .script(Script::new(self.script.steps.clone()))
            .seed(self.seed)
            .build()
    }

    /// Sends all calls at once. A fifth of the callers gives up after a random time.
    async fn send(
        &mut self,
        client: Client,
        calls: Vec<Call>,
    ) -> (Vec<(Record, Outcome)>, HashSet<Bytes>) {
        let mut tasks = JoinSet::new();
        for Call { request, records } in calls {
            let client = client.clone();
            let timeout = match self.rng.random_bool(0.2) {
                true => Duration::from_millis(self.rng.random_range(0..5_000)),
                false => Duration::from_secs(3_600),
            };
            tasks.spawn(async move {
                let body = request.body().expect("every call has a body");
                let sending = tokio::time::timeout(timeout, client.send(request));
                let outcomes = sending.await.map_err(|_| body)?;
                assert_eq!(
                    outcomes.len(),
                    records.len(),
                    "one outcome for each operation"
                );
                Ok(records.into_iter().zip(outcomes))
            });
        }
        let (mut settled, mut given_up) = (Vec::new(), HashSet::new());
        for ended in tasks.join_all().await {
            match ended {
                Ok(outcomes) => settled.extend(outcomes),
                Err(body) => drop(given_up.insert(body)),
            }
        }
        (settled, given_up)
    }
}

impl Run {
    /// Returns a hash of all attempts and their times.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let start = self.wire.first().map_or(self.end, |first| first.sent);
        for attempt in &self.wire {
            (&attempt.request, attempt.sent - start).hash(&mut hasher);
            attempt.ended().map(|ended| ended - start).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The faults of the first requests. The later ones meet delays only.
struct ScriptedFaults {
    steps: Vec<Step>,
    /// The number of 429s among the steps.
    throttled: u64,
}

impl ScriptedFaults {
    fn draw(rng: &mut SmallRng) -> Self {
        let kinds: Vec<_> = (0..rng.random_range(0..30))
            .map(|_| rng.random_range(0..40))
            .collect();
        Self {
            throttled: kinds.iter().filter(|kind| **kind == THROTTLED).count() as u64,
            steps: kinds.into_iter().map(|kind| step(kind, rng)).collect(),
        }
    }
}

const THROTTLED: u32 = 28;

fn step(kind: u32, rng: &mut SmallRng) -> Step {
    match kind {
        0..=19 => Step::pass(),
        20..=23 => Step::status(500),
        24..=26 => Step::status(503),
        27 => Step::status(503).retry_after(rng.random_range(1..4)),
        THROTTLED => Step::status(429).retry_after(rng.random_range(1..4)),
        29 => Step::status(408),
        30..=33 => Step::gateway(),
        34..=35 => Step::reset(FailurePoint::BeforeEffect),
        36..=37 => Step::reset(FailurePoint::AfterEffect),
        _ => Step::pass().stall(Duration::from_millis(rng.random_range(0..80))),
    }
}

/// Returns a network on which every connection leads to `simulator`.
pub(crate) fn dial(simulator: Simulator) -> Dial {
    Dial::new(move || {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve_connection(far, simulator.clone()));
        Ok(near)
    })
}
