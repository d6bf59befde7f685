use sha2::{Digest, Sha256};

/// Names an import: event ids are made from it and from the place of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportId(String);

impl ImportId {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Derives the id from the digest of the content, and from the mapping as bytes.
    pub(super) fn derive(content: &[u8; 32], mapping: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(content)
            .chain_update(mapping)
            .finalize();
        Self(hex(&digest))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
