use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use clap::{Parser, ValueEnum};
use customerio_sim::{
    Builder, Dedupe, Faults, Limit, Model, Outage, Probability, Records, Simulator, Stall, Webhook,
    from_toml, parse_duration,
};

/// A simulated Customer.io: records everything it receives, enforces a rate limit, injects faults.
///
/// Prints its URL on the first line, and on Ctrl-C its totals as JSON. Until then this machine can
/// read them with GET /_sim/totals. Accepts any credentials for the Track API unless --site-id and
/// --api-key are given, and any key for the App API unless --app-api-key is given. Unofficial: not
/// a product of Customer.io.
#[derive(Debug, Parser)]
#[command(name = "cio-sim", version)]
pub(crate) struct Args {
    /// Address and port to listen on. Port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,

    // The flags that require `limit` conflict through it. A default value does not conflict.
    /// Reads limit, faults, script and seed from a TOML file in place of the flags.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "limit", "latency", "jitter", "stall", "reset", "error", "gateway_502", "outage", "seed",
        "dedupe",
    ])]
    scenario: Option<PathBuf>,

    /// Requests per window to the Track API and of transactional messages, such as 100/1s. Further
    /// requests get 429 [default: no limit].
    #[arg(long, value_name = "N/WINDOW")]
    limit: Option<Limit>,

    /// Model by which the limit counts requests.
    #[arg(long, value_enum, default_value = "sliding-log", requires = "limit")]
    model: ModelName,

    /// Capacity of the token bucket [default: the requests of the limit].
    #[arg(long, value_name = "TOKENS", requires = "limit")]
    bucket_size: Option<NonZeroU32>,

    /// Counts throttled requests against the limit too.
    #[arg(long, requires = "limit")]
    count_throttled: bool,

    /// Sends 429 without Retry-After.
    #[arg(long, requires = "limit")]
    omit_retry_after: bool,

    /// Delay of every request and of every response.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    latency: Duration,

    /// Maximum of a random delay that is added to each of them.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    jitter: Duration,

    /// Probability and length of a further delay of a request or a response, such as 1%:300ms.
    #[arg(long, value_name = "PROBABILITY:TIME")]
    stall: Option<Stall>,

    /// Probability that the connection is dropped, before or after the API applies the request.
    #[arg(long, value_name = "PROBABILITY", default_value = "0")]
    reset: Probability,

    /// Probability of 500, 503 or 504, before or after the API applies the request.
    #[arg(long, value_name = "PROBABILITY", default_value = "0")]
    error: Probability,

    /// Probability of 502 with an HTML page, as from a gateway. The request is not counted.
    #[arg(long, value_name = "PROBABILITY", default_value = "0")]
    gateway_502: Probability,

    /// Probability of 503 with Retry-After, and its value in whole seconds, such as 1%:2s.
    #[arg(long, value_name = "PROBABILITY:TIME")]
    outage: Option<Outage>,

    /// Seed of all random delays and faults.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Whether to ignore an event whose id is a ULID and was seen before: on or off.
    #[arg(long, value_name = "ON|OFF", default_value = "on")]
    dedupe: Dedupe,

    /// Which records to keep: all, or counts-only. With counts-only the memory does not grow;
    /// people, repeated event ids and the effects of requests are then unknown.
    #[arg(long, value_name = "ALL|COUNTS-ONLY", default_value = "all")]
    records: Records,

    /// The only accepted site id. Others get 401.
    #[arg(long, value_name = "ID", env = "CIO_SIM_SITE_ID", requires = "api_key")]
    site_id: Option<String>,

    /// The only accepted API key. Others get 401.
    #[arg(
        long,
        value_name = "KEY",
        env = "CIO_SIM_API_KEY",
        hide_env_values = true,
        requires = "site_id"
    )]
    api_key: Option<ApiKey>,

    /// The only accepted key of the App API. Others get 401.
    #[arg(
        long,
        value_name = "KEY",
        env = "CIO_SIM_APP_API_KEY",
        hide_env_values = true
    )]
    app_api_key: Option<ApiKey>,

    /// Requests per window to the App API, without transactional messages and triggers.
    #[arg(long, value_name = "N/WINDOW", default_value = "10/1s")]
    app_limit: Limit,

    /// Triggers of broadcasts per window.
    #[arg(long, value_name = "N/WINDOW", default_value = "1/10s")]
    trigger_limit: Limit,

    /// Time that the processing of a trigger takes. At most five wait; the next gets 429.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    trigger_time: Duration,

    /// How many failed and skipped activities are kept, and how many others.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    activities: usize,

    /// Time after which an activity is in the log of the App API.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    activity_lag: Duration,

    /// Age up to which an activity is in the log [default: all are].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    activity_retention: Option<Duration>,

    /// Delivers the events of reporting webhooks to this URL of this machine.
    #[arg(long, value_name = "URL", requires = "webhook_key")]
    webhook: Option<String>,

    /// Key by which the events of webhooks are signed.
    #[arg(
        long,
        value_name = "KEY",
        env = "CIO_SIM_WEBHOOK_KEY",
        hide_env_values = true
    )]
    webhook_key: Option<ApiKey>,

    /// Lets imports load a CSV file from a URL, such as https://a.co/people.csv=people.csv. May be
    /// repeated.
    #[arg(long, value_name = "URL=FILE")]
    import_file: Vec<String>,

    /// Time that an import takes.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    import_time: Duration,

    /// Time that an export takes.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    export_time: Duration,

    /// Creates a broadcast with this number. May be repeated.
    #[arg(long, value_name = "NUMBER")]
    broadcast: Vec<u64>,

    /// Creates an empty manual segment with this number. May be repeated.
    #[arg(long, value_name = "NUMBER")]
    segment: Vec<u64>,
}

