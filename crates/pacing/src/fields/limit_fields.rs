use std::time::{Duration, SystemTime};

use super::duration::duration;
use super::structured::{Lines, Member, number};
use crate::Quota;
use crate::retry::{RetryAfter, parse_date};

/// The most policies, and the most limits, that are read from one response. Servers send one to
/// three; more would let a response cost memory and time.
const MOST: usize = 8;

/// A stated policy slows requests down to this part of the configured rate, and no further. With
/// less, a server could not lower its limit much; with more, an absurd value would stop the client.
const SLOWEST: u32 = 20;

/// Requests are not spread evenly over a window that is longer than this and than the configured
/// one: that would waste the requests that may depart at once. The stated limit bounds them
/// instead.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);

/// The rate limit fields of one response.
///
/// ```
/// use std::time::Duration;
/// use pacing::fields::{LimitFields, StatedLimit};
///
/// let fields: [(_, &[u8]); 2] = [
///     ("ratelimit-policy", br#""default";q=100;w=60"#),
///     ("ratelimit", br#""default";r=5;t=30"#),
/// ];
/// let stated = LimitFields::read(fields);
/// let reset = Duration::from_secs(30);
/// assert_eq!(stated.limits, [StatedLimit { limit: Some(100), remaining: 5, reset, unit: None }]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitFields {
    /// The server's policies: the requests that it allows per window.
    pub policies: Vec<StatedPolicy>,
    /// The requests that remain now.
    pub limits: Vec<StatedLimit>,
}

/// A policy: a number of requests per window (`RateLimit-Policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedPolicy {
    /// The requests. The value is not checked: it may be zero or absurdly large.
    pub limit: u64,
    /// The window. The value is not checked either.
    pub window: Duration,
}

/// A limit as it is now: what remains until the reset (`RateLimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedLimit {
    /// The limit per window, if the response states it.
    pub limit: Option<u64>,
    /// What remains of it.
    pub remaining: u64,
    /// The time from the response to the reset, when the whole limit is available again.
    pub reset: Duration,
    /// The unit of the numbers, if the response states it.
    pub unit: Option<StatedUnit>,
}

/// The unit of a stated limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatedUnit {
    /// The tokens of language models. They are the [`Cost`](crate::Cost) of requests here.
    Cost,
    /// The requests.
    Requests,
}

impl LimitFields {
    /// Reads the fields of a response. Their names must be in lower case.
    ///
    /// - A reset that is a date is compared with the response's own `Date`, and ignored without
    ///   one.
    /// - All fields of a cached response (`Age` above zero) are ignored.
    /// - Beside a `Retry-After`, which has precedence, limits are ignored.
    /// - Policies that count anything but requests are ignored.
    /// - The lines of a field that comes more than once are one list.
    #[must_use]
    pub fn read<'a, F>(fields: F) -> Self
    where
        F: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let mut reader = Reader::default();
        for (name, value) in fields {
            match name {
                "age" => reader.age.push(value),
                "date" => reader.date = value,
                "retry-after" => reader.has_retry_after = true,
                "ratelimit" => reader.current.push(value),
                "ratelimit-policy" => reader.policy.push(value),
                _ => reader.push_number(name, value),
            }
        }
        reader.finish()
    }

    /// Returns whether a field of this name, in lower case, may state a limit.
    ///
    /// A response without any such field states none, so the others need not be read.
    #[must_use]
    pub fn is_one(name: &str) -> bool {
        [
            "ratelimit",
            "x-ratelimit-",
            "x-rate-limit-",
            "anthropic-ratelimit-",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    }

    /// Returns the slowest quota that the server states, if it is slower than `configured`.
    ///
    /// A stated policy never makes requests faster. One that is slower than a 20th of the
    /// configured rate is ignored, so an absurd value stops no client.
    #[must_use]
    pub fn slower_than(&self, configured: &Quota) -> Option<Quota> {
        let stated = self.policies.iter();
        stated
            .filter_map(|policy| policy.quota(configured))
            .filter(|quota| quota.spacing() > configured.spacing())
            .max_by_key(Quota::spacing)
    }
}

impl StatedPolicy {
    /// Returns the quota of this policy with the assumptions of `configured`.
    fn quota(&self, configured: &Quota) -> Option<Quota> {
        let longest = configured.window().max(LONGEST_SPREAD);
        // A limit above 32 bits counts as the largest of 32 bits, which is lower and so safe.
        let limit = u32::try_from(self.limit).unwrap_or(u32::MAX);
        let quota = Quota::new(limit, self.window).ok()?.in_place_of(configured);
        let slowest = configured.spacing().saturating_mul(SLOWEST);
        (self.window <= longest && quota.spacing() <= slowest).then_some(quota)
    }
}

