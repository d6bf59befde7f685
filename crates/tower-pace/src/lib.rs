//! Rate limit, retry and concurrency layers for tower clients of rate-limited HTTP APIs.
