use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Run, World, ended, finish};

const INPUT: &str = "id\n1\n.\n";
const FLAGS: [&str; 3] = ["--journal", "--report", "--rejects"];

/// Returns the command with a file in the place of one of its outputs, and the others where they do
/// not exist yet.
fn with_output(world: &World, input: &Path, flag: &str, file: &Path) -> Command {
    let mut command = world.command("people --id-column id");
    command.arg(input);
    let report = world.folder.path().join("report.json");
    if flag == "--report" {
        // The world's own report comes last.
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

/// Puts something in a place, and says what the program makes of it.
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
        "a place in no directory",
        |place, _| assert!(fs::remove_dir(place.parent().unwrap()).is_ok()),
        "its directory does not exist; make it, or name another file with ",
    ),
];

#[test]
fn an_output_is_a_regular_file_of_its_own() {
    for flag in FLAGS {
        for (what, put, said) in REFUSED {
            let world = World::new();
            let input = world.file("a.csv", INPUT);
            let folder = world.folder.path().join("out");
            fs::create_dir(&folder).unwrap();
            let place = folder.join("file");
            put(&place, &input);
            let kind = fs::symlink_metadata(&place)
                .ok()
                .map(|meta| meta.file_type());
            let run = finish(with_output(&world, &input, flag, &place), b"");
            assert!(
                run.code == 1 && run.stderr.contains(said),
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
            assert_eq!(world.simulator.totals().requests, 0, "{flag}, {what}");
        }
        let world = World::new();
        let input = world.file("a.csv", INPUT);
        finish(
            with_output(&world, &input, flag, Path::new("/dev/null")),
            b"",
        )
        .check(1, "/dev/null: is a device; name a regular file with ");
    }
}

#[test]
fn two_outputs_are_two_files() {
    for (one, other) in [
        ("--journal", "--rejects"),
        ("--rejects", "--report"),
        ("--journal", "--report"),
    ] {
        for is_linked in [true, false] {
            let world = World::new();
            let input = world.file("a.csv", INPUT);
            let (first, mut second) = (
                world.folder.path().join("first"),
                world.folder.path().join("second"),
            );
            if is_linked {
                fs::write(&first, "").unwrap();
                fs::hard_link(&first, &second).unwrap();
            } else {
                second = world.folder.path().join("./first");
            }
            let mut command = with_output(&world, &input, other, &second);
            command.arg(one).arg(&first);
            let run = finish(command, b"");
            let (one, other) = (&one[2..], &other[2..]);
            assert!(
                run.code == 1 && run.stderr.contains("is both the "),
                "{one}, {other}: {}: {}",
                run.code,
                run.stderr
            );
            assert_eq!(world.simulator.totals().requests, 0);
        }
    }
}

#[test]
fn a_standard_stream_is_no_output_too() {
    let world = World::new();
    let input = world.file("a.csv", INPUT);
    let report = world.folder.path().join("report.json");

    let mut command = world.command("people - --format csv --id-column id");
    command.arg("--rejects").arg(&input);
    command.stdin(File::open(&input).unwrap());
    run(command).check(1, "is both the input and the rejects file");
    assert_eq!(fs::read_to_string(&input).unwrap(), INPUT);

    let mut command = world.command("people --id-column id");
    command
        .arg(&input)
        .stdout(File::create(&report).unwrap())
        .stdin(Stdio::null());
    run(command).check(1, "is both the standard output and the report");
    assert_eq!(world.simulator.totals().requests, 0);
}

fn run(mut command: Command) -> Run {
    ended(command.output().unwrap())
}

#[test]
fn an_output_that_exists_becomes_private() {
    for flag in FLAGS {
        let world = World::new();
        let input = world.file("a.csv", INPUT);
        let place = world.file("old", "");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
        finish(with_output(&world, &input, flag, &place), b"").check(3, "");
        assert_eq!(mode(&place), 0o600, "{flag}");
        assert!(fs::metadata(&place).unwrap().len() > 0, "{flag}");
        assert_ne!(mode(&input), 0o600, "the input is left as it is");
    }
}

#[test]
fn an_output_that_is_refused_keeps_its_mode() {
    for flag in FLAGS {
        let world = World::new();
        let input = world.file("a.csv", INPUT);
        fs::set_permissions(&input, fs::Permissions::from_mode(0o644)).unwrap();
        let place = world.folder.path().join("link");
        fs::hard_link(&input, &place).unwrap();
        finish(with_output(&world, &input, flag, &place), b"").check(1, "is both");
        assert_eq!(mode(&input), 0o644, "{flag}");
    }
}

/// Only the superuser may give files away; to everybody else the file stays their own, and is
/// taken.
#[test]
fn an_output_of_another_user_is_refused() {
    for flag in FLAGS {
        let world = World::new();
        let input = world.file("a.csv", INPUT);
        let place = world.file("old", "");
        let is_given_away = chown(&place, Some(54_321), None).is_ok();
        let owner = fs::metadata(&place).unwrap().uid();
        assert_eq!(is_given_away, owner == 54_321);
        let run = finish(with_output(&world, &input, flag, &place), b"");
        if is_given_away {
            let said = format!("old: belongs to another user; name a file of yours with {flag}");
            run.check(1, &said);
            assert_eq!(world.simulator.totals().requests, 0);
        } else {
            run.check(3, "");
        }
    }
}

#[test]
fn a_journal_is_of_one_kind_of_records() {
    let world = World::new();
    let input = world.file("a.csv", "id,name\n1,bought\n");
    let line = format!("people {} --id-column id", input.display());
    world.run(&line).check(0, "");
    let events = "--person-column id --name-column name --now --yes";
    world
        .run(&format!("events {} {events}", input.display()))
        .check(
            1,
            "a.csv.cio-journal: this journal is of another run: the kind of records differs; name another with --journal",
        );
}

#[test]
fn names_of_files_are_escaped() {
    let world = World::new();
    let odd = "a\u{1b}[31m\n\u{202e}it's.csv";
    let shown = r"a\u{1b}[31m\n\u{202e}it's.csv";
    let input = world.file(odd, INPUT);
    let mut command = world.command("people --id-column id");
    command.arg(&input);
    let run = finish(command, b"");
    run.check(3, &format!("{shown}:3: "));
    assert!(run.stdout.contains(&format!("{shown}: 2 records")));
    let is_clean = |text: &str| !text.contains(['\u{1b}', '\u{202e}']);
    assert!(is_clean(&run.stdout) && is_clean(&run.stderr));

    for flag in FLAGS {
        let folder = world.folder.path().join("no\u{7}where");
        let run = finish(with_output(&world, &input, flag, &folder.join("x")), b"");
        run.check(1, r"no\u{7}where/x: its directory does not exist");
    }
    let mut command = world.command("people a.csv --id-column id");
    command.arg("b\u{202e}.csv");
    finish(command, b"").check(2, r"unexpected argument 'b\u{202e}.csv' found");
    let missing = PathBuf::from("x\u{1b}.csv");
    let mut command = world.command("people --id-column id");
    command.arg(&missing);
    finish(command, b"").check(1, r"x\u{1b}.csv: cannot be opened; check the path");
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_run_before_it_begins() {
    let world = World::new();
    let file = world.file("a.csv", INPUT);
    let command = world.command(&format!("people {} --id-column id", file.display()));
    let run = with_room(&command, 0);
    run.check(
        1,
        "a.csv.cio-journal: the journal cannot be written; free some space",
    );
    let journal = world.folder.path().join("a.csv.cio-journal");
    assert!(!journal.exists(), "what was begun is removed");
    assert_eq!(world.simulator.totals().requests, 0);
}

#[test]
fn each_output_that_cannot_be_written_is_told() {
    let world = World::new();
    let file = world.file("a.csv", INPUT);
    let rejects = world.folder.path().join("rejects");
    let line = format!("people {} --id-column id --no-journal", file.display());
    let command = world.command(&format!("{line} --rejects {}", rejects.display()));
    let run = with_room(&command, 0);
    run.check(5, "cio-import: the rejects file cannot be written");
    run.check(5, "cio-import: the report cannot be written");
    assert!(run.stdout.contains("1 accepted, 1 rejected"));
}

/// Runs a command with files that may hold so many blocks (of 512 bytes, by POSIX), as on a disk
/// that is nearly full.
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
    let world = World::new();
    let file = world.file("a.csv", format!("id\n1\n{}", ".\n".repeat(20)));
    let line = format!("people {} --id-column id", file.display());
    let rejects = world.folder.path().join("rejects");
    let command = world.command(&format!("{line} --rejects {}", rejects.display()));
    let run = with_room(&command, 1);
    run.check(5, "the rejects file cannot be written; free some space");
    assert!(
        run.stdout.contains("1 accepted, 20 rejected"),
        "{}",
        run.stdout
    );
    world.check_report([21, 1, 20, 0, 0]);
    world.run(&line).check(3, "");
    assert_eq!(
        world.simulator.totals().requests,
        2,
        "the first run was not finished"
    );
}

#[test]
fn a_reader_of_the_standard_output_that_goes_away_changes_nothing() {
    let world = World::new();
    let file = world.file("a.csv", INPUT);
    let line = format!("people {} --id-column id", file.display());
    let mut child = world.command(&line).spawn().unwrap();
    drop(child.stdout.take());
    let run = ended(child.wait_with_output().unwrap());
    run.check(3, "a.csv:3: ");
    world.check_report([2, 1, 1, 0, 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_plan_that_cannot_be_shown_is_not_carried_out() {
    let world = World::new();
    let file = world.file("a.csv", INPUT);
    let line = format!("people {} --id-column id", file.display());
    let mut command = world.command(&line);
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.stdout(full);
    run(command).check(
        1,
        "cio-import: the standard output cannot be written, and nothing was sent: No space left",
    );
    assert_eq!(world.simulator.totals().requests, 0);
}
