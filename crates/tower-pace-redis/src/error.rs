use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::script::Failure;

/// The error of a call to the store: what happened, where, and what to do.
///
/// It names the server's host and port, and the quota. It never has the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    pub(crate) place: Place,
    pub(crate) cause: Cause,
}

/// The error of a store that could not be connected: what happened, where, and what to do.
///
/// It names the server's host and port. It never has the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError(pub(crate) Problem);

/// Why a store could not be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// An argument of `connect` is wrong: which one, and what to do.
    Argument(&'static str),
    Store(StoreError),
}

/// Where an error happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Host and port, or the path of a socket.
    pub(crate) address: Arc<str>,
    /// The part that the keys of the quota have in common, if the error is that of one quota.
    pub(crate) key: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no connection, or it broke.
    Unreachable(String),
    /// There was no reply within this time.
    TimedOut(Duration),
    /// The server did not take the user or the password. Its error has this code; its text may
    /// repeat the password.
    Authentication(String),
    /// The server's error.
    Server { code: String, text: String },
    /// The reply is none of the script: what it is.
    Invalid(&'static str),
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Server { code, .. } if code == "NOAUTH" || code == "WRONGPASS" => {
                Self::Authentication(code)
            }
            Failure::Server { code, text } => Self::Server { code, text },
            Failure::Invalid(what) => Self::Invalid(what),
        }
    }
}

impl Cause {
    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Server { code, .. } if codes.contains(&code.as_str()))
    }
}

/// The codes of the errors of a server that is for the moment not able to run the script: it loads
/// its data, runs another script, waits for its primary, or fails over.
const PASSING: &[&str] = &["LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN"];
/// The codes of the errors of a key that is none of this crate.
const WRONG_TYPE: &[&str] = &["WRONGTYPE", "WRONGFORMAT"];
/// The codes of the errors of a server that is a part of a cluster.
const CLUSTER: &[&str] = &["MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"];

impl StoreError {
    pub(crate) fn new(address: Arc<str>, key: Option<String>, cause: Cause) -> Self {
        let place = Place { address, key };
        Self { place, cause }
    }

    /// Returns whether there was no reply: no connection, a broken one, or none within the bound.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self.cause, Cause::Unreachable(_) | Cause::TimedOut(_))
    }

    /// Returns whether there was no reply, or no connection, within the bound.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::TimedOut(_))
    }

    /// Returns whether the server did not take the user or the password of the URL.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        matches!(self.cause, Cause::Authentication(_))
    }

    /// Returns whether the user may not run a command, or not use a key.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        self.cause.has_code(&["NOPERM"])
    }

    /// Returns whether the server is a read-only replica.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.cause.has_code(&["READONLY"])
    }

    /// Returns whether a key of the quota holds data of another program, or of another version of
    /// this crate.
    #[must_use]
    pub fn is_wrong_type(&self) -> bool {
        self.cause.has_code(WRONG_TYPE)
    }

    /// Returns whether the server has no memory for another key.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        self.cause.has_code(&["OOM"])
    }

    /// Returns whether the server says that it will soon be able to answer, as while it loads its
    /// data.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.cause.has_code(PASSING)
    }

    /// Returns whether the server is a part of a cluster, and not that with the keys of the quota.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.cause.has_code(CLUSTER)
    }

    /// Returns whether the reply is none of the script, as that of another kind of server.
    #[must_use]
    pub fn is_invalid_reply(&self) -> bool {
        matches!(self.cause, Cause::Invalid(_))
    }

    /// Returns what an operator does next.
    fn advice(&self) -> &'static str {
        match &self.cause {
            Cause::Unreachable(_) => "check that the server runs, and the host and port of the URL",
            Cause::TimedOut(_) => "check the server's load, its slow log and the network",
            Cause::Authentication(_) => "check the user and the password of the URL",
            Cause::Invalid(_) => "check that the server is Redis 7 or Valkey, without a proxy",
            _ if self.is_permission() => {
                "allow the user the commands and keys that the docs of tower-pace-redis list"
            }
            _ if self.is_read_only() => "give the URL of the primary",
            _ if self.is_wrong_type() => "delete the keys, or connect with another prefix",
            _ if self.is_out_of_memory() => "raise `maxmemory`, or use a server of its own",
            _ if self.is_busy() => "wait until the server has recovered",
            _ if self.is_cluster() => "give the URL of a server that has all keys",
            Cause::Server { .. } => "see the log of the server",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.place.address;
        write!(f, "the shared limit")?;
        if let Some(key) = &self.place.key {
            write!(f, " {key}")?;
        }
        match &self.cause {
            Cause::Unreachable(text) => write!(f, " has no connection to {address}: {text}")?,
            Cause::TimedOut(time) => write!(f, " has no reply from {address} within {time:?}")?,
            Cause::Authentication(code) => {
                write!(f, " is not authenticated at {address}: {code}")?;
            }
            Cause::Server { code, text } => write!(f, " failed at {address}: {code} {text}")?,
            Cause::Invalid(what) => write!(f, " has an invalid reply from {address}: {what}")?,
        }
        write!(f, "; {}", self.advice())
    }
}

impl Error for StoreError {}

impl ConnectError {
    pub(crate) fn argument(what: &'static str) -> Self {
        Self(Problem::Argument(what))
    }

    /// Returns whether the URL or the prefix is wrong, so that another attempt fails as well.
    #[must_use]
    pub fn is_invalid_argument(&self) -> bool {
        matches!(self.0, Problem::Argument(_))
    }

    /// Returns the error of the first calls, if the URL and the prefix are right.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.0 {
            Problem::Argument(_) => None,
            Problem::Store(error) => Some(error),
        }
    }
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self(Problem::Store(error))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::Argument(what) => f.write_str(what),
            Problem::Store(error) => error.fmt(f),
        }
    }
}

impl Error for ConnectError {}
