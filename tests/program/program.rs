use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use customerio::{Client, Credentials, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const FLAGS: &str = "--listen 127.0.0.1:0 --segment 7";

/// A running `cio-sim`, our client, and a plain client that reads the simulator's records.
pub(crate) struct Program {
    process: Child,
    url: String,
    client: Client,
    reader: HyperClient<HttpConnector, Full<Bytes>>,
}

impl Program {
    /// Builds the program if necessary, starts it, and reads its URL from the first line.
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--locked", "--package", "customerio-sim"])
            .args(["--bin", "cio-sim", "--"])
            .args(FLAGS.split(' '))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo runs the tests");
        let mut url = String::new();
        let out = process.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        let client = Client::builder()
            .credentials(Credentials::new("site", "key").unwrap())
            .base_url(&*url);
        Self {
            process,
            client: client.build().unwrap(),
            reader: HyperClient::builder(TokioExecutor::new()).build_http(),
            url,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request. Panics unless it is accepted.
    pub(crate) async fn accepts(&self, request: impl Into<Request>) {
        self.client.submit(request).await.unwrap();
    }

    /// Sends a request. Panics unless the record at `path` is then equal to `expected`. `null` is a
    /// missing record.
    pub(crate) async fn shows(&self, request: impl Into<Request>, path: &str, expected: Value) {
        let request = request.into();
        let route = request.route();
        self.accepts(request).await;
        assert_eq!(self.record(path).await, expected, "{route}");
    }

    /// Returns the record at a path under `/_sim/`, or `null` if it does not exist. A person's
    /// `cio_id`, which depends on the order of the tests, is left out.
    pub(crate) async fn record(&self, path: &str) -> Value {
        let uri = format!("{}/_sim/{path}", self.url).parse().unwrap();
        let response = self.reader.get(uri).await.unwrap();
        if response.status() == http::StatusCode::NOT_FOUND {
            return Value::Null;
        }
        let body = response.into_body().collect().await.unwrap();
        let mut record: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        if let Some(record) = record.as_object_mut() {
            record.remove("cio_id");
        }
        record
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Errors are ignored: the program may have ended by itself, and the test failed by then.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
