//! The files of a run: each in one role, regular, and its user's alone.

#[cfg(not(unix))]
mod other;
mod private;
mod role;
mod roles;
mod shown;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use self::other as system;
#[cfg(unix)]
use self::unix as system;

pub(crate) use self::private::{empty, sync_folder};
pub(crate) use self::role::Role;
pub(crate) use self::roles::Roles;
pub(crate) use self::shown::{escaped, shown};
pub(crate) use self::system::Identity;
