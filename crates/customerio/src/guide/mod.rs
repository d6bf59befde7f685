//! Pages that answer a question from beginning to end.

#[doc = include_str!("../../docs/migration.md")]
pub mod migration {}

#[doc = include_str!("../../docs/recipe.md")]
pub mod recipe {}
