//! A `redis-server` of its own for each test, and a client that knows nothing but the protocol.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io, thread};

use tempfile::TempDir;

use crate::script::Value;

/// A server on a free port of 127.0.0.1, with its files in a folder of its own. It is killed on
/// drop.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    pub(crate) port: u16,
    options: Vec<String>,
}

impl Server {
    /// Starts a server without persistence. Returns none, and says so, if `redis-server` is not
    /// installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with more options of its command line.
    pub(crate) fn start_with(options: &[&str]) -> Option<Self> {
        if !is_installed() {
            return skip("redis-server is not installed");
        }
        let is_tls = options.contains(&"--tls-port");
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|&option| option.into()).collect();
        // Another program may get the port before the server.
        let started = (0..10).find_map(|_| {
            let port = free_port();
            let process = spawn(&folder, port, &options)?;
            Some((process, port))
        });
        let Some((process, port)) = started else {
            assert!(is_tls, "the server does not start");
            return skip("redis-server has no TLS");
        };
        Some(Self {
            process,
            folder,
            port,
            options,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(socket(&self.folder)).unwrap()
    }

    /// Sends a signal to the process, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}"))
            .arg(self.process.id().to_string());
        assert!(kill.status().unwrap().success());
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same port, after [`kill`](Self::kill).
    pub(crate) fn restart(&mut self) {
        let process = spawn(&self.folder, self.port, &self.options);
        self.process = process.expect("the port is still free");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says why a test does not run. Fails where it has to run.
#[track_caller]
fn skip(why: &str) -> Option<Server> {
    let is_required = env::var_os("CI_REQUIRES_REDIS").is_some_and(|value| value == "1");
    assert!(!is_required, "{why}");
    println!("skipped: {why}");
    None
}

/// The program of the server, which another one of the same command line may replace, such as
/// `valkey-server`.
fn program() -> OsString {
    env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

fn is_installed() -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).any(|path| path.join(program()).exists())
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("socket")
}

/// Returns a port that is free at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server and waits until it answers. Returns none if it ends.
fn spawn(folder: &TempDir, port: u16, options: &[String]) -> Option<Child> {
    let _ = fs::remove_file(socket(folder));
    let log = File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(program());
    command.arg("--dir").arg(folder.path());
    command.arg("--unixsocket").arg(socket(folder));
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no"]);
    command.args(options);
    command.stdin(Stdio::null()).stdout(log);
    let mut process = command.spawn().unwrap();
    for _ in 0..1_000 {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        let is_ready = Client::connect(socket(folder)).is_ok_and(|mut client| {
            let reply = client.try_call(&["PING"]);
            matches!(reply, Ok(Value::Text(text)) if !text.starts_with("LOADING"))
        });
        if is_ready {
            return Some(process);
        }
        pause(Duration::from_millis(5));
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is another process, which has no paused time"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// A connection to the server, through its Unix socket.
#[derive(Debug)]
pub(crate) struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(socket: PathBuf) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Makes a call. An error of the server is a text.
    #[track_caller]
    pub(crate) fn call<T: AsRef<OsStr>>(&mut self, command: &[T]) -> Value {
        self.try_call(command).unwrap()
    }

    fn try_call<T: AsRef<OsStr>>(&mut self, command: &[T]) -> io::Result<Value> {
        self.send(command)?;
        self.receive()
    }

    pub(crate) fn send<T: AsRef<OsStr>>(&mut self, command: &[T]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for word in command {
            let word = word.as_ref().as_encoded_bytes();
            write!(bytes, "${}\r\n", word.len())?;
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes)
    }

    pub(crate) fn receive(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().unwrap();
        Ok(match kind {
            "+" | "-" => Value::Text(rest.into()),
            ":" => Value::Integer(number()),
            "$" if number() < 0 => Value::Other("nil"),
            "$" => {
                let mut bytes = vec![0; usize::try_from(number()).unwrap() + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Value::Text(String::from_utf8_lossy(&bytes).into())
            }
            "*" => {
                let values = (0..number()).map(|_| self.receive());
                Value::List(values.collect::<io::Result<_>>()?)
            }
            _ => panic!("no reply: {line}"),
        })
    }
}
