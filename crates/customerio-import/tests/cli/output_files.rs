use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(target_os = "linux")]
use customerio_sim::{Simulator, Step};

use crate::fixture::{Fixture, Run, ended, finish};
#[cfg(target_os = "linux")]
use crate::fixture::{bare, rejects, script};

const INPUT: &str = "id\n1\n.\n";
const FLAGS: [&str; 3] = ["--journal", "--report", "--rejects"];

/// Returns a command with `file` as one of its outputs. The other outputs do not exist yet.
fn with_output(fixture: &Fixture, input: &Path, flag: &str, file: &Path) -> Command {
    let mut command = fixture.command("people --id-column id");
    command.arg(input);
    let report = fixture.folder.path().join("report.json");
    if flag == "--report" {
        // The fixture's own report flag comes last.
        command = rebuilt(&command, &report, file);
    } else {
        command.arg(flag).arg(file);
    }
    command
}

fn rebuilt(command: &Command, from: &Path, to: &Path) -> Command {
    let mut new = Command::new(command.get_program());
    for arg in command.get_args() {
        new.arg(if arg == from { to.as_os_str() } else { arg });
    }
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => new.env(key, value),
            None => new.env_remove(key),
        };
    }
    new.stdout(Stdio::piped()).stderr(Stdio::piped());
    new
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A kind of file, how to create it at a path, and the message about it.
type Case = (&'static str, fn(&Path, &Path), &'static str);

const REFUSED: [Case; 9] = [
    (
        "a FIFO",
        |place, _| {
            let made = Command::new("mkfifo").arg(place).status().unwrap();
            assert!(made.success());
        },
        "is a FIFO; name a regular file with ",
    ),
    (
        "a directory",
        |place, _| fs::create_dir(place).unwrap(),
        "is a directory; name a regular file with ",
    ),
    (
        "a socket",
        |place, _| drop(UnixListener::bind(place).unwrap()),
        "is a socket; name a regular file with ",
    ),
    (
        "a link to a file",
        |place, _| {
            let target = place.with_extension("target");
            fs::write(&target, "kept").unwrap();
            symlink(target, place).unwrap();
        },
        "is a symbolic link; name the file itself with ",
    ),
    (
        "a link to nothing",
        |place, _| symlink(place.with_extension("nothing"), place).unwrap(),
        "is a symbolic link; name the file itself with ",
    ),
    (
        "a link to a device",
        |place, _| symlink("/dev/null", place).unwrap(),
        "is a symbolic link; name the file itself with ",
    ),
    (
        "a link to the input",
        |place, input| symlink(input, place).unwrap(),
        "is a symbolic link; name the file itself with ",
    ),
    (
        "the input by another name",
        |place, input| fs::hard_link(input, place).unwrap(),
        "is both the input and the ",
    ),
    (
        "a file in a directory that does not exist",
        |place, _| assert!(fs::remove_dir(place.parent().unwrap()).is_ok()),
        "its directory does not exist; create it, or name another file with ",
    ),
];

/// On Linux any bytes are a file name.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_used_and_printed_escaped() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let fixture = Fixture::with(Simulator::builder().script(script([Step::pass(), 401.into()])));
    let path = |name: &[u8]| fixture.folder.path().join(OsStr::from_bytes(name));
    let rows: String = (1..=10).map(|n| format!("u{n}\n..\n")).collect();
    fs::write(path(b"a\xff.csv"), format!("id\n{rows}")).unwrap();
    let run = || {
        let line = "people --id-column id --batch-items 5 --concurrency 1";
        let mut command = fixture.command(line);
        command.arg(path(b"a\xff.csv"));
        command.arg("--rejects").arg(path(b"bad\xfe"));
        finish(command, b"")
    };
    run().check(4, "a\\xff.csv:");
    assert!(path(b"a\xff.csv.cio-journal").exists());
    run().check(3, "");
    fixture.check_report([20, 10, 10, 0, 0]);
    assert_eq!(rejects(&path(b"bad\xfe")).len(), 10);
    let mut status = bare("status");
    status.arg(path(b"a\xff.csv"));
    let status = finish(status, b"");
    status.check(3, "");
    assert!(
        status.stdout.contains("a\\xff.csv.cio-journal: finished"),
        "{}",
        status.stdout
    );
}

