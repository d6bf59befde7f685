use std::{error, fmt};

use crate::reject::Reject;

/// A place from which on it is in doubt where a record begins and ends.
///
/// Reading may go on in order to tell of further places, but nothing that follows may be sent: it
/// may be a piece of a cell.
#[derive(Debug)]
pub(crate) struct Broken(pub(super) Reject);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.0)
    }
}

impl error::Error for Broken {}
