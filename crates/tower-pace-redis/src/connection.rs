//! The connection to the server. This is the one module that names the crate `redis`.
//!
//! `redis` brings the protocol, and the order of replies on a connection that many callers share.
//! The sockets and the reconnecting are here: `redis`'s `ConnectionManager` stops for good if a
//! reconnect ends in an error of the server, as during the load of its data, and its TLS has other
//! roots than the rest of this workspace.

use std::fmt;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pacing::shared::Reply;
use rand::RngExt;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, Script,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::bounded::Bounded;
use crate::clock;
use crate::error::{Cause, ConnectError, StoreError};
use crate::random::seeded_by_system;
use crate::script::{self, Failure, Value};

/// A reply that takes longer is an error. The callers give up after 250 ms: with less, a short
/// stall of the server is an error; with more, they drop the call before it can say why it failed.
const REPLY_TIMEOUT: Duration = Duration::from_millis(240);

/// An attempt to connect ends after this time. Without it, an attempt on a path that loses packets
/// lasts for minutes. A new attempt is faster than the second packet of an old one, after 1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The same for the first connection, which includes names that are resolved for the first time.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after a failed attempt, before jitter. Calls fail at once meanwhile. With a longer
/// one, a store that is back would be away for longer; with a shorter one, all processes would
/// connect to a store that fails many times a second.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(25);
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// A connection without a reply is replaced after this time. With less, each stall of a server
/// would make all processes connect at once; with more, a server that moved is away for longer.
const SILENCE: Duration = Duration::from_millis(500);

/// The bytes that may be read for a call, and again for each of its quotas. A reply has at most
/// 1,007 numbers, of 20 characters with their frame.
const BYTES_PER_QUOTA: u64 = 64 * 1024;
/// The most bytes that may be read without another call. It bounds the memory that a hostile server
/// can fill; below it, replies that many calls wait for at once count as one that is too long.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A connection that reconnects by itself. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Shared>);

struct Shared {
    target: Arc<Target>,
    script: Script,
    /// Each change is made under the lock of the channel, so one attempt is under way at a time.
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    /// Connected => Connecting: a call found the link broken, or silent.
    Connected(Arc<Link>),
    /// Connecting => (Connected | Failed): the attempt ended. It has this number, from 1, since the
    /// last success.
    Connecting(u32),
    /// Failed => Connecting: a call came after `until`. Calls before it fail with the same cause.
    Failed {
        attempts: u32,
        cause: Cause,
        until: Instant,
    },
}

/// Where to connect, and as which user.
struct Target {
    address: Address,
    name: Arc<str>,
    username: Option<String>,
    password: Option<String>,
    database: i64,
}

enum Address {
    Tcp(String, u16),
    #[cfg(feature = "tls")]
    Tls(String, u16, Box<crate::tls::Connector>),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// One connection to the server.
struct Link {
    connection: MultiplexedConnection,
    /// The task that writes the calls and reads the replies.
    driver: AbortHandle,
    /// Whether a call has failed on it. It is set before the state is read, so that the call that
    /// set it, or a later one, replaces the link.
    is_broken: AtomicBool,
    /// The bytes that may still be read.
    unread: Arc<AtomicU64>,
    unanswered: Mutex<Unanswered>,
}

/// The latest calls that had no reply, because they timed out or were dropped.
#[derive(Clone, Copy, Debug, Default)]
struct Unanswered {
    count: u32,
    /// When the first of them was sent.
    since: Option<Instant>,
}

impl Connection {
    /// Connects to the server of this URL.
    pub(crate) async fn open(url: &str) -> Result<Self, ConnectError> {
        let target = Arc::new(Target::from_url(url)?);
        let shared = Arc::new(Shared {
            target: Arc::clone(&target),
            script: Script::new(script::SCRIPT),
            state: watch::Sender::new(State::Connecting(1)),
        });
        match connect(&target, FIRST_TIMEOUT).await {
            Ok(link) => {
                shared.state.send_replace(State::Connected(Arc::new(link)));
                Ok(Self(shared))
            }
            Err(cause) => Err(StoreError::new(Arc::clone(&target.name), None, cause).into()),
        }
    }

