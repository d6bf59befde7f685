use std::io::Read;

/// A source of decompressed bytes, read on a thread of its own.
pub(super) type Bytes = Box<dyn Read + Send>;
