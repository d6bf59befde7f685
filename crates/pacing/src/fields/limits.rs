use std::time::{Duration, SystemTime};

use super::member::{Lines, Member, number};
use super::named::{Part, part};
use super::reset::reset;
use crate::retry::parse_date;

/// The most policies, and the most budgets, that are read of one answer.
const MOST: usize = 8;

/// What the rate limit fields of one answer say.
///
/// ```
/// use std::time::Duration;
/// use pacing::fields::{Budget, LimitFields};
///
/// let fields = [("ratelimit-policy", b"\"default\";q=100;w=60" as &[u8]), ("ratelimit", b"\"default\";r=5;t=30")];
/// let said = LimitFields::read(fields);
/// let budget = Budget { limit: Some(100), remaining: 5, reset: Duration::from_secs(30) };
/// assert_eq!(said.budgets, [budget]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitFields {
    /// What the server allows in general.
    pub allotments: Vec<Allotment>,
    /// What it still allows now.
    pub budgets: Vec<Budget>,
}

/// So many requests in any such window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allotment {
    /// The requests; may be zero, or absurd.
    pub limit: u64,
    /// The window; may be zero, or absurd.
    pub window: Duration,
}

/// So many requests are left until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of how many, if that was said.
    pub limit: Option<u64>,
    /// The requests that are left.
    pub remaining: u64,
    /// How long after the answer the limit starts anew.
    pub reset: Duration,
}

impl LimitFields {
    /// Reads the fields of an answer, whose names are in lower case.
    ///
    /// A reset that is a date is compared with the answer's own `Date`, and says nothing without
    /// one. A cached answer (`Age` over zero) says nothing. Beside a `Retry-After`, which has
    /// precedence, budgets count for nothing. Policies that count anything but requests are passed
    /// over. Of a field that comes more than once, the lines are one list.
    #[must_use]
    pub fn read<'a, F>(fields: F) -> Self
    where
        F: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let mut reading = Reading::default();
        for (name, value) in fields {
            match name {
                "age" => reading.age.push(value),
                "date" => reading.date = value,
                "retry-after" => reading.is_told_when = true,
                "ratelimit" => reading.current.push(value),
                "ratelimit-policy" => reading.policy.push(value),
                _ => reading.note(name, value),
            }
        }
        reading.conclude()
    }

    /// Returns whether a field of this name, in lower case, may state a limit.
    ///
    /// A response without any such field states none, so that the others need not be read.
    #[must_use]
    pub fn is_one(name: &str) -> bool {
        ["ratelimit", "x-ratelimit-", "x-rate-limit-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    }
}

/// What was found so far.
#[derive(Default)]
struct Reading<'a> {
    is_told_when: bool,
    date: &'a [u8],
    age: Lines<'a>,
    current: Lines<'a>,
    policy: Lines<'a>,
    /// Fields for one number each, by what stands around that number's name.
    families: Vec<Family<'a>>,
}

/// The fields `..-limit..`, `..-remaining..` and `..-reset..` of one kind.
struct Family<'a> {
    prefix: &'a str,
    window: Option<Duration>,
    parts: [Lines<'a>; 3],
}

impl<'a> Reading<'a> {
    fn note(&mut self, name: &'a str, value: &'a [u8]) {
        let Some(Part {
            prefix,
            index,
            window,
        }) = part(name)
        else {
            return;
        };
        let same = |family: &Family<'_>| family.prefix == prefix && family.window == window;
        let known = self.families.iter().position(same);
        let known = known.unwrap_or(self.families.len());
        if known == self.families.len() && known < MOST {
            let parts = [Lines::default(); 3];
            self.families.push(Family {
                prefix,
                window,
                parts,
            });
        }
        if let Some(family) = self.families.get_mut(known) {
            family.parts[index].push(value);
        }
    }

