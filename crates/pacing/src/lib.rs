//! The arithmetic of rate limits: when may the next request go.
