//! The clients of the docs, each behind a retry without a backoff and a limit of one request an
//! hour.

use std::error::Error;
use std::fmt;
use std::future::Ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::Error as HyperError;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::pool::singleton::Singleton;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_pace::retry::{Backoff, ReplayBody};
use tower_pace::wait::BoundedWait;
use tower_pace::{Classifier, Handle, Quota, RateLimitLayer, RetryLayer, RetryPolicy, was_sent};

type BoxError = Box<dyn Error + Send + Sync>;

/// A stack as a test sees it.
pub(crate) struct Client {
    pub(crate) stack: BoxCloneService<Request<Full<Bytes>>, StatusCode, String>,
    pub(crate) limit: Handle,
}

impl Client {
    fn new<S, B, E>(stack: S, limit: Handle) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = E>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        E: fmt::Debug,
    {
        let stack = stack.map_response(|response| response.status());
        let stack = stack.map_err(|error| format!("{error:?}"));
        Self {
            stack: BoxCloneService::new(stack),
            limit,
        }
    }
}

fn layers(errors: &Classifier) -> (RetryLayer, RateLimitLayer<BoundedWait>) {
    let policy = RetryPolicy::default().backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
    let quota = Quota::new(1, Duration::from_secs(3_600))
        .unwrap()
        .unused_at_start();
    let limit = RateLimitLayer::new(quota).max_wait(Duration::from_secs(60));
    (
        RetryLayer::new(policy).classifier(errors.clone()),
        limit.classifier(errors.clone()),
    )
}

/// Resolves every name to the loopback. The first few times it is an address at which the port is
/// closed.
#[derive(Clone)]
pub(crate) struct Addresses(Arc<AtomicU64>);

impl Addresses {
    pub(crate) fn refusing_first(connections: u64) -> Self {
        Self(Arc::new(AtomicU64::new(connections)))
    }

    fn next(&self) -> IpAddr {
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        // A server that is bound to 127.0.0.1 does not listen on 127.0.0.2.
        let last = if left.is_ok() { 2 } else { 1 };
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
    }

    fn resolve(&self) -> io::Result<std::iter::Once<SocketAddr>> {
        Ok(std::iter::once(SocketAddr::new(self.next(), 0)))
    }

    fn connector(self) -> HttpConnector<Self> {
        HttpConnector::new_with_resolver(self)
    }
}

impl Service<Name> for Addresses {
    type Response = std::iter::Once<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(self.resolve())
    }
}

impl reqwest::dns::Resolve for Addresses {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses = self
            .resolve()
            .map(|addresses| Box::new(addresses) as reqwest::dns::Addrs);
        Box::pin(std::future::ready(addresses.map_err(Into::into)))
    }
}

pub(crate) fn reqwest(addresses: Addresses, _: u16) -> Client {
    let errors = Classifier::new().not_sent_if(reqwest::Error::is_connect);
    reqwest_with(addresses, reqwest::Client::builder(), &errors)
}

/// With the proofs of hyper too.
pub(crate) fn reqwest_over_http2(addresses: Addresses) -> Client {
    let errors = Classifier::new().not_sent_if(|error: &reqwest::Error| {
        let inner = error
            .source()
            .and_then(|source| source.downcast_ref::<HyperError>());
        inner.is_some_and(|inner| !was_sent(inner))
    });
    let builder = reqwest::Client::builder().http2_prior_knowledge();
    reqwest_with(addresses, builder, &errors)
}

fn reqwest_with(
    addresses: Addresses,
    builder: reqwest::ClientBuilder,
    errors: &Classifier,
) -> Client {
    let builder = builder.redirect(reqwest::redirect::Policy::none());
    let builder = builder.retry(reqwest::retry::never());
    let client = builder.dns_resolver(Arc::new(addresses)).build().unwrap();
    let (retry, limit) = layers(errors);
    let stack = ServiceBuilder::new()
        .layer(retry.buffered(64))
        .layer(&limit)
        .map_request(|request: Request<ReplayBody<Full<Bytes>>>| {
            reqwest::Request::try_from(request.map(reqwest::Body::wrap)).unwrap()
        })
        .map_response(Response::<reqwest::Body>::from)
        .service(client);
    Client::new(stack, limit.handle())
}

pub(crate) fn tonic(addresses: Addresses, port: u16) -> Client {
    let is_connect = |error: &tonic::transport::Error| {
        let mut sources = std::iter::successors(error.source(), |&source| source.source());
        sources.any(|source| source.is::<tonic::ConnectError>())
    };
    let endpoint = Endpoint::from_shared(format!("http://api.test:{port}")).unwrap();
    let channel = endpoint.connect_with_connector_lazy(addresses.connector());
    let (retry, limit) = layers(&Classifier::grpc().not_sent_if(is_connect));
    let stack = ServiceBuilder::new()
        .layer(retry.buffered(64))
        .layer(&limit)
        .map_request(|request: Request<ReplayBody<Full<Bytes>>>| {
            request.map(tonic::body::Body::new)
        })
        .service(channel);
    Client::new(stack, limit.handle())
}

/// One connection of the pool.
#[derive(Clone)]
struct Connection(http2::SendRequest<Full<Bytes>>);

impl Service<Request<Full<Bytes>>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

async fn connect(connector: HttpConnector<Addresses>, to: Uri) -> Result<Connection, BoxError> {
    let stream = connector.oneshot(to).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    Ok(Connection(sender))
}

pub(crate) fn pool(addresses: Addresses, _: u16) -> Client {
    let connector = addresses.connector();
    let pool = Singleton::new(service_fn(move |to: Uri| connect(connector.clone(), to)));
    let (retry, limit) = layers(&Classifier::new());
    let stack = ServiceBuilder::new().layer(retry).layer(&limit).service_fn(
        move |request: Request<Full<Bytes>>| {
            let pool = pool.clone();
            async move {
                let mut connection = pool.oneshot(request.uri().clone()).await?;
                Ok::<_, BoxError>(connection.ready().await?.call(request).await?)
            }
        },
    );
    Client::new(stack, limit.handle())
}

#[derive(Debug)]
enum OwnError {
    Connect,
    Exchange,
}

impl fmt::Display for OwnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Error for OwnError {}

async fn exchange(
    to: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, OwnError> {
    // On a connection to the server itself, a request has the path alone.
    *request.uri_mut() = request.uri().path().parse().unwrap();
    let stream = TcpStream::connect(to)
        .await
        .map_err(|_| OwnError::Connect)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| OwnError::Exchange)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    response.map_err(|_| OwnError::Exchange)
}

pub(crate) fn boxed(addresses: Addresses, port: u16) -> Client {
    let errors = Classifier::new().not_sent_if(|error| matches!(error, OwnError::Connect));
    let (retry, limit) = layers(&errors);
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(&limit)
        .map_err(BoxError::from)
        .service_fn(move |request: Request<Full<Bytes>>| {
            exchange(SocketAddr::new(addresses.next(), port), request)
        });
    Client::new(stack, limit.handle())
}
