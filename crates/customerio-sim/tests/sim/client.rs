//! A plain client: one connection, without a pool and without retries.

use bytes::Bytes;
use customerio_sim::{Simulator, serve_connection};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, duplex};

pub(crate) struct Client(SendRequest<Full<Bytes>>);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// Connects over a pipe in memory.
    pub(crate) async fn pipe(simulator: &Simulator) -> Self {
        let (near, far) = duplex(64 * 1024);
        tokio::spawn(serve_connection(far, simulator.clone()));
        Self::over(near).await
    }

    pub(crate) async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
        self.0.ready().await?;
        let (head, body) = self.0.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Sends a request with credentials. Panics if there is no response.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: &Value) -> Reply {
        self.send(request(method, path, body)).await.unwrap()
    }

    pub(crate) async fn put(&mut self, person: &str) -> Reply {
        self.call(
            Method::PUT,
            &format!("/api/v1/customers/{person}"),
            &Value::Object(Default::default()),
        )
        .await
    }

    /// Sends a request to the App API with a key. Panics if there is no response.
    pub(crate) async fn app(&mut self, method: Method, path: &str, body: &str) -> Reply {
        let mut request = bare(method, path, body);
        let key = HeaderValue::from_static("Bearer appkey");
        request.headers_mut().insert(AUTHORIZATION, key);
        self.send(request).await.unwrap()
    }

    /// Returns the answer of the App API to a question.
    pub(crate) async fn ask(&mut self, path: &str) -> Value {
        let reply = self.app(Method::GET, path, "").await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// Returns the status of the App API's response.
    pub(crate) async fn status(&mut self, method: Method, path: &str, body: &str) -> u16 {
        self.app(method, path, body).await.status.as_u16()
    }

    /// Sets attributes of a person.
    pub(crate) async fn identify(&mut self, person: &str, attributes: Value) {
        let path = format!("/api/v1/customers/{person}");
        let reply = self.call(Method::PUT, &path, &attributes).await;
        assert_eq!(
            reply.status, 200,
            "an operation without effect gets a 200 too"
        );
    }

    /// Sends one operation of API v2.
    pub(crate) async fn entity(&mut self, entity: Value) {
        let reply = self.call(Method::POST, "/api/v2/entity", &entity).await;
        assert_eq!(reply.status, 200, "{entity}");
    }

    pub(crate) async fn get(&mut self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).await.json()
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn request(method: Method, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    raw(method, path, &body)
}

/// Returns a request with credentials and any body.
pub(crate) fn raw(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = bare(method, path, body);
    let credentials = HeaderValue::from_static("Basic c2l0ZTprZXk=");
    request.headers_mut().insert(AUTHORIZATION, credentials);
    request
}

/// Returns a request without credentials.
pub(crate) fn bare(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::new(body.to_owned().into()))
        .unwrap()
}