    /// Returns host and port, or the path of a socket.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.0.target.name
    }

    /// Runs the script for `quotas` quotas, and loads it if the server does not have it.
    ///
    /// The future may be dropped at any time. The reply is then read and dropped by the task of the
    /// link, so that the next call gets its own.
    pub(crate) async fn run_script(
        &self,
        quotas: usize,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<Result<Reply, Failure>>, Cause> {
        let command = |name: &str, script: &str| {
            let mut command = Cmd::new();
            command.arg(name).arg(script).arg(keys.len());
            command.arg(keys).arg(arguments);
            command
        };
        let link = self.link().await?;
        let command_by_hash = command("EVALSHA", self.0.script.get_hash());
        match self.send(&link, &command_by_hash, quotas).await {
            // The server was restarted, or an operator has flushed its scripts.
            Err(Cause::Server { code, .. }) if code == "NOSCRIPT" => {
                let command = command("EVAL", script::SCRIPT);
                self.send(&link, &command, quotas).await
            }
            reply => reply,
        }
    }

    /// Returns the link. Starts an attempt if there is none, and waits for one that is under way.
    async fn link(&self) -> Result<Arc<Link>, Cause> {
        let mut states = self.0.state.subscribe();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                State::Connected(link) if link.is_usable() => return Ok(link),
                State::Failed { cause, until, .. } if clock::now() < until => return Err(cause),
                State::Connected(_) | State::Failed { .. } => self.0.reconnect(),
                State::Connecting(_) => {
                    let changed = states.changed().await;
                    changed.expect("this connection has the sender");
                }
            }
        }
    }

    async fn send(
        &self,
        link: &Link,
        command: &Cmd,
        quotas: usize,
    ) -> Result<Vec<Result<Reply, Failure>>, Cause> {
        let pending = Pending::new(link);
        link.allow(quotas);
        let reply = timeout(REPLY_TIMEOUT, link.call(command)).await;
        let Ok(reply) = reply else {
            return Err(Cause::TimedOut(REPLY_TIMEOUT));
        };
        pending.end();
        let replies = reply.and_then(|reply| Ok(script::replies_from(reply, quotas)?));
        let is_broken = match &replies {
            // A primary that has become a replica keeps its connections. Its name may belong to
            // another server by now.
            Ok(replies) => replies.iter().any(is_read_only),
            // The order of the replies is not certain.
            Err(Cause::Unreachable(_) | Cause::Invalid(_)) => true,
            Err(_) => false,
        };
        if is_broken {
            link.is_broken.store(true, Ordering::Release);
            self.0.reconnect();
        }
        replies
    }
}

fn is_read_only(reply: &Result<Reply, Failure>) -> bool {
    matches!(reply, Err(Failure::Server { code, .. }) if code == "READONLY")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(self.address()).finish()
    }
}

impl Shared {
    /// Starts an attempt to connect, unless there is a usable link, an attempt, or a backoff.
    fn reconnect(self: &Arc<Self>) {
        let mut number = None;
        self.state.send_if_modified(|state| {
            number = match state {
                State::Connected(link) if !link.is_usable() => Some(1),
                State::Failed {
                    attempts, until, ..
                } if *until <= clock::now() => Some(attempts.saturating_add(1)),
                _ => None,
            };
            if let Some(number) = number {
                *state = State::Connecting(number);
            }
            number.is_some()
        });
        if number.is_some() {
            // The attempt outlives the call that starts it: calls are dropped after 250 ms.
            tokio::spawn(Attempt(Arc::downgrade(self)).run(Arc::clone(&self.target)));
        }
    }

    /// Connecting => (Connected | Failed)
    fn end_attempt(&self, result: Result<Link, Cause>) {
        self.state.send_if_modified(|state| {
            let State::Connecting(attempts) = *state else {
                return false;
            };
            *state = match result {
                Ok(link) => State::Connected(Arc::new(link)),
                Err(cause) => State::Failed {
                    attempts,
                    cause,
                    until: clock::now() + backoff(attempts),
                },
            };
            true
        });
    }
}

/// An attempt to connect. It ends as failed if it is dropped, as with its runtime: calls would
/// otherwise wait for it forever.
struct Attempt(Weak<Shared>);