#[test]
fn an_output_must_be_a_regular_file_with_one_role() {
    for flag in FLAGS {
        for (what, put, message) in REFUSED {
            let fixture = Fixture::new();
            let input = fixture.file("a.csv", INPUT);
            let folder = fixture.folder.path().join("out");
            fs::create_dir(&folder).unwrap();
            let place = folder.join("file");
            put(&place, &input);
            let kind = fs::symlink_metadata(&place)
                .ok()
                .map(|meta| meta.file_type());
            let run = finish(with_output(&fixture, &input, flag, &place), b"");
            assert!(
                run.code == 1 && run.stderr.contains(message),
                "{flag}, {what}: {}: {}",
                run.code,
                run.stderr
            );
            assert_eq!(fs::read_to_string(&input).unwrap(), INPUT, "{flag}, {what}");
            let left = fs::symlink_metadata(&place)
                .ok()
                .map(|meta| meta.file_type());
            assert_eq!(left, kind, "{flag}, {what}");
            let target = place.with_extension("target");
            assert!(
                !target.exists() || fs::read(target).unwrap() == b"kept",
                "{flag}, {what}"
            );
            assert!(
                !place.with_extension("nothing").exists(),
                "{flag}, {what}: the program followed a link"
            );
            assert_eq!(fixture.simulator.totals().requests, 0, "{flag}, {what}");
        }
        let fixture = Fixture::new();
        let input = fixture.file("a.csv", INPUT);
        finish(
            with_output(&fixture, &input, flag, Path::new("/dev/null")),
            b"",
        )
        .check(1, "/dev/null: is a device; name a regular file with ");
    }
}

#[test]
fn two_outputs_cannot_be_one_file() {
    for (one, other) in [
        ("--journal", "--rejects"),
        ("--rejects", "--report"),
        ("--journal", "--report"),
    ] {
        for is_linked in [true, false] {
            let fixture = Fixture::new();
            let input = fixture.file("a.csv", INPUT);
            let (first, mut second) = (
                fixture.folder.path().join("first"),
                fixture.folder.path().join("second"),
            );
            if is_linked {
                fs::write(&first, "").unwrap();
                fs::hard_link(&first, &second).unwrap();
            } else {
                second = fixture.folder.path().join("./first");
            }
            let mut command = with_output(&fixture, &input, other, &second);
            command.arg(one).arg(&first);
            let run = finish(command, b"");
            let (one, other) = (&one[2..], &other[2..]);
            assert!(
                run.code == 1 && run.stderr.contains("is both the "),
                "{one}, {other}: {}: {}",
                run.code,
                run.stderr
            );
            assert_eq!(fixture.simulator.totals().requests, 0);
        }
    }
}

#[test]
fn the_file_behind_a_standard_stream_cannot_be_an_output() {
    let fixture = Fixture::new();
    let input = fixture.file("a.csv", INPUT);
    let report = fixture.folder.path().join("report.json");

    let mut command = fixture.command("people - --format csv --id-column id");
    command.arg("--rejects").arg(&input);
    command.stdin(File::open(&input).unwrap());
    run(command).check(1, "is both the input and the rejects file");
    assert_eq!(fs::read_to_string(&input).unwrap(), INPUT);

    let mut command = fixture.command("people --id-column id");
    command
        .arg(&input)
        .stdout(File::create(&report).unwrap())
        .stdin(Stdio::null());
    run(command).check(1, "is both the standard output and the report");
    assert_eq!(fixture.simulator.totals().requests, 0);
}

fn run(mut command: Command) -> Run {
    ended(command.output().unwrap())
}

#[test]
fn an_existing_output_becomes_private() {
    for flag in FLAGS {
        let fixture = Fixture::new();
        let input = fixture.file("a.csv", INPUT);
        let place = fixture.file("old", "");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
        finish(with_output(&fixture, &input, flag, &place), b"").check(3, "");
        assert_eq!(mode(&place), 0o600, "{flag}");
        assert!(fs::metadata(&place).unwrap().len() > 0, "{flag}");
        assert_ne!(mode(&input), 0o600, "the input is left as it is");
    }
}

#[test]
fn a_refused_output_keeps_its_mode() {
    for flag in FLAGS {
        let fixture = Fixture::new();
        let input = fixture.file("a.csv", INPUT);
        fs::set_permissions(&input, fs::Permissions::from_mode(0o644)).unwrap();
        let place = fixture.folder.path().join("link");
        fs::hard_link(&input, &place).unwrap();
        finish(with_output(&fixture, &input, flag, &place), b"").check(1, "is both");
        assert_eq!(mode(&input), 0o644, "{flag}");
    }
}

/// Only the superuser can change the owner of a file. For any other user the file stays their own,
/// and is accepted.
#[test]
fn an_output_of_another_user_is_refused() {
    for flag in FLAGS {
        let fixture = Fixture::new();
        let input = fixture.file("a.csv", INPUT);
        let place = fixture.file("old", "");
        let has_other_owner = chown(&place, Some(54_321), None).is_ok();
        let owner = fs::metadata(&place).unwrap().uid();
        assert_eq!(has_other_owner, owner == 54_321);
        let run = finish(with_output(&fixture, &input, flag, &place), b"");
        if has_other_owner {
            let message =
                format!("old: belongs to another user; name a file of your own with {flag}");
            run.check(1, &message);
            assert_eq!(fixture.simulator.totals().requests, 0);
        } else {
            run.check(3, "");
        }
    }
}

