use sha2::{Digest, Sha256};

/// The id of an import. Event ids are made from it and from the position of the record, so the same
/// import makes the same ids in every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportId(String);

impl ImportId {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Derives the id from the digest of the content and from the serialized mapping.
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

/// Formats bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
