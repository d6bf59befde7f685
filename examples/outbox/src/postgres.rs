//! A PostgreSQL of its own, without a port and without a network.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// PostgreSQL refuses to run as root. Debian's packages make this user.
const USER: &str = "postgres";

/// A server that listens on a socket in a temporary folder. It is stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: TempDir,
    server: Child,
}

impl Postgres {
    /// Makes an empty database and starts the server, which needs some 100 ms until it listens.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or does not start.
    pub(crate) fn start() -> io::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        if is_root()? {
            run(Command::new("chown").arg(USER).arg(folder.path()))?;
        }
        let options = ["--auth=trust", "--no-sync", "--username=app", "--pgdata"];
        let mut make = as_user(&programs.join("initdb"), folder.path())?;
        run(make.args(options).arg(&data))?;
        // Without fsync a crash of the machine loses data, but none of a program.
        let options = ["-c", "listen_addresses=", "-c", "fsync=off", "-k"];
        let mut serve = as_user(&programs.join("postgres"), folder.path())?;
        let serve = serve.args(options).arg(folder.path()).arg("-D").arg(&data);
        let server = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { folder, server })
    }

    /// Returns the folder of the socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT ends the processes of the server too. After SIGKILL they would still write into
        // the folder, which is removed next.
        let server = self.server.id().to_string();
        let quit = Command::new("kill").args(["-QUIT", &server]).status();
        if quit.is_err() {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// Returns the folder of the programs: that of the newest version in Debian's place for them, or
/// of the one in the path.
fn programs() -> io::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.chain(std::env::split_paths(&in_path));
    folders
        .filter(|folder| folder.join("initdb").exists())
        .max()
        .ok_or_else(|| {
            let text = "PostgreSQL is not installed; on Debian: apt-get install postgresql";
            io::Error::new(io::ErrorKind::NotFound, text)
        })
}

fn as_user(program: &Path, folder: &Path) -> io::Result<Command> {
    let mut command = match is_root()? {
        true => {
            let mut command = Command::new("setpriv");
            let user = format!("--reuid={USER}");
            command
                .args([&user, "--clear-groups", "--pdeathsig=KILL", "--"])
                .arg(program);
            command
        }
        false => Command::new(program),
    };
    // The working directory of the caller may be closed to the user.
    command.current_dir(folder);
    Ok(command)
}

fn is_root() -> io::Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
    }
}