impl Attempt {
    async fn run(mut self, target: Arc<Target>) {
        let result = connect(&target, CONNECT_TIMEOUT).await;
        self.end(result);
    }

    /// Ends the attempt once.
    fn end(&mut self, result: Result<Link, Cause>) {
        // It is gone if all clones of the connection are dropped.
        if let Some(shared) = mem::take(&mut self.0).upgrade() {
            shared.end_attempt(result);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let text = "the attempt to connect was dropped";
        self.end(Err(Cause::Unreachable(text.into())));
    }
}

/// Returns the pause after this number of failed attempts, with jitter.
fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(8);
    let longest = (SHORTEST_BACKOFF * (1 << doublings)).min(LONGEST_BACKOFF);
    longest.mul_f64(seeded_by_system().random_range(0.5..1.0))
}

/// Makes one connection: socket, TLS, user and database.
async fn connect(target: &Target, bound: Duration) -> Result<Link, Cause> {
    let link = async {
        match &target.address {
            Address::Tcp(host, port) => Link::new(tcp(host, *port).await?, target).await,
            #[cfg(feature = "tls")]
            Address::Tls(host, port, connector) => {
                let stream = tcp(host, *port).await?;
                Link::new(connector.connect(stream).await?, target).await
            }
            #[cfg(unix)]
            Address::Unix(path) => Link::new(UnixStream::connect(path).await?, target).await,
        }
    };
    timeout(bound, link)
        .await
        .unwrap_or(Err(Cause::TimedOut(bound)))
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // A call is one small packet, which must not wait for the one before it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Link {
    async fn new<S>(stream: S, target: &Target) -> Result<Self, Cause>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unread = Arc::new(AtomicU64::new(0));
        let stream = Bounded {
            stream,
            unread: Arc::clone(&unread),
        };
        // `redis` would send the password and the database as well. It drops the server's error.
        let settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        // The calls have a timeout of their own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&settings, stream, config)
                .await
                .map_err(|error| cause_from(&error))?;
        let link = Self {
            connection,
            driver: tokio::spawn(driver).abort_handle(),
            is_broken: AtomicBool::new(false),
            unread,
            unanswered: Mutex::default(),
        };
        link.authenticate(target).await?;
        if target.database != 0 {
            link.allow(0);
            let mut command = Cmd::new();
            command.arg("SELECT").arg(target.database);
            link.call(&command).await?;
        }
        Ok(link)
    }

    async fn authenticate(&self, target: &Target) -> Result<(), Cause> {
        let Some(password) = &target.password else {
            return Ok(());
        };
        let mut command = Cmd::new();
        command.arg("AUTH").arg(&target.username).arg(password);
        self.allow(0);
        match self.call(&command).await {
            Ok(_) => Ok(()),
            Err(Cause::Server { code, text }) => {
                Err(match text.contains("max number of clients") {
                    true => Cause::Server {
                        code,
                        text: "max number of clients reached".into(),
                    },
                    // The text of an unknown command repeats its arguments.
                    false => Cause::Authentication(code),
                })
            }
            Err(cause) => Err(cause),
        }
    }

    async fn call(&self, command: &Cmd) -> Result<Value, Cause> {
        let mut connection = self.connection.clone();
        match connection.send_packed_command(command).await {
            Ok(redis::Value::ServerError(error)) => {
                let text = error.details().unwrap_or_default();
                Err(server_cause(error.code(), text))
            }
            Ok(value) => Ok(value_from(value)),
            Err(_) if self.unread.load(Ordering::Relaxed) == 0 => {
                Err(Cause::Invalid("it is too long"))
            }
            Err(error) => Err(cause_from(&error)),
        }
    }

    /// Allows the driver to read the reply to a call for this number of quotas.
    fn allow(&self, quotas: usize) {
        let quotas = u64::try_from(quotas).unwrap_or(u64::MAX);
        let bytes = BYTES_PER_QUOTA.saturating_mul(quotas.saturating_add(1));
        let more = |unread: u64| Some(unread.saturating_add(bytes).min(MOST_BYTES.max(bytes)));
        // The channel of the call that follows orders it before the driver's read.
        let _ = self
            .unread
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Returns whether the link is neither broken nor silent.
    fn is_usable(&self) -> bool {
        let is_whole = !self.is_broken.load(Ordering::Acquire) && !self.driver.is_finished();
        is_whole && !self.unanswered().is_silent(clock::now())
    }

    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        // A number and a time are whole after a panic.
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Unanswered {
    /// Returns whether the link is silent. One call may be dropped for reasons of its caller, so it
    /// takes two.
    fn is_silent(&self, now: Instant) -> bool {
        let is_long = self.since.is_some_and(|since| now >= since + SILENCE);
        self.count > 1 && is_long
    }
}

/// A call that has no reply yet.
struct Pending<'a> {
    link: &'a Link,
    sent: Instant,
    is_ended: bool,
}

