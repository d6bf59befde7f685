//! A Customer.io on your laptop that keeps books, enforces limits and misbehaves on request.