/// The fields that were read so far, before they are parsed.
#[derive(Default)]
struct Reader<'a> {
    has_retry_after: bool,
    date: &'a [u8],
    age: Lines<'a>,
    current: Lines<'a>,
    policy: Lines<'a>,
    /// The fields with one number each, grouped by prefix and window.
    families: Vec<Family<'a>>,
}

impl<'a> Reader<'a> {
    fn push_number(&mut self, name: &'a str, value: &'a [u8]) {
        let Some(NumberField {
            prefix,
            index,
            suffix,
        }) = NumberField::parse(name)
        else {
            return;
        };
        let same = |family: &Family<'_>| family.prefix == prefix && family.suffix == suffix;
        let known = self.families.iter().position(same);
        let known = known.unwrap_or(self.families.len());
        if known == self.families.len() && known < MOST {
            let parts = [Lines::default(); 3];
            self.families.push(Family {
                prefix,
                suffix,
                parts,
            });
        }
        // Beyond the bound there is no such family, and the field is ignored.
        if let Some(family) = self.families.get_mut(known) {
            family.parts[index].push(value);
        }
    }

    fn finish(&self) -> LimitFields {
        // Most responses have none of the fields: stop before the date is parsed.
        if self.current.is_empty() && self.policy.is_empty() && self.families.is_empty() {
            return LimitFields::default();
        }
        // A cache does not know how much of the limit was used since it stored the response.
        if self.age.members().any(|age| age.number() > Some(0)) {
            return LimitFields::default();
        }
        // A list of drafts 8 and later states its limits by the names of the policies.
        let named: Vec<_> = self.policy.members().filter_map(policy).collect();
        let policies = named.iter().map(|(_, policy)| *policy);
        let counted = self.families.iter().flat_map(Family::policies);
        let current = self.current.members();
        let listed = current.filter_map(|member| listed(member, &named));
        let entries = dictionary(&self.current);
        let date = parse_date(self.date);
        let numbers = self.families.iter().flat_map(|f| f.limits(date));
        let stated = listed.chain(entries).chain(numbers);
        LimitFields {
            policies: policies.chain(counted).take(MOST).collect(),
            limits: match self.has_retry_after {
                true => Vec::new(),
                false => stated.take(MOST).collect(),
            },
        }
    }
}

/// Parses a policy with its name: `100;w=60` or `"name";q=100;w=60`.
fn policy(member: Member<'_>) -> Option<(&str, StatedPolicy)> {
    // `qu` is the unit of the quota. Requests are the default, and the only unit of this crate.
    let counts_requests = member.parameter("qu").is_none_or(|unit| unit == "requests");
    let limit = match member.parameter("q") {
        Some(quota) => number(quota),
        None => member.number(),
    };
    let policy = StatedPolicy {
        limit: limit.filter(|_| counts_requests)?,
        window: Duration::from_secs(number(member.parameter("w")?)?),
    };
    Some((member.name(), policy))
}

/// Parses a limit of drafts 8 and later: `"name";r=50;t=30`.
fn listed(member: Member<'_>, named: &[(&str, StatedPolicy)]) -> Option<StatedLimit> {
    let mut same_name = named.iter().filter(|(name, _)| *name == member.name());
    Some(StatedLimit {
        limit: same_name.next().map(|(_, policy)| policy.limit),
        remaining: number(member.parameter("r")?)?,
        reset: Duration::from_secs(number(member.parameter("t")?)?),
        unit: None,
    })
}

/// Parses the limit of draft 7: `limit=100, remaining=50, reset=30`. If a key comes twice, the last
/// value counts (RFC 9651, section 4.2.2).
fn dictionary(lines: &Lines<'_>) -> Option<StatedLimit> {
    let entry = |wanted| {
        let entries = lines.members().filter_map(|member| member.entry());
        let (_, value) = entries.filter(|(key, _)| *key == wanted).last()?;
        number(value)
    };
    Some(StatedLimit {
        limit: entry("limit"),
        remaining: entry("remaining")?,
        reset: Duration::from_secs(entry("reset")?),
        unit: None,
    })
}

/// The name of a field with one number, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NumberField<'a> {
    /// The part that the fields of one family share.
    prefix: &'a str,
    /// The index in [`PARTS`].
    index: usize,
    suffix: Suffix,
}

/// What the name of a field says about its limit: the window or the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suffix {
    None,
    Window(Duration),
    Unit(StatedUnit),
}

