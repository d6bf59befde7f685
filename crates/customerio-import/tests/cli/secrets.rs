use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use customerio_sim::Simulator;

use crate::fixture::{API_KEY, Fixture, Run, SITE_ID, bare, finish, script as after_check};
use crate::http2;

#[track_caller]
fn check_silent(run: &Run, fixture: &Fixture) {
    let pair = format!("{SITE_ID}:{API_KEY}");
    let mut secrets = vec![
        API_KEY.to_owned(),
        SITE_ID.to_owned(),
        STANDARD.encode(&pair),
        STANDARD.encode(API_KEY),
    ];
    secrets.push(STANDARD_NO_PAD.encode(&pair[..30]));
    let mut written = vec![run.stdout.clone(), run.stderr.clone()];
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
        written.push(String::from_utf8(std::fs::read(entry.unwrap().path()).unwrap()).unwrap());
    }
    for secret in secrets {
        assert!(
            written.iter().all(|text| !text.contains(&secret)),
            "{secret}"
        );
    }
}

#[test]
fn secrets_are_in_no_output() {
    for script in [
        vec![],
        vec![401],
        vec![403],
        vec![400, 400],
        vec![500; 40],
        vec![301],
        vec![429],
    ] {
        let fixture = Fixture::with(Simulator::builder().script(after_check(script)));
        let file = fixture.file("a.csv", "id,a\n1,x\n2,y\n");
        let line = format!(
            "people {} --id-column id -vvv --max-wait 2s",
            file.display()
        );
        check_silent(&fixture.run(&line), &fixture);
    }
}

#[test]
fn peoples_data_is_in_no_output() {
    let fixture = Fixture::with(Simulator::builder().script(after_check([400, 400, 400])));
    let long = "secret-attribute".repeat(100);
    let file = fixture.file(
        "a.csv",
        format!("id,a\nada-lovelace,x\n..,secret-attribute\ncharles,{long}\n"),
    );
    let run = fixture.run(&format!("people {} --id-column id -vvv", file.display()));
    run.check(3, "a.csv:");
    for word in ["ada-lovelace", "secret-attribute", "charles"] {
        assert!(
            !run.stdout.contains(word) && !run.stderr.contains(word),
            "{word}: {}",
            run.stderr
        );
    }
}

/// Answers one request with an error page that repeats the head of the request.
fn repeat_head(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        reader.read_line(&mut head)?;
        if let Some(value) = head[from..].strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let page = format!("{head}{API_KEY} of {SITE_ID}");
    let length = page.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{page}"
    )
}

#[test]
fn an_answer_that_repeats_the_request_writes_no_secret_to_the_rejects() {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || repeat_head(listener.accept().unwrap().0).unwrap());
    let file = fixture.file("a.csv", "id\n1\n");
    let rejects = fixture.folder.path().join("rejects");
    let line = format!(
        "people {} --id-column id --yes --no-journal --base-url {url} --rejects {}",
        file.display(),
        rejects.display()
    );
    let mut command = bare(&line);
    command
        .env("CUSTOMERIO_SITE_ID", SITE_ID)
        .env("CUSTOMERIO_TRACK_API_KEY", API_KEY);
    let run = finish(command, b"");
    run.check(3, "");
    let kept = std::fs::read_to_string(rejects).unwrap();
    assert!(kept.contains("authorization: Basic [redacted]"), "{kept}");
    check_silent(&run, &fixture);
}

#[test]
fn a_goaway_that_repeats_the_request_writes_no_secret_and_no_person_to_any_output() {
    let pair = STANDARD.encode(format!("{SITE_ID}:{API_KEY}"));
    let text = format!("authorization: Basic {pair} {API_KEY} id ada-lovelace \u{1b}[2J");
    // The last stream is 0, the error is ENHANCE_YOUR_CALM.
    let payload = [&[0, 0, 0, 0, 0, 0, 0, 11], text.as_bytes()].concat();
    let (port, connections) = http2::listen(move |_, peer| {
        peer.request()?;
        peer.write(http2::GOAWAY, 0, 0, &payload)
    });
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\nada-lovelace\n");
    let rejects = fixture.folder.path().join("rejects");
    let line = format!(
        "people {} --id-column id --yes -vvv --max-wait 1s --base-url https://localhost:{port} --rejects {}",
        file.display(),
        rejects.display()
    );
    let mut command = bare(&line);
    let root = fixture.file("root.pem", http2::ROOT);
    command
        .env("SSL_CERT_FILE", root)
        .env("CUSTOMERIO_SITE_ID", SITE_ID)
        .env("CUSTOMERIO_TRACK_API_KEY", API_KEY);
    let run = finish(command, b"");
    run.check(5, "no request gets an answer");
    run.check(5, "connection error received");
    assert!(connections.load(Relaxed) > 0);
    check_silent(&run, &fixture);
    let kept = std::fs::read_to_string(rejects).unwrap();
    for text in [&run.stdout, &run.stderr, &kept] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    // The rejects file has the record itself.
    let counts = [&run.stdout, &run.stderr, &kept].map(|text| text.matches("ada-").count());
    assert!(counts[..2] == [0, 0] && counts[2] <= 1, "{counts:?} {kept}");
}