    fn conclude(&self) -> LimitFields {
        if self.current.is_empty() && self.policy.is_empty() && self.families.is_empty() {
            return LimitFields::default();
        }
        if self.age.members().any(|age| age.number() > Some(0)) {
            return LimitFields::default();
        }
        let named: Vec<_> = self.policy.members().filter_map(policy).collect();
        let allotments = named.iter().map(|(_, allotment)| *allotment);
        let stated = self.families.iter().flat_map(Family::allotments);
        let current = self.current.members();
        let listed = current.filter_map(|member| listed(member, &named));
        let entries = dictionary(&self.current);
        let date = parse_date(self.date);
        let counted = self.families.iter().flat_map(|f| f.budgets(date));
        let budgets = listed.chain(entries).chain(counted);
        LimitFields {
            allotments: allotments.chain(stated).take(MOST).collect(),
            budgets: match self.is_told_when {
                true => Vec::new(),
                false => budgets.take(MOST).collect(),
            },
        }
    }
}

/// `100;w=60` or `"name";q=100;w=60`.
fn policy(member: Member<'_>) -> Option<(&str, Allotment)> {
    let counts_requests = member.parameter("qu").is_none_or(|unit| unit == "requests");
    let limit = match member.parameter("q") {
        Some(quota) => number(quota),
        None => member.number(),
    };
    let allotment = Allotment {
        limit: limit.filter(|_| counts_requests)?,
        window: Duration::from_secs(number(member.parameter("w")?)?),
    };
    Some((member.name(), allotment))
}

/// `"name";r=50;t=30`.
fn listed(member: Member<'_>, named: &[(&str, Allotment)]) -> Option<Budget> {
    let mut policies = named.iter().filter(|(name, _)| *name == member.name());
    Some(Budget {
        limit: policies.next().map(|(_, allotment)| allotment.limit),
        remaining: number(member.parameter("r")?)?,
        reset: Duration::from_secs(number(member.parameter("t")?)?),
    })
}

/// `limit=100, remaining=50, reset=30`; of a key that comes twice, the last value counts (RFC 9651,
/// section 4.2.2).
fn dictionary(lines: &Lines<'_>) -> Option<Budget> {
    let entry = |wanted| {
        let entries = lines.members().filter_map(|member| member.entry());
        let (_, value) = entries.filter(|(key, _)| *key == wanted).last()?;
        number(value)
    };
    Some(Budget {
        limit: entry("limit"),
        remaining: entry("remaining")?,
        reset: Duration::from_secs(entry("reset")?),
    })
}

impl Family<'_> {
    /// Drafts 0 to 2 wrote the policies behind the limit: `10, 10;w=1, 50;w=60`.
    fn allotments(&self) -> impl Iterator<Item = Allotment> {
        let [limit, ..] = &self.parts;
        limit.members().filter_map(|member| {
            let window = member.parameter("w").and_then(number);
            Some(Allotment {
                limit: member.number()?,
                window: window.map(Duration::from_secs).or(self.window)?,
            })
        })
    }

    /// Each number that remains goes with the limit and the reset of the same place, as where a
    /// gateway adds its fields to those of another. Where there are fewer resets the last one
    /// counts, so that nothing that remains is lost.
    fn budgets(&self, date: Option<SystemTime>) -> impl Iterator<Item = Budget> {
        let [_, remaining, resets] = &self.parts;
        remaining
            .members()
            .enumerate()
            .filter_map(move |(place, member)| {
                let time = resets.times().take(place + 1).last()?;
                Some(Budget {
                    limit: self.limit(place),
                    remaining: member.number()?,
                    reset: reset(time, date)?,
                })
            })
    }

    /// The limit of a place, among those that are no policy; a policy that stands alone is one.
    fn limit(&self, place: usize) -> Option<u64> {
        let [limit, ..] = &self.parts;
        let limits = limit.members();
        let mut plain = limits.filter(|member| member.parameter("w").is_none());
        let first = limit.members().next().filter(|_| place == 0);
        plain.nth(place).or(first)?.number()
    }
}

#[cfg(test)]
mod tests;