const PREFIXES: [&str; 3] = ["ratelimit-", "x-ratelimit-", "x-rate-limit-"];
/// Anthropic's fields have the unit before the part: `anthropic-ratelimit-tokens-remaining`.
const UNIT_FIRST: &str = "anthropic-ratelimit-";
const PARTS: [&str; 3] = ["limit", "remaining", "reset"];
const SUFFIXES: [(&str, Suffix); 7] = [
    ("", Suffix::None),
    ("-requests", Suffix::Unit(StatedUnit::Requests)),
    ("-tokens", Suffix::Unit(StatedUnit::Cost)),
    ("-second", Suffix::Window(Duration::from_secs(1))),
    ("-minute", Suffix::Window(Duration::from_secs(60))),
    ("-hour", Suffix::Window(Duration::from_secs(3_600))),
    ("-day", Suffix::Window(Duration::from_secs(86_400))),
];

impl<'a> NumberField<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix(UNIT_FIRST) {
            return Self::parse_unit_first(&name[..UNIT_FIRST.len()], rest);
        }
        let (prefix, rest) = PREFIXES.iter().find_map(|prefix| {
            let rest = name.strip_prefix(prefix)?;
            Some((&name[..prefix.len()], rest))
        })?;
        let mut parts = PARTS.iter().enumerate();
        let (index, end) =
            parts.find_map(|(index, part)| Some((index, rest.strip_prefix(part)?)))?;
        let (_, suffix) = SUFFIXES.iter().find(|(suffix, _)| *suffix == end)?;
        Some(Self {
            prefix,
            index,
            suffix: *suffix,
        })
    }

    fn parse_unit_first(prefix: &'a str, rest: &str) -> Option<Self> {
        let (unit, part) = rest.split_once('-')?;
        let unit = match unit {
            "requests" => StatedUnit::Requests,
            "tokens" => StatedUnit::Cost,
            _ => return None,
        };
        Some(Self {
            prefix,
            index: PARTS.iter().position(|known| *known == part)?,
            suffix: Suffix::Unit(unit),
        })
    }
}

/// The fields `..-limit..`, `..-remaining..` and `..-reset..` with one prefix and one suffix.
struct Family<'a> {
    prefix: &'a str,
    suffix: Suffix,
    /// The lines of each field, in the order of [`PARTS`].
    parts: [Lines<'a>; 3],
}

impl Family<'_> {
    /// Returns the policies. Drafts 0 to 2 have them behind the limit: `10, 10;w=1, 50;w=60`.
    fn policies(&self) -> impl Iterator<Item = StatedPolicy> {
        let [limit, ..] = &self.parts;
        let by_name = match self.suffix {
            Suffix::Window(window) => Some(window),
            Suffix::None | Suffix::Unit(_) => None,
        };
        // A policy counts requests.
        let members = limit.members();
        let members = members.filter(|_| self.unit() != Some(StatedUnit::Cost));
        members.filter_map(move |member| {
            let window = member.parameter("w").and_then(number);
            Some(StatedPolicy {
                limit: member.number()?,
                window: window.map(Duration::from_secs).or(by_name)?,
            })
        })
    }

    /// Returns the limits. Each `remaining` belongs to the limit and the reset at the same index: a
    /// gateway may add its fields to those of another server. If there are fewer resets, the last
    /// one counts, so that no `remaining` is lost.
    fn limits(&self, date: Option<SystemTime>) -> impl Iterator<Item = StatedLimit> {
        let [_, remaining, resets] = &self.parts;
        remaining
            .members()
            .enumerate()
            .filter_map(move |(index, member)| {
                let time = resets.times().take(index + 1).last()?;
                Some(StatedLimit {
                    limit: self.limit(index),
                    remaining: member.whole_number()?,
                    reset: reset(time, date)?,
                    unit: self.unit(),
                })
            })
    }

    fn unit(&self) -> Option<StatedUnit> {
        match self.suffix {
            Suffix::Unit(unit) => Some(unit),
            Suffix::None | Suffix::Window(_) => None,
        }
    }

    /// Returns the limit at an index, not counting policies. A policy alone counts as a limit.
    fn limit(&self, index: usize) -> Option<u64> {
        let [limit, ..] = &self.parts;
        let mut plain = limit
            .members()
            .filter(|member| member.parameter("w").is_none());
        let first = limit.members().next().filter(|_| index == 0);
        plain.nth(index).or(first)?.number()
    }
}

/// Parses a reset, as a time after the response with the date `answered`.
///
/// A reset field does not say in which form it is, so it is parsed like a `Retry-After`: a number
/// is seconds, or if it is too large for that, seconds or milliseconds since 1970; text is a date.
/// A date is ignored if the response has none. A number with a unit is a duration: `6m0s`.
fn reset(text: &str, answered: Option<SystemTime>) -> Option<Duration> {
    match RetryAfter::read(text) {
        None => duration(text),
        Some(RetryAfter::Delay(delay)) => Some(delay),
        Some(asked) => Some(asked.after(answered?)),
    }
}

#[cfg(test)]
mod tests;