impl<'a> Pending<'a> {
    fn new(link: &'a Link) -> Self {
        Self {
            link,
            sent: clock::now(),
            is_ended: false,
        }
    }

    fn end(mut self) {
        self.is_ended = true;
        *self.link.unanswered() = Unanswered::default();
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_ended {
            let mut unanswered = self.link.unanswered();
            unanswered.count = unanswered.count.saturating_add(1);
            unanswered.since.get_or_insert(self.sent);
        }
    }
}

impl Target {
    fn from_url(text: &str) -> Result<Self, ConnectError> {
        let invalid = || {
            ConnectError::argument(
                "the URL of the store is invalid; give it as \
                 `redis://user:password@host:port/database`, with `rediss` for TLS",
            )
        };
        let mut url = redis::parse_redis_url(text).ok_or_else(invalid)?;
        let is_tls = matches!(url.scheme(), "rediss" | "valkeys");
        if is_tls {
            // `redis` is built without its own TLS, and rejects these schemes.
            url.set_scheme("redis").map_err(|()| invalid())?;
        }
        // What follows `#` would turn the check of certificates off in `redis`.
        if url.fragment().is_some() {
            return Err(invalid());
        }
        let info = url.into_connection_info().map_err(|_| invalid())?;
        let name = match info.addr() {
            ConnectionAddr::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            other => other.to_string(),
        };
        let address = match info.addr().clone() {
            ConnectionAddr::Tcp(host, port) if is_tls => tls_address(host, port)?,
            ConnectionAddr::Tcp(host, port) => Address::Tcp(host, port),
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Address::Unix(path),
            _ => return Err(invalid()),
        };
        let settings = info.redis_settings();
        Ok(Self {
            address,
            name: name.into(),
            username: settings.username().map(Into::into),
            password: settings.password().map(Into::into),
            database: settings.db(),
        })
    }
}

#[cfg(feature = "tls")]
fn tls_address(host: String, port: u16) -> Result<Address, ConnectError> {
    let connector = crate::tls::Connector::new(&host)?;
    Ok(Address::Tls(host, port, Box::new(connector)))
}

#[cfg(not(feature = "tls"))]
fn tls_address(_: String, _: u16) -> Result<Address, ConnectError> {
    Err(ConnectError::argument(
        "the URL of the store asks for TLS; enable the feature `tls` of tower-pace-redis",
    ))
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

fn server_cause(code: &str, text: &str) -> Cause {
    script::failure_from(&format!("{code} {text}")).into()
}

fn cause_from(error: &RedisError) -> Cause {
    match error.code() {
        Some(code) => server_cause(code, error.detail().unwrap_or_default()),
        None if error.kind() == ErrorKind::Parse => Cause::Invalid("it breaks the protocol"),
        None if error.is_connection_dropped() => Cause::Unreachable("the connection broke".into()),
        None => Cause::Unreachable(error.to_string()),
    }
}

fn value_from(value: redis::Value) -> Value {
    match value {
        redis::Value::Int(number) => Value::Integer(number),
        redis::Value::SimpleString(text) => Value::Text(text),
        redis::Value::BulkString(bytes) => Value::Text(String::from_utf8_lossy(&bytes).into()),
        redis::Value::Array(values) => Value::List(values.into_iter().map(value_from).collect()),
        redis::Value::Nil => Value::Other("nothing"),
        _ => Value::Other("a value of another type"),
    }
}
