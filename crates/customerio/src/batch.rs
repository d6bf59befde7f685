use std::sync::Arc;
use std::{error, fmt};

use bytes::{BufMut, Bytes, BytesMut};

use crate::Operation;

/// The documented limit of 500 kB for one batch, read as 500,000 bytes to be safe.
pub(crate) const MAX_BATCH: usize = 500_000;

const OPEN: &[u8] = br#"{"batch":["#;
const CLOSE: &[u8] = b"]}";

/// Operations for one request, up to 500,000 bytes.
///
/// ```
/// use customerio::{Batch, Operation, Attributes, Person};
/// let mut batch = Batch::with_capacity(1);
/// let operation = Operation::identify(&Person::id("u1")?, &Attributes::new())?;
/// assert!(batch.push(operation.clone()).is_ok());
/// assert!(batch.push(operation).unwrap_err().is_full());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    /// Shared by the clones of a batch: one is sent while another waits for the outcomes.
    operations: Arc<Vec<Operation>>,
    /// The size of the operations, without the text around and between them.
    bytes: usize,
    max_items: usize,
}

impl Batch {
    /// Creates an empty batch that is bounded by its size only.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(usize::MAX)
    }

    /// Creates an empty batch of at most `items` operations.
    #[must_use]
    pub fn with_capacity(items: usize) -> Self {
        Self {
            operations: Arc::default(),
            bytes: 0,
            max_items: items,
        }
    }

    /// Adds an operation at the end.
    ///
    /// # Errors
    ///
    /// The batch is full, or the operation goes alone. The error contains the operation.
    pub fn push(&mut self, operation: Operation) -> Result<(), NotAdded> {
        if operation.goes_alone() {
            let reason = match operation.has_no_event_id() {
                true => Reason::NoEventId,
                false => Reason::Alone,
            };
            return Err(NotAdded { operation, reason });
        }
        if !self.has_room(operation.size()) {
            return Err(NotAdded {
                operation,
                reason: Reason::Full,
            });
        }
        self.bytes += operation.size();
        Arc::make_mut(&mut self.operations).push(operation);
        Ok(())
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        // With one operation more, there is a comma behind each that is there now.
        let commas = self.len();
        let size = OPEN.len() + self.bytes + commas + bytes + CLOSE.len();
        self.len() < self.max_items && size <= MAX_BATCH
    }

    /// Returns the operations in their order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns whether the batch has no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns the size of the body in bytes, at most 500,000.
    #[must_use]
    pub fn size(&self) -> usize {
        OPEN.len() + self.bytes + self.len().saturating_sub(1) + CLOSE.len()
    }

    pub(crate) fn body(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(self.size());
        body.put_slice(OPEN);
        for (index, operation) in self.operations.iter().enumerate() {
            if index > 0 {
                body.put_u8(b',');
            }
            body.put_slice(operation.json());
        }
        body.put_slice(CLOSE);
        body.freeze()
    }

    /// Keeps the operations at the positions for which `keep` returns true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut position = 0;
        Arc::make_mut(&mut self.operations).retain(|_| {
            position += 1;
            keep(position - 1)
        });
        self.bytes = self.operations.iter().map(Operation::size).sum();
    }

    /// Splits the batch into two halves. The order is kept.
    pub(crate) fn halves(self) -> [Self; 2] {
        let max_items = self.max_items;
        let mut left = self.into_operations();
        let right = left.split_off(left.len() / 2);
        [left, right].map(|operations| Self {
            bytes: operations.iter().map(Operation::size).sum(),
            operations: operations.into(),
            max_items,
        })
    }

    pub(crate) fn into_operations(self) -> Vec<Operation> {
        Arc::unwrap_or_clone(self.operations)
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// The error of [`Batch::push`], with the operation that was not added.
#[derive(Debug)]
pub struct NotAdded {
    operation: Operation,
    reason: Reason,
}

#[derive(Debug, PartialEq, Eq)]
enum Reason {
    Alone,
    Full,
    NoEventId,
}

impl NotAdded {
    /// Returns whether the batch is full. Send it and create another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reason == Reason::Full
    }

    /// Returns whether the operation needs a request of its own.
    #[must_use]
    pub fn goes_alone(&self) -> bool {
        matches!(self.reason, Reason::Alone | Reason::NoEventId)
    }

    /// Returns whether the operation is an event that needs a request of its own only because it
    /// has no id. With an id it could join a batch: see [`Event::id`](crate::Event::id).
    #[must_use]
    pub fn has_no_event_id(&self) -> bool {
        self.reason == Reason::NoEventId
    }

    /// Returns the operation.
    #[must_use]
    pub fn into_operation(self) -> Operation {
        self.operation
    }
}

