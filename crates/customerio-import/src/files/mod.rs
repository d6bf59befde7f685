//! The files of a run: each has one role, is a regular file, and only its user can read it.

#[cfg(not(unix))]
mod other;
mod roles;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use self::other as system;
#[cfg(unix)]
use self::unix as system;

pub(crate) use self::roles::{Role, Roles, is_at, sync_folder, truncate};
pub(crate) use self::system::Identity;
