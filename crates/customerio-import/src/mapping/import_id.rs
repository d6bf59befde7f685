use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The id of an import. Event ids are made from it and from the position of the record, so the same
/// import makes the same ids in every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportId {
    id: String,
    /// Makes other event ids than the id alone (`--new-ids`).
    salt: Option<String>,
}

impl ImportId {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            salt: None,
        }
    }

    /// Sets the text that makes event ids differ from those of other runs.
    pub(crate) fn salted(self, salt: Option<&str>) -> Self {
        Self {
            salt: salt.map(str::to_owned),
            ..self
        }
    }

    /// Returns the namespace of the event ids, in the place of `namespace`.
    pub(super) fn namespace<'a>(&self, namespace: &'a str) -> Cow<'a, str> {
        match &self.salt {
            None => namespace.into(),
            Some(salt) => format!("{namespace} {salt}").into(),
        }
    }

    /// Derives the id from the digest of the content and from the serialized mapping.
    pub(super) fn derive(content: &[u8; 32], mapping: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(content)
            .chain_update(mapping)
            .finalize();
        Self::new(hex(&digest))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.id
    }
}

/// Formats bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
