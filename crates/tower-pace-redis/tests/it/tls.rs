//! `rediss://` URLs, before a server with the certificate of the client tests of `customerio`.

use std::env;
use std::process::Command;

use tower_pace_redis::RedisStore;

use crate::calls::call_once;
use crate::server::{Server, free_port};

const CERTIFICATES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../customerio/tests/it/data/tls"
);
/// In a process that trusts the authority of the certificate, the URL of the server.
const URL: &str = "TRUSTED_STORE_URL";

#[tokio::test]
async fn a_server_is_trusted_if_the_platform_trusts_its_authority() {
    let port = free_port().to_string();
    let file = |name: &str| format!("{CERTIFICATES}/{name}");
    let options = [
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
    ];
    let files = [
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("root.pem")),
    ];
    let files = files.iter().flat_map(|(option, file)| [*option, file]);
    let options: Vec<&str> = options.into_iter().chain(files).collect();
    let Some(_server) = Server::start_with(&options) else {
        return;
    };
    let url = format!("rediss://localhost:{port}");
    let error = RedisStore::connect(&url, "test").await.unwrap_err();
    let error = error.store_error().unwrap();
    assert!(error.is_unreachable(), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    // The variable that names the authorities belongs to a whole process.
    let mut process = Command::new(env::current_exe().unwrap());
    process.args(["--exact", "tls::in_a_process_that_trusts_the_authority"]);
    process.env("SSL_CERT_FILE", file("root.pem"));
    process.env(URL, &url);
    let output = process.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn in_a_process_that_trusts_the_authority() {
    if let Ok(url) = env::var(URL) {
        let store = RedisStore::connect(&url, "test").await.unwrap();
        call_once(&store).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_without_tls_is_an_error() {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.url().replace("redis://", "rediss://");
    let error = RedisStore::connect(&url, "test").await.unwrap_err();
    assert!(error.store_error().unwrap().is_unreachable(), "{error:?}");
}
