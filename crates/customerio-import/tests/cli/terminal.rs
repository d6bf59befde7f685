//! The bar on a real terminal, and the lines without one.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::fixture::{Fixture, data, ended};

/// As many people as have a number of five digits, with its separator.
const PEOPLE: usize = 10_093;

/// Sends [`PEOPLE`] people in four seconds, with the standard error on a terminal. Returns all that
/// it received.
fn drawn(width: u16, term: &str) -> String {
    use std::os::unix::ffi::OsStrExt;

    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&controller, size).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let terminal = File::options().read(true).write(true).open(name).unwrap();
    let fixture = Fixture::new();
    let people = std::fs::read_to_string(data("people.csv")).unwrap();
    let people: String = people.split_inclusive('\n').take(1 + PEOPLE).collect();
    let line = format!(
        "people {} --id-column playerID --no-journal --record-limit 2500/1s",
        fixture.file("people.csv", people).display()
    );
    let mut command = fixture.command(&line);
    command.env("TERM", term).env_remove("NO_COLOR");
    let child = command
        .stdin(Stdio::null())
        .stderr(terminal)
        .spawn()
        .unwrap();
    // The terminal is open in the child only, so that reading ends with it.
    drop(command);
    let reader = thread::spawn(move || {
        let mut drawn = Vec::new();
        // Linux ends with EIO, after everything was read.
        let _ = File::from(controller).read_to_end(&mut drawn);
        String::from_utf8(drawn).unwrap()
    });
    let run = ended(child.wait_with_output().unwrap());
    assert_eq!(run.code, 0, "{}", run.stdout);
    reader.join().unwrap()
}

/// Splits what a terminal received into its lines, without sequences that move the cursor. Fails if
/// one sets a color.
fn lines(drawn: &str) -> Vec<String> {
    let mut text = String::new();
    let mut parts = drawn.split("\u{1b}[");
    text += parts.next().unwrap();
    for part in parts {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic());
        let end = end.expect("each sequence has an end");
        assert_ne!(&part[end..=end], "m", "a color: {drawn:?}");
        text += &part[end + 1..];
    }
    text.split(['\r', '\n']).map(str::to_owned).collect()
}

#[test]
fn the_bar_is_one_line_of_the_width_of_the_terminal_without_color() {
    let check = |width, text: &str| {
        let drawn = drawn(width, "xterm-256color");
        let lines = lines(&drawn);
        let longest = lines.iter().map(String::len).max().unwrap();
        assert!(longest <= usize::from(width), "{lines:#?}");
        let bars = lines.iter().filter(|line| line.contains(text));
        assert!(bars.count() > 1, "{lines:#?}");
        let limits = lines.iter().filter(|line| line.contains("record limit"));
        assert!(limits.count() > 0, "{lines:#?}");
        // The bar is gone at the end: the last line that was written is empty.
        assert_eq!(lines.last().unwrap(), "", "{lines:#?}");
    };
    // Side by side: both wait for the limit.
    thread::scope(|scope| {
        scope.spawn(|| check(80, " of 10,093, 0 rejected, "));
        check(40, "% 0 rejected, ");
    });
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_has_no_bar() {
    // On a slow machine, the run takes over ten seconds and has lines of progress.
    let drawn = drawn(80, "dumb");
    assert!(!drawn.contains(['\u{1b}', '[']), "{drawn:?}");
}