impl fmt::Display for NotAdded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Alone => "the operation cannot share a request; send it alone",
            Reason::Full => "the batch is full; send it and create another",
            Reason::NoEventId => {
                "the event has no id, so it cannot share a request; \
                 give it one with `Event::id`, or send it alone"
            }
        })
    }
}

impl error::Error for NotAdded {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, Person};

    fn operation(value: usize) -> Operation {
        let mut attributes = Attributes::new();
        attributes.insert("a", "x".repeat(value)).unwrap();
        Operation::identify(&Person::id("u1").unwrap(), &attributes).unwrap()
    }

    #[test]
    fn a_batch_fills_up_to_its_last_byte() {
        let fixed = operation(1).size() - 1;
        let each = fixed + 1_000;
        let count = (MAX_BATCH - OPEN.len() - CLOSE.len()) / (each + 1);
        let mut batch = Batch::new();
        for _ in 0..count {
            batch.push(operation(1_000)).unwrap();
        }
        let rest = MAX_BATCH - batch.size() - 1;
        assert!(
            batch
                .push(operation(rest - fixed + 1))
                .unwrap_err()
                .is_full()
        );
        batch.push(operation(rest - fixed)).unwrap();
        assert_eq!((batch.size(), batch.body().len()), (MAX_BATCH, MAX_BATCH));
    }

    #[test]
    fn an_operation_that_goes_alone_is_returned() {
        let deletion = Operation::delete(&Person::id("u1").unwrap()).unwrap();
        let error = Batch::new().push(deletion).unwrap_err();
        assert!(error.goes_alone() && !error.is_full());
        assert!(error.into_operation().goes_alone());
    }

    #[test]
    fn the_error_of_an_event_without_an_id_names_the_id() {
        let event = crate::Event::new("e").unwrap();
        let without = Operation::event(&Person::id("u1").unwrap(), &event).unwrap();
        let error = Batch::new().push(without).unwrap_err();
        assert!(error.goes_alone() && error.has_no_event_id());
        assert!(error.to_string().contains("has no id"), "{error}");
        let event = event.id(crate::EventId::from_parts(0, 1));
        let with = Operation::event(&Person::id("u1").unwrap(), &event).unwrap();
        assert!(Batch::new().push(with).is_ok());
    }

    #[test]
    fn a_body_joins_the_operations() {
        let mut batch = Batch::new();
        assert_eq!(batch.body(), r#"{"batch":[]}"#);
        batch.push(operation(1)).unwrap();
        batch.push(operation(2)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&batch.body()).unwrap();
        assert_eq!(body["batch"][1]["attributes"]["a"], "xx");
        assert_eq!(batch.body().len(), batch.size());
    }

    #[test]
    fn halves_keep_order_and_size() {
        let mut batch = Batch::new();
        for size in 1..=3 {
            batch.push(operation(size)).unwrap();
        }
        let [left, right] = batch.halves();
        let sizes = |batch: &Batch| {
            batch
                .operations()
                .iter()
                .map(Operation::size)
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(&left), [operation(1).size()]);
        assert_eq!(sizes(&right), [operation(2).size(), operation(3).size()]);
        assert_eq!(right.size(), right.body().len());
    }
}
