use serde::Serialize;

/// The reason why an operation is rejected. v2 sends all three fields, v1 only the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rejection {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Rejection {
    pub(crate) fn required(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: "required",
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: "invalid",
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn unknown_action(action: &str) -> Self {
        Self::invalid(
            "action",
            format!("action '{action}' is not valid for this type"),
        )
    }

    pub(crate) fn too_large(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: "too_large",
            field: field.into(),
            message: message.into(),
        }
    }
}
