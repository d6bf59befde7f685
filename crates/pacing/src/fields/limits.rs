use std::time::Duration;

use super::member::{Member, members, number};
use super::named::{Part, part};
use super::reset::reset;

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
    /// A reset that is a date is compared with the answer's own `Date`, and says nothing without one. A cached answer
    /// (`Age` over zero) says nothing. Beside a `Retry-After`, which has precedence, budgets count for nothing. Policies
    /// that count anything but requests are passed over. Of a field that comes twice, the last line counts.
    #[must_use]
    pub fn read<'a, F>(fields: F) -> Self
    where
        F: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let mut reading = Reading::default();
        for (name, value) in fields {
            match name {
                "age" if members(value).any(|age| age.number() > Some(0)) => {
                    return Self::default();
                }
                "date" => reading.date = value,
                "retry-after" => reading.is_told_when = true,
                "ratelimit" => reading.current = value,
                "ratelimit-policy" => reading.policy = value,
                _ => reading.note(name, value),
            }
        }
        reading.conclude()
    }
}

/// What was found so far.
#[derive(Default)]
struct Reading<'a> {
    is_told_when: bool,
    date: &'a [u8],
    current: &'a [u8],
    policy: &'a [u8],
    /// Fields for one number each, by what stands around that number's name.
    families: Vec<Family<'a>>,
}

/// The fields `..-limit..`, `..-remaining..` and `..-reset..` of one kind.
struct Family<'a> {
    prefix: &'a str,
    window: Option<Duration>,
    parts: [Option<&'a [u8]>; 3],
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
            let parts = [None; 3];
            self.families.push(Family {
                prefix,
                window,
                parts,
            });
        }
        if let Some(family) = self.families.get_mut(known) {
            family.parts[index] = Some(value);
        }
    }

    fn conclude(&self) -> LimitFields {
        if self.current.is_empty() && self.policy.is_empty() && self.families.is_empty() {
            return LimitFields::default();
        }
        let named: Vec<_> = members(self.policy).filter_map(policy).collect();
        let allotments = named.iter().map(|(_, allotment)| *allotment);
        let stated = self.families.iter().flat_map(Family::allotments);
        let listed = members(self.current).filter_map(|member| listed(member, &named));
        let entries = dictionary(self.current);
        let counted = self.families.iter().filter_map(|f| f.budget(self.date));
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

/// `limit=100, remaining=50, reset=30`.
fn dictionary(value: &[u8]) -> Option<Budget> {
    let entry = |wanted| {
        let mut entries = members(value).filter_map(|member| member.entry());
        let (_, value) = entries.find(|(key, _)| *key == wanted)?;
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
        let [limit, ..] = self.parts;
        members(limit.unwrap_or_default()).filter_map(|member| {
            let window = member.parameter("w").and_then(number);
            Some(Allotment {
                limit: member.number()?,
                window: window.map(Duration::from_secs).or(self.window)?,
            })
        })
    }

    fn budget(&self, date: &[u8]) -> Option<Budget> {
        let [limit, remaining, at] = self.parts;
        let first = |value| members(value).next().and_then(|member| member.number());
        Some(Budget {
            limit: limit.and_then(first),
            remaining: first(remaining?)?,
            reset: reset(std::str::from_utf8(at?).ok()?, date)?,
        })
    }
}

#[cfg(test)]
mod tests;
