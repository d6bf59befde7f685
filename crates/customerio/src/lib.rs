//! Unofficial client for Customer.io: requests as values, typed outcomes.
