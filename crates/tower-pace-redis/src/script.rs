//! The script, its keys and arguments, and its replies. Nothing here names a client or does I/O.

use std::fmt::Write;

use pacing::shared::{Call, Record, Reply};

/// `Record::apply` in Lua.
pub(crate) const SCRIPT: &str = include_str!("reserve.lua");

/// The number of keys of one quota.
const KEYS: usize = 4;

/// The most departure times in one reply. A call never asks for more, and the script holds up the
/// whole server while it runs.
const MOST_DEPARTURES: u32 = 1_000;

/// The numbers of a reply before its departure times.
const NUMBERS: usize = 7;

/// The starts of the errors of a script whose user may not run a command: those of Redis 7.0, and
/// those of Redis 7.2 and Valkey.
const FORBIDDEN: &[&str] = &[
    "The user executing the script can't",
    "ACL failure in script",
];

/// The most bytes of an error's text that are kept.
const LONGEST_TEXT: usize = 300;

/// A reply of the server, as far as the script's replies need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
    List(Vec<Self>),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

/// The error of one quota in the script's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server's error: its code, such as `WRONGTYPE`, and its text.
    Server { code: String, text: String },
    /// A reply that is none of the script.
    Invalid(&'static str),
}

/// Returns the start of all keys of a quota: its hash tag, for which a cluster keeps them in one
/// slot.
pub(crate) fn tag(prefix: &str, name: &str) -> String {
    format!("{{{prefix}:{name}}}")
}

/// Returns the keys of a quota, in the order of the script. The last one never expires.
pub(crate) fn keys(prefix: &str, name: &str) -> [String; KEYS] {
    let tag = tag(prefix, name);
    ["record", "running", "busy", "known"].map(|part| format!("{tag}:{part}"))
}

/// Appends the arguments of a call, in the order of `read_call` in the script.
pub(crate) fn push_arguments(call: &Call, arguments: &mut Vec<String>) {
    let flag = |flag| i64::from(flag);
    let quota = &call.quota;
    arguments.push(call.process.to_string());
    let mut push = |number: i64| arguments.push(number.to_string());
    push(call.count.min(MOST_DEPARTURES).into());
    push(call.cost.into());
    push(call.latest);
    push(flag(call.is_away));
    if let Some(throttled) = call.throttled {
        push(throttled.sent);
        push(throttled.retry_after);
    } else {
        arguments.extend([String::new(), String::new()]);
    }
    let mut push = |number: i64| arguments.push(number.to_string());
    push(call.accepted);
    push(Record::lifetime(call));
    push(quota.highest.into());
    push(quota.pause);
    push(quota.longest_pause);
    push(quota.shortest_window);
    push(flag(quota.unused_at_start));
    push(i64::try_from(quota.limits.len()).unwrap_or(i64::MAX));
    for limit in &quota.limits {
        push(limit.interval);
        push(limit.slack);
        push(limit.memory);
        push(limit.window);
        push(flag(limit.by_request));
    }
}

/// Returns the replies of the script to `count` quotas.
pub(crate) fn replies_from(
    value: Value,
    count: usize,
) -> Result<Vec<Result<Reply, Failure>>, Failure> {
    match value {
        Value::List(values) if values.len() == count => {
            Ok(values.into_iter().map(reply_from).collect())
        }
        Value::List(_) => Err(Failure::Invalid("a list of another length")),
        Value::Integer(_) => Err(Failure::Invalid("a number in place of a list")),
        Value::Text(_) => Err(Failure::Invalid("a text in place of a list")),
        Value::Other(_) => Err(Failure::Invalid("no list")),
    }
}

/// Returns the script's reply to one quota.
fn reply_from(value: Value) -> Result<Reply, Failure> {
    let values = match value {
        Value::List(values) => values,
        Value::Text(text) => return Err(failure_from(&text)),
        Value::Integer(_) | Value::Other(_) => {
            return Err(Failure::Invalid("an entry that is no list"));
        }
    };
    if values.len() > NUMBERS + MOST_DEPARTURES as usize {
        return Err(Failure::Invalid("an entry with too many numbers"));
    }
    let numbers = values.iter().map(|value| match value {
        Value::Integer(number) => Ok(*number),
        _ => Err(Failure::Invalid("an entry with more than numbers")),
    });
    let numbers: Vec<i64> = numbers.collect::<Result<_, _>>()?;
    let Some((fixed, departures)) = numbers.split_first_chunk::<NUMBERS>() else {
        return Err(Failure::Invalid("an entry with too few numbers"));
    };
    let &[now, wait, processes, open_from, highest, is_slower, start] = fixed;
    // The wait alone may be negative. A wrong one is found where the reply is used.
    let is_negative = |number: &i64| *number < 0;
    let others = [now, open_from, start];
    if others.iter().chain(departures).any(is_negative) {
        return Err(Failure::Invalid("a negative number"));
    }
    let small = |number| u32::try_from(number).map_err(|_| Failure::Invalid("a number too large"));
    Ok(Reply {
        now,
        departures: departures.to_vec(),
        wait,
        processes: small(processes)?,
        open_from,
        highest: small(highest)?,
        is_slower: is_slower != 0,
        start,
    })
}

/// Returns the failure that a text of the server states: its code, then what happened.
pub(crate) fn failure_from(text: &str) -> Failure {
    let text = text.trim_start_matches('-');
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_code = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    // An error of Lua itself has no code: it starts with the name of the script.
    let (code, text) = match !code.is_empty() && code.chars().all(is_code) {
        true => (code, rest),
        false => ("ERR", text),
    };
    // A command in a script has the code `NOPERM` in some versions only.
    let is_forbidden = FORBIDDEN.iter().any(|start| text.starts_with(start));
    let code = if is_forbidden { "NOPERM" } else { code };
    Failure::Server {
        code: printable(code),
        text: printable(text),
    }
}

/// Returns a text of the server for one line of a log: it is cut, and has no control characters.
fn printable(text: &str) -> String {
    let mut printable = String::new();
    for char in text.chars() {
        if printable.len() >= LONGEST_TEXT {
            printable.push_str(" ...");
            break;
        }
        match char.is_control() {
            true => write!(printable, "{}", char.escape_default()).expect("a String takes it"),
            false => printable.push(char),
        }
    }
    printable
}
