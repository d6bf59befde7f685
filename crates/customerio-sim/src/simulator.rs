use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use axum::Router;

use crate::api::Identifier;
use crate::books::{Arrival, Delivery, Event, Form, Object, Person, Totals};
use crate::builder::Builder;
use crate::http;
use crate::world::World;

/// A simulated Customer.io, and the handle to its books. Clones share everything.
///
/// Its time starts when it is built: build it inside the runtime that serves it, which matters where time is paused.
#[derive(Clone)]
pub struct Simulator {
    world: Arc<World>,
    router: Router,
}

impl Simulator {
    /// Starts from no limit, calm weather, any credentials and seed 0.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(world: World) -> Self {
        let world = Arc::new(world);
        Self {
            router: http::router(&world),
            world,
        }
    }

    /// The service, to be put behind any server.
    ///
    /// [`serve_connection`](crate::serve_connection) is the server that keeps every promise. Behind another one, a
    /// dropped connection is a body that breaks off, and a request whose client has gone may never reach the counter.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The sums of the books as they are now.
    #[must_use]
    pub fn books(&self) -> Totals {
        self.world.books(|books| books.totals())
    }

    /// The person whom a path of API v1 would mean by `identifier`, if known.
    #[must_use]
    pub fn person(&self, identifier: &str) -> Option<Person> {
        let identifier = Identifier::in_path(identifier).ok()?;
        self.world.books(|books| books.person(&identifier).cloned())
    }

    /// The event with this id, if one was applied.
    #[must_use]
    pub fn event(&self, id: &str) -> Option<Event> {
        self.world.books(|books| books.event(id).cloned())
    }

    /// The object of this type with this id, if known.
    #[must_use]
    pub fn object(&self, type_id: &str, id: &str) -> Option<Object> {
        self.world.books(|books| books.object(type_id, id).cloned())
    }

    /// What was reported of the delivery with this id, if anything.
    #[must_use]
    pub fn delivery(&self, id: &str) -> Option<Delivery> {
        self.world.books(|books| books.delivery(id).cloned())
    }

    /// What was submitted to the form with this id, if anything.
    #[must_use]
    pub fn form(&self, id: &str) -> Option<Form> {
        self.world.books(|books| books.form(id).cloned())
    }

    /// The identifiers of the people in a manual segment, if [`Builder::segment`] made it.
    #[must_use]
    pub fn segment(&self, id: u64) -> Option<BTreeSet<String>> {
        self.world.books(|books| books.segment(id).cloned())
    }

    /// The first requests that reached the counter, as many as [`Builder::trace`] keeps, in the order of their answers.
    #[must_use]
    pub fn trace(&self) -> Vec<Arrival> {
        self.world.trace()
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("books", &self.books())
            .finish_non_exhaustive()
    }
}
