//! The API as HTTP: what a request meets on its way, the routes, and the answers in the API's
//! envelopes.

mod credentials;
mod front;
mod inspect;
mod reply;
mod routes;
mod throttle;

pub(crate) use credentials::Credentials;
pub(crate) use front::SLOWEST_REQUEST;
pub(crate) use reply::is_dropped;
pub(crate) use routes::router;
pub(crate) use throttle::Throttle;
