use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use clap::{Parser, ValueEnum};
use customerio_sim::{
    Builder, Chance, Dedupe, Limit, Model, Outage, Simulator, Stall, Weather, from_toml,
    parse_duration,
};

/// A Customer.io on your laptop: it keeps books, enforces a rate limit and misbehaves on request.
///
/// Prints its URL on the first line and its books as JSON on Ctrl-C. GET /_sim/books shows them
/// meanwhile, to this machine. Any credentials are accepted, unless --site-id and --api-key say
/// which. This is no product of Customer.io.
#[derive(Debug, Parser)]
#[command(name = "cio-sim", version)]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,

    /// Takes limit, weather, script and seed from a file in TOML instead of from flags.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "limit", "latency", "jitter", "stall", "reset", "error", "gateway_502", "outage", "seed", "dedupe",
    ])]
    scenario: Option<PathBuf>,

    /// Refuses what exceeds this many requests in any such window.
    #[arg(long, value_name = "N/WINDOW")]
    limit: Option<Limit>,

    /// How the limit counts.
    #[arg(long, value_enum, default_value = "sliding-log", requires = "limit")]
    model: ModelName,

    /// Tokens that the bucket holds [default: the requests of the limit].
    #[arg(long, value_name = "TOKENS", requires = "limit")]
    bucket_size: Option<NonZeroU32>,

    /// Counts refused requests against the limit as well.
    #[arg(long, requires = "limit")]
    count_refused: bool,

    /// Leaves Retry-After out of a 429.
    #[arg(long, requires = "limit")]
    omit_retry_after: bool,

    /// Delay of every request and of every answer.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    latency: Duration,

    /// Further delay of each, drawn from 0 to this.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    jitter: Duration,

    /// How often a request or its answer is held up, and for how long, such as 1%:300ms.
    #[arg(long, value_name = "CHANCE:TIME")]
    stall: Option<Stall>,

    /// How often the connection is dropped instead of an answer, before or after the effect.
    #[arg(long, value_name = "CHANCE", default_value = "0")]
    reset: Chance,

    /// How often the answer is 500, 503 or 504, before or after the effect.
    #[arg(long, value_name = "CHANCE", default_value = "0")]
    error: Chance,

    /// How often a gateway in front of the counter answers 502 with an HTML page.
    #[arg(long, value_name = "CHANCE", default_value = "0")]
    gateway_502: Chance,

    /// How often the answer is 503 with Retry-After, and its whole seconds, such as 1%:2s.
    #[arg(long, value_name = "CHANCE:TIME")]
    outage: Option<Outage>,

    /// Draws all of the above from this number.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Whether an event whose id was seen before is ignored: on or off.
    #[arg(long, value_name = "ON|OFF", default_value = "on")]
    dedupe: Dedupe,

    /// Answers 401 to any other site id.
    #[arg(long, value_name = "ID", env = "CIO_SIM_SITE_ID", requires = "api_key")]
    site_id: Option<String>,

    /// Answers 401 to any other API key.
    #[arg(
        long,
        value_name = "KEY",
        env = "CIO_SIM_API_KEY",
        hide_env_values = true,
        requires = "site_id"
    )]
    api_key: Option<ApiKey>,

    /// Makes a manual segment of this number; may be given several times.
    #[arg(long, value_name = "NUMBER")]
    segment: Vec<u64>,
}

/// A key that shows itself nowhere.
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModelName {
    FixedWindow,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
}

impl Args {
    /// The simulator that the flags or the scenario describe, dating its answers from `epoch` on.
    pub(crate) fn simulator(self, epoch: SystemTime) -> io::Result<Simulator> {
        let builder = match &self.scenario {
            Some(path) => scenario(path)?,
            None => self.builder(),
        };
        let builder = match (&self.site_id, &self.api_key) {
            (Some(site_id), Some(api_key)) => builder.credentials(site_id, &api_key.0),
            _ => builder,
        };
        let segments = self.segment.into_iter();
        let builder = segments.fold(builder, Builder::segment);
        Ok(builder.epoch(epoch).build())
    }

