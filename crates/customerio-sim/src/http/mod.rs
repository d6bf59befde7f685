//! The API as HTTP: the middleware that simulates network and limit, the routes, and the responses
//! in the API's envelopes.

mod app;
mod exports;
mod imports;
mod inspect;
mod live_notifications;
mod messages;
mod middleware;
mod path;
mod people;
mod query;
mod reply;
mod routes;
mod segments;

pub(crate) use middleware::REQUEST_TIMEOUT;
pub(crate) use reply::is_dropped;
pub(crate) use routes::router;