/// An API key. `Debug` does not show it.
#[derive(Clone)]
struct ApiKey(String);

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

// Not `Model` itself: a variant of it has a field, which `ValueEnum` does not support.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModelName {
    FixedWindow,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
}

impl Args {
    /// Builds the simulator from the flags or the scenario. Its clock starts at `epoch`.
    pub(crate) fn simulator(self, epoch: SystemTime) -> io::Result<Simulator> {
        let builder = match &self.scenario {
            Some(path) => scenario(path)?,
            None => self.builder(),
        };
        // Credentials, segments, the kept records and the settings of the App API are no part of a
        // scenario, and apply to both.
        let mut builder = match (&self.site_id, &self.api_key) {
            (Some(site_id), Some(api_key)) => builder.credentials(site_id, &api_key.0),
            _ => builder,
        };
        if let Some(key) = &self.app_api_key {
            builder = builder.app_api_key(&key.0);
        }
        let builder = builder
            .app_limit(self.app_limit)
            .trigger_limit(self.trigger_limit)
            .trigger_time(self.trigger_time)
            .records(self.records)
            .activities(self.activities)
            .activity_lag(self.activity_lag)
            .epoch(epoch);
        let builder = match self.activity_retention {
            Some(retention) => builder.activity_retention(retention),
            None => builder,
        };
        let builder = match (&self.webhook, &self.webhook_key) {
            (Some(url), Some(key)) => builder.webhook(webhook(url, &key.0)?),
            _ => builder,
        };
        let mut builder = builder
            .import_time(self.import_time)
            .export_time(self.export_time);
        for file in &self.import_file {
            let (url, csv) = import_file(file)?;
            builder = builder.import_file(url, &csv);
        }
        let builder = self.segment.into_iter().fold(builder, Builder::segment);
        let builder = self.broadcast.into_iter().fold(builder, Builder::broadcast);
        Ok(builder.build())
    }