    fn builder(&self) -> Builder {
        let mut builder = Simulator::builder()
            .weather(self.weather())
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
        Some(if self.count_refused {
            limit.count_refused()
        } else {
            limit
        })
    }

    fn weather(&self) -> Weather {
        let mut weather = Weather::calm()
            .latency(self.latency)
            .jitter(self.jitter)
            .reset(self.reset)
            .error(self.error)
            .gateway(self.gateway_502);
        if let Some(stall) = self.stall {
            weather = weather.stall(stall);
        }
        if let Some(outage) = self.outage {
            weather = weather.outage(outage);
        }
        weather
    }
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
    fn the_flags_hold_together() {
        Args::command().debug_assert();
    }

    #[track_caller]
    fn check(flags: &str, expected: &Limit) {
        let args = Args::try_parse_from(flags.split_whitespace()).unwrap();
        assert_eq!(args.limit().as_ref(), Some(expected), "{flags}");
    }

    #[test]
    fn a_bucket_is_as_large_as_the_limit_unless_said_otherwise() {
        let limit = || Limit::per_second(100);
        let bucket = |size| {
            let size = NonZeroU32::new(size).unwrap();
            limit().model(Model::TokenBucket { size })
        };
        check("cio-sim --limit 100/1s", &limit());
        check(
            "cio-sim --limit 100/1s --count-refused",
            &limit().count_refused(),
        );
        let counter = limit().model(Model::SlidingCounter);
        check("cio-sim --limit 100/1s --model sliding-counter", &counter);
        check("cio-sim --limit 100/1s --model token-bucket", &bucket(100));
        let sized = "cio-sim --limit 100/1s --model token-bucket --bucket-size 20";
        check(sized, &bucket(20));
    }

    #[test]
    fn without_a_limit_there_is_none_and_no_model_either() {
        assert_eq!(Args::try_parse_from(["cio-sim"]).unwrap().limit(), None);
        let model_alone = Args::try_parse_from(["cio-sim", "--model", "fixed-window"]);
        assert!(model_alone.unwrap_err().to_string().contains("--limit"));
    }

    #[test]
    fn every_weather_flag_has_its_effect() {
        let flags = "cio-sim --latency 20ms --jitter 50ms --stall 1%:300ms --reset 0.1% --error 1% --gateway-502 2% \
                     --outage 1%:2s";
        let chance = |text: &str| text.parse::<Chance>().unwrap();
        let expected = Weather::calm()
            .latency(Duration::from_millis(20))
            .jitter(Duration::from_millis(50))
            .stall(Stall::new(chance("1%"), Duration::from_millis(300)))
            .reset(chance("0.1%"))
            .error(chance("1%"))
            .gateway(chance("2%"))
            .outage(Outage::new(chance("1%"), 2));
        assert_eq!(
            Args::try_parse_from(flags.split_whitespace())
                .unwrap()
                .weather(),
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
    }

    #[test]
    fn segments_are_made_by_their_numbers() {
        let args = Args::try_parse_from(["cio-sim", "--segment", "7", "--segment", "8"]).unwrap();
        let simulator = args.simulator(SystemTime::UNIX_EPOCH).unwrap();
        let known = [7, 8, 9].map(|segment| simulator.segment(segment).is_some());
        assert_eq!(known, [true, true, false]);
    }

    #[test]
    fn a_scenario_stands_in_the_place_of_the_flags() {
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
    fn a_bad_value_is_answered_with_what_to_write() {
        for (flags, hint) in [
            ("--limit 100", "such as 100/1s"),
            ("--stall 1%", "such as 1%:300ms"),
            ("--latency 20", "such as 20ms"),
            ("--reset 2", "such as 0.1%"),
            ("--dedupe maybe", "on or off"),
        ] {
            let flags = format!("cio-sim {flags}");
            let error = Args::try_parse_from(flags.split_whitespace())
                .unwrap_err()
                .to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
