use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::Service;

use super::{Call, Calls, Reply};
use crate::app::AppCredentials;
use crate::{Client, Credentials};

/// The seed of the backoff, so that a test always has the same waits.
const SEED: u64 = 0;

/// Returns a client whose requests are all accepted, and the record of its requests.
#[must_use]
pub fn recorded() -> (Client, Calls) {
    scripted([])
}

/// Returns a client that gets `replies` in order, and the record of its requests. Further requests
/// are accepted.
///
/// Each attempt uses one reply: a retry gets the next one.
#[must_use]
pub fn scripted(replies: impl IntoIterator<Item = Reply>) -> (Client, Calls) {
    let calls = Calls::default();
    let api = Api {
        calls: calls.clone(),
        replies: Arc::new(Mutex::new(replies.into_iter().collect())),
    };
    let credentials = Credentials::new("test", "test").expect("neither is empty");
    let app_credentials = AppCredentials::new("test").expect("it is not empty");
    let client = Client::builder()
        .credentials(credentials)
        .app_credentials(app_credentials)
        .jitter_seed(SEED)
        .build_with(api)
        .expect("the settings are valid");
    (client, calls)
}

/// A service in place of the API.
#[derive(Clone, Debug)]
struct Api {
    calls: Calls,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Api {
    async fn answer(self, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        // The body is in memory, so this does not wait.
        let Ok(body) = body.collect().await;
        self.calls.record(Call {
            method: head.method,
            path: head
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            body: body.to_bytes(),
        });
        self.next().into_result()
    }

    fn next(&self) -> Reply {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.pop_front().unwrap_or_else(Reply::accepted)
    }
}

impl Service<Request<Full<Bytes>>> for Api {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}