    fn builder(&self) -> Builder {
        let mut builder = Simulator::builder()
            .faults(self.faults())
            .seed(self.seed)
            .dedupe(self.dedupe);
        if let Some(limit) = self.limit() {
            builder = builder.limit(limit);
        }
        if self.omit_retry_after {
            builder = builder.omit_retry_after();
        }
        builder
    }

    fn limit(&self) -> Option<Limit> {
        let limit = self.limit.clone()?;
        let size = self.bucket_size.unwrap_or_else(|| limit.requests());
        let limit = limit.model(self.model.with_size(size));
        Some(if self.count_throttled {
            limit.count_throttled()
        } else {
            limit
        })
    }

    fn faults(&self) -> Faults {
        let mut faults = Faults::none()
            .latency(self.latency)
            .jitter(self.jitter)
            .reset(self.reset)
            .error(self.error)
            .gateway(self.gateway_502);
        if let Some(stall) = self.stall {
            faults = faults.stall(stall);
        }
        if let Some(outage) = self.outage {
            faults = faults.outage(outage);
        }
        faults
    }
}

fn webhook(url: &str, key: &str) -> io::Result<Webhook> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    Webhook::to_url(url, key).map_err(invalid)
}

/// Reads a flag of the form `URL=FILE`, and the file. The URL may have a `=`.
fn import_file(flag: &str) -> io::Result<(&str, String)> {
    let (url, path) = flag.rsplit_once('=').ok_or_else(|| {
        let message = "invalid --import-file: expected URL=FILE";
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let csv = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok((url, csv))
}

fn scenario(path: &Path) -> io::Result<Builder> {
    let named = |error: &dyn Display| format!("{}: {error}", path.display());
    let text =
        fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), named(&error)))?;
    from_toml(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, named(&error)))
}