#[test]
fn a_journal_belongs_to_one_kind_of_records() {
    let fixture = Fixture::new();
    let input = fixture.file("a.csv", "id,name\n1,bought\n");
    let line = format!("people {} --id-column id", input.display());
    fixture.run(&line).check(0, "");
    let events = "--person-column id --name-column name --now --yes";
    fixture
        .run(&format!("events {} {events}", input.display()))
        .check(
            1,
            "a.csv.cio-journal: this journal belongs to another run: the kind of records differs; name another file with --journal",
        );
}

#[test]
fn names_of_files_are_escaped() {
    let fixture = Fixture::new();
    let odd = "a\u{1b}[31m\n\u{202e}it's.csv";
    let shown = r"a\u{1b}[31m\n\u{202e}it's.csv";
    let input = fixture.file(odd, INPUT);
    let mut command = fixture.command("people --id-column id");
    command.arg(&input);
    let run = finish(command, b"");
    run.check(3, &format!("{shown}:3: "));
    assert!(run.stdout.contains(&format!("{shown}: 2 records")));
    let is_clean = |text: &str| !text.contains(['\u{1b}', '\u{202e}']);
    assert!(is_clean(&run.stdout) && is_clean(&run.stderr));

    for flag in FLAGS {
        let folder = fixture.folder.path().join("no\u{7}where");
        let run = finish(with_output(&fixture, &input, flag, &folder.join("x")), b"");
        run.check(1, r"no\u{7}where/x: its directory does not exist");
    }
    let mut command = fixture.command("people a.csv --id-column id");
    command.arg("b\u{202e}.csv");
    finish(command, b"").check(2, r"unexpected argument 'b\u{202e}.csv' found");
    let missing = PathBuf::from("x\u{1b}.csv");
    let mut command = fixture.command("people --id-column id");
    command.arg(&missing);
    finish(command, b"").check(
        1,
        r"x\u{1b}.csv: cannot be opened; check the path and its permissions",
    );
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_run_before_the_first_request() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", INPUT);
    let command = fixture.command(&format!("people {} --id-column id", file.display()));
    let run = with_room(&command, 0);
    run.check(
        1,
        "a.csv.cio-journal: the journal cannot be written; free some disk space",
    );
    let journal = fixture.folder.path().join("a.csv.cio-journal");
    assert!(!journal.exists(), "the unfinished journal is removed");
    assert_eq!(fixture.simulator.totals().accepted, 0);
}

#[test]
fn each_output_that_cannot_be_written_is_reported() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", INPUT);
    let rejects = fixture.folder.path().join("rejects");
    let line = format!("people {} --id-column id --no-journal", file.display());
    let command = fixture.command(&format!("{line} --rejects {}", rejects.display()));
    let run = with_room(&command, 0);
    run.check(5, "cio-import: the rejects file cannot be written");
    run.check(5, "cio-import: the report cannot be written");
    assert!(run.stdout.contains("1 accepted, 1 rejected"));
}

/// Runs a command whose files may have only this many blocks (of 512 bytes, by POSIX), as on a full
/// disk.
fn with_room(command: &Command, blocks: u8) -> Run {
    let mut limited = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    limited.args(["-c", &script, "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(key, value);
        }
    }
    run(limited)
}

#[test]
fn rejects_that_cannot_be_written_do_not_hide_the_counts() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", format!("id\n1\n{}", ".\n".repeat(20)));
    let line = format!("people {} --id-column id", file.display());
    let rejects = fixture.folder.path().join("rejects");
    let command = fixture.command(&format!("{line} --rejects {}", rejects.display()));
    // Enough for the journal, and too little for the rejects.
    let run = with_room(&command, 2);
    run.check(
        5,
        "the rejects file cannot be written; free some disk space",
    );
    assert!(
        run.stdout.contains("1 accepted, 20 rejected"),
        "{}",
        run.stdout
    );
    fixture.check_report([21, 1, 20, 0, 0]);
    fixture.run(&line).check(3, "");
    assert_eq!(
        fixture.simulator.totals().accepted,
        2,
        "the first run has settled nothing"
    );
}

#[test]
fn a_closed_standard_output_changes_nothing() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", INPUT);
    let line = format!("people {} --id-column id", file.display());
    let mut child = fixture.command(&line).spawn().unwrap();
    drop(child.stdout.take());
    let run = ended(child.wait_with_output().unwrap());
    run.check(3, "a.csv:3: ");
    fixture.check_report([2, 1, 1, 0, 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_sent_if_the_plan_cannot_be_printed() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", INPUT);
    let line = format!("people {} --id-column id", file.display());
    let mut command = fixture.command(&line);
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.stdout(full);
    run(command).check(
        1,
        "cio-import: cannot write to the standard output; nothing was sent: No space left",
    );
    assert_eq!(fixture.simulator.totals().requests, 0);
}
