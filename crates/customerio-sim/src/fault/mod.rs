//! Fault injection: the delays and the fault of each request, drawn from one seed in the order of
//! arrival.

mod faults;
mod injector;
mod plan;
mod probability;
mod script;

pub use faults::{Faults, Outage, Stall};
pub(crate) use injector::FaultInjector;
pub use plan::FailurePoint;
pub(crate) use plan::{Failure, Fault, Plan, Replacement};
pub use probability::Probability;
pub use script::{Script, Step};