impl ModelName {
    fn with_size(self, size: NonZeroU32) -> Model {
        match self {
            Self::FixedWindow => Model::FixedWindow,
            Self::SlidingCounter => Model::SlidingCounter,
            Self::SlidingLog => Model::SlidingLog,
            Self::TokenBucket => Model::TokenBucket { size },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_accepts_the_definition_of_the_flags() {
        Args::command().debug_assert();
    }

    #[track_caller]
    fn check(flags: &str, expected: &Limit) {
        let args = Args::try_parse_from(flags.split_whitespace()).unwrap();
        assert_eq!(args.limit().as_ref(), Some(expected), "{flags}");
    }

    #[test]
    fn a_bucket_is_as_large_as_the_limit_by_default() {
        let limit = || Limit::per_second(100);
        let bucket = |size| {
            let size = NonZeroU32::new(size).unwrap();
            limit().model(Model::TokenBucket { size })
        };
        check("cio-sim --limit 100/1s", &limit());
        check(
            "cio-sim --limit 100/1s --count-throttled",
            &limit().count_throttled(),
        );
        let counter = limit().model(Model::SlidingCounter);
        check("cio-sim --limit 100/1s --model sliding-counter", &counter);
        check("cio-sim --limit 100/1s --model token-bucket", &bucket(100));
        let sized = "cio-sim --limit 100/1s --model token-bucket --bucket-size 20";
        check(sized, &bucket(20));
    }

    #[test]
    fn a_model_requires_a_limit() {
        assert_eq!(Args::try_parse_from(["cio-sim"]).unwrap().limit(), None);
        let model_alone = Args::try_parse_from(["cio-sim", "--model", "fixed-window"]);
        assert!(model_alone.unwrap_err().to_string().contains("--limit"));
    }

    #[test]
    fn every_fault_flag_sets_its_fault() {
        let flags = "cio-sim --latency 20ms --jitter 50ms --stall 1%:300ms --reset 0.1% \
                     --error 1% --gateway-502 2% --outage 1%:2s";
        let probability = |text: &str| text.parse::<Probability>().unwrap();
        let expected = Faults::none()
            .latency(Duration::from_millis(20))
            .jitter(Duration::from_millis(50))
            .stall(Stall::new(probability("1%"), Duration::from_millis(300)))
            .reset(probability("0.1%"))
            .error(probability("1%"))
            .gateway(probability("2%"))
            .outage(Outage::new(probability("1%"), 2));
        assert_eq!(
            Args::try_parse_from(flags.split_whitespace())
                .unwrap()
                .faults(),
            expected
        );
    }

    #[test]
    fn credentials_are_a_pair_and_not_shown() {
        let alone = Args::try_parse_from(["cio-sim", "--site-id", "site"]);
        assert!(alone.unwrap_err().to_string().contains("--api-key"));
        let pair = "cio-sim --site-id site --api-key top-secret";
        let args = Args::try_parse_from(pair.split_whitespace()).unwrap();
        assert!(!format!("{args:?}").contains("top-secret"));
        let args = Args::try_parse_from(["cio-sim", "--app-api-key", "top-secret"]).unwrap();
        assert!(!format!("{args:?}").contains("top-secret"));
    }

    #[test]
    fn segments_are_created_by_their_numbers() {
        let args = Args::try_parse_from(["cio-sim", "--segment", "7", "--segment", "8"]).unwrap();
        let simulator = args.simulator(SystemTime::UNIX_EPOCH).unwrap();
        let known = [7, 8, 9].map(|segment| simulator.segment(segment).is_some());
        assert_eq!(known, [true, true, false]);
    }

    #[test]
    fn broadcasts_are_created_by_their_numbers() {
        let args = Args::try_parse_from(["cio-sim", "--broadcast", "5"]).unwrap();
        let simulator = args.simulator(SystemTime::UNIX_EPOCH).unwrap();
        let known = [5, 6].map(|broadcast| simulator.triggers(broadcast).is_some());
        assert_eq!(known, [true, false]);
    }

    #[test]
    fn a_webhook_needs_a_key_and_a_url_of_this_machine() {
        let simulator = |flags: &str| {
            let args = Args::try_parse_from(flags.split_whitespace()).map_err(|e| e.to_string())?;
            assert!(!format!("{args:?}").contains("top-secret"));
            let simulator = args.simulator(SystemTime::UNIX_EPOCH);
            simulator.map(drop).map_err(|error| error.to_string())
        };
        let alone = simulator("cio-sim --webhook http://localhost/").unwrap_err();
        assert!(alone.contains("--webhook-key"), "{alone}");
        let key = "--webhook-key top-secret";
        simulator(&format!("cio-sim --webhook http://localhost/ {key}")).unwrap();
        let other = simulator(&format!("cio-sim --webhook http://a.co/ {key}")).unwrap_err();
        assert!(other.starts_with("invalid webhook"), "{other}");
        let missing = simulator("cio-sim --import-file http://a.co/=no-such-file.csv");
        assert!(missing.unwrap_err().starts_with("no-such-file.csv: "));
    }

    #[test]
    fn a_scenario_excludes_the_flags_that_it_replaces() {
        let both = Args::try_parse_from(["cio-sim", "--scenario", "a.toml", "--seed", "7"]);
        assert!(both.unwrap_err().to_string().contains("--scenario"));
        let missing = Args::try_parse_from(["cio-sim", "--scenario", "no-such-file.toml"]);
        let error = missing
            .unwrap()
            .simulator(SystemTime::UNIX_EPOCH)
            .unwrap_err();
        assert!(
            error.to_string().starts_with("no-such-file.toml: "),
            "{error}"
        );
    }

    #[test]
    fn the_error_of_an_invalid_value_shows_a_valid_one() {
        for (flags, hint) in [
            ("--limit 100", "such as 100/1s"),
            ("--stall 1%", "such as 1%:300ms"),
            ("--latency 20", "such as 20ms"),
            ("--reset 2", "such as 0.1%"),
            ("--dedupe maybe", "on or off"),
            ("--records none", "all or counts-only"),
        ] {
            let flags = format!("cio-sim {flags}");
            let error = Args::try_parse_from(flags.split_whitespace())
                .unwrap_err()
                .to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
