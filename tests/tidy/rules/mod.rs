//! The rules, by what they look at. A rule is a function from what it reads to what it found.

pub(crate) mod arrows;
pub(crate) mod bans;
pub(crate) mod comments;
pub(crate) mod links;
pub(crate) mod mentions;
pub(crate) mod papers;
pub(crate) mod scope;
pub(crate) mod sizes;
