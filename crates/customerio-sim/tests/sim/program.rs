use std::process::Stdio;

use hyper::Method;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::Client;

fn cio_sim(flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cio-sim"));
    command
        .args(flags.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_prints_its_url_first_and_its_totals_on_ctrl_c() {
    let mut program = cio_sim("--listen 127.0.0.1:0 --limit 1/24h")
        .spawn()
        .unwrap();
    let mut out = BufReader::new(program.stdout.take().unwrap());
    let mut url = String::new();
    out.read_line(&mut url).await.unwrap();
    let addr = url.trim().strip_prefix("http://").unwrap();
    let mut client = Client::over(TcpStream::connect(addr).await.unwrap()).await;
    assert_eq!(client.put("1").await.status, 200);
    assert_eq!(client.put("2").await.status, 429);
    let id = program.id().unwrap();
    let interrupt = Command::new("sh")
        .args(["-c", &format!("kill -INT {id}")])
        .status()
        .await;
    assert!(interrupt.unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert!(program.wait().await.unwrap().success());
    let totals: serde_json::Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(
        (&totals["requests"], &totals["throttled"]),
        (&2.into(), &1.into())
    );
}

#[tokio::test]
async fn credentials_come_from_flags_or_from_the_environment() {
    // The test client sends `site` and `key`.
    for (flags, environment, status) in [
        ("", [].as_slice(), 200),
        ("--site-id site --api-key key", &[], 200),
        ("--site-id site --api-key another", &[], 401),
        (
            "",
            &[("CIO_SIM_SITE_ID", "site"), ("CIO_SIM_API_KEY", "another")],
            401,
        ),
    ] {
        let mut command = cio_sim(&format!("--listen 127.0.0.1:0 {flags}"));
        command.envs(environment.iter().copied());
        let mut program = command.spawn().unwrap();
        let mut url = String::new();
        let mut out = BufReader::new(program.stdout.take().unwrap());
        out.read_line(&mut url).await.unwrap();
        let addr = url.trim().strip_prefix("http://").unwrap();
        let mut client = Client::over(TcpStream::connect(addr).await.unwrap()).await;
        assert_eq!(
            client.put("1").await.status,
            status,
            "{flags} {environment:?}"
        );
    }
}

#[tokio::test]
async fn the_key_of_the_app_api_comes_from_a_flag_or_from_the_environment() {
    for (flags, environment, status) in [
        ("", [].as_slice(), 200),
        ("--app-api-key appkey", &[], 200),
        ("--app-api-key another", &[], 401),
        ("", &[("CIO_SIM_APP_API_KEY", "another")], 401),
    ] {
        let mut command = cio_sim(&format!("--listen 127.0.0.1:0 --broadcast 5 {flags}"));
        command.envs(environment.iter().copied());
        let mut program = command.spawn().unwrap();
        let mut url = String::new();
        let mut out = BufReader::new(program.stdout.take().unwrap());
        out.read_line(&mut url).await.unwrap();
        let addr = url.trim().strip_prefix("http://").unwrap();
        let mut client = Client::over(TcpStream::connect(addr).await.unwrap()).await;
        let reply = client.app(Method::POST, "/v1/campaigns/5/triggers", "{}");
        assert_eq!(reply.await.status, status, "{flags} {environment:?}");
    }
}

#[tokio::test]
async fn the_program_can_keep_counts_only() {
    for (flags, people, status) in [("", 1, 200), ("--records counts-only", 0, 404)] {
        let mut program = cio_sim(&format!("--listen 127.0.0.1:0 {flags}"))
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut out = BufReader::new(program.stdout.take().unwrap());
        out.read_line(&mut url).await.unwrap();
        let addr = url.trim().strip_prefix("http://").unwrap();
        let mut client = Client::over(TcpStream::connect(addr).await.unwrap()).await;
        assert_eq!(client.put("1").await.status, 200);
        let totals = client.get("/_sim/totals").await;
        assert_eq!(
            (&totals["accepted"], &totals["people"]),
            (&1.into(), &people.into()),
            "{flags}"
        );
        let person = client.call(Method::GET, "/_sim/people/1", &serde_json::Value::Null);
        assert_eq!(person.await.status, status, "{flags}");
    }
}

#[tokio::test]
async fn the_error_of_an_address_in_use_says_what_to_do() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let output = cio_sim(&format!("--listen {addr}")).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains(&addr.to_string()) && error.contains("choose another --listen"),
        "{error}"
    );
}
