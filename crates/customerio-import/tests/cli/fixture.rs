use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use customerio_sim::{Builder, Script, Server, Simulator, Step};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const SITE_ID: &str = "site-5173c0ffee";
pub(crate) const API_KEY: &str = "key-0ddba11feed";

/// A simulator on the loopback, and a folder for files.
pub(crate) struct Fixture {
    pub(crate) simulator: Simulator,
    pub(crate) folder: TempDir,
    server: Server,
    /// The last field, so that it is dropped after the server, which runs in it.
    _runtime: Runtime,
}

/// The result of a run of the binary.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Simulator::builder())
    }

    pub(crate) fn with(simulator: Builder) -> Self {
        let runtime = Runtime::new().unwrap();
        let _inside = runtime.enter();
        let simulator = simulator.build();
        let server = runtime
            .block_on(Server::bind("127.0.0.1:0", simulator.clone()))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        drop(_inside);
        Self {
            simulator,
            folder,
            server,
            _runtime: runtime,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Returns a command that sends to the simulator without asking, and writes the report to the
    /// folder.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.unconfirmed(line);
        if !line.contains("--yes") {
            command.arg("--yes");
        }
        command
    }

    /// Returns the command of [`Fixture::command`], which asks before it sends.
    pub(crate) fn unconfirmed(&self, line: &str) -> Command {
        let mut command = bare(line);
        command
            .args(["--base-url", &self.url(), "--report"])
            .arg(self.report_path());
        command
            .env("CUSTOMERIO_SITE_ID", SITE_ID)
            .env("CUSTOMERIO_TRACK_API_KEY", API_KEY);
        command
    }

    /// Runs `cio-import` with the arguments in `line`.
    pub(crate) fn run(&self, line: &str) -> Run {
        finish(self.command(line), b"")
    }

    /// Runs `cio-import` without a terminal that could answer its question.
    pub(crate) fn run_unconfirmed(&self, line: &str) -> Run {
        finish(self.unconfirmed(line), b"")
    }

    pub(crate) fn report(&self) -> Value {
        let report: Value =
            serde_json::from_slice(&std::fs::read(self.report_path()).unwrap()).unwrap();
        let count = |key: &str| report[key].as_u64().unwrap();
        let settled = ["accepted", "rejected", "unknown", "not_sent"].map(count);
        assert_eq!(settled.iter().sum::<u64>(), count("records"), "{report}");
        report
    }

    /// Compares `[records, accepted, rejected, unknown, not_sent]` with the report.
    #[track_caller]
    pub(crate) fn check_report(&self, expected: [u64; 5]) {
        let report = self.report();
        let found = ["records", "accepted", "rejected", "unknown", "not_sent"]
            .map(|key| report[key].as_u64().unwrap());
        assert_eq!(found, expected);
    }

    fn report_path(&self) -> PathBuf {
        self.folder.path().join("report.json")
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn check(&self, code: i32, message: &str) {
        assert!(
            self.code == code && self.stderr.contains(message),
            "{}: {}\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
    }
}

/// Returns a script of the requests with records: a run with a journal asks for the workspace
/// before them.
pub(crate) fn script<S: Into<Step>>(steps: impl IntoIterator<Item = S>) -> Script {
    Script::new(
        [Step::pass()]
            .into_iter()
            .chain(steps.into_iter().map(Into::into)),
    )
}

/// Returns the rows of a rejects file in CSV, by the names of their columns.
pub(crate) fn rejects(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// Returns a command without a destination and without credentials.
pub(crate) fn bare(line: &str) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_cio-import")), line)
}

/// Returns the command of [`bare`], with SIGHUP not ignored: under `nohup` the process would
/// inherit that from the tests.
#[cfg(target_os = "linux")]
pub(crate) fn with_hangups(line: &str) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_cio-import")]);
    prepared(command, line)
}

/// Returns the command of [`bare`]: only Linux shows a process that SIGHUP is ignored.
#[cfg(not(target_os = "linux"))]
pub(crate) fn with_hangups(line: &str) -> Command {
    bare(line)
}

fn prepared(mut command: Command, line: &str) -> Command {
    command
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for variable in [
        "CUSTOMERIO_SITE_ID",
        "CUSTOMERIO_TRACK_API_KEY",
        "CUSTOMERIO_APP_API_KEY",
        "CUSTOMERIO_REGION",
        "CUSTOMERIO_SHARED_LIMIT",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn finish(mut command: Command, input: &[u8]) -> Run {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // Fails if the command stops before it has read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    ended(child.wait_with_output().unwrap())
}

pub(crate) fn ended(output: Output) -> Run {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Sends signals to a process, one right after the other.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, signals: &[&str]) {
    let kill = |name: &&str| format!("kill -{name} {};", child.id());
    let kill: String = signals.iter().map(kill).collect();
    let killed = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(killed.success());
}

/// Returns the path of a file with real data.
pub(crate) fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/data")
        .join(name);
    path.to_str().unwrap().to_owned()
}
