//! The spool of a build without the feature: there is none. The queue names it in the same places.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::oneshot;

use super::error::Reason;
use crate::packer::Priority;
use crate::{Operation, Outcome};

/// An inbox that cannot exist.
pub(super) enum Inbox {}

pub(super) enum DiskOutcome {}

impl DiskOutcome {
    pub(super) fn new(_: u64, _: usize, _: &Outcome) -> Option<Self> {
        None
    }
}

impl Inbox {
    pub(super) fn try_acquire(&self, _: &Operation) -> Result<(), Reason> {
        match *self {}
    }

    pub(super) async fn acquire(&self, _: &Operation) -> bool {
        match *self {}
    }

    pub(super) fn closed_reason(&self) -> Reason {
        match *self {}
    }

    pub(super) fn push(
        &self,
        _: Operation,
        _: Priority,
        _: oneshot::Sender<Outcome>,
        _: oneshot::Sender<Result<(), Reason>>,
    ) -> Option<u64> {
        match *self {}
    }

    pub(super) fn next_id(&self) -> u64 {
        match *self {}
    }

    pub(super) fn settle(&self, _: impl IntoIterator<Item = DiskOutcome>) {
        match *self {}
    }

    pub(super) fn hold(&self, _: Vec<u64>) {
        match *self {}
    }

    pub(super) async fn depart(&self, _: Vec<u64>) {
        match *self {}
    }

    pub(super) fn cancel(&self, _: u64) {
        match *self {}
    }

    pub(super) fn clear(&self, _: u64) {
        match *self {}
    }

    pub(super) fn arriving(&self) -> Arc<AtomicUsize> {
        match *self {}
    }

    pub(super) fn acknowledge_some(&self) -> bool {
        match *self {}
    }

    pub(super) fn shut(&self) {
        match *self {}
    }

    pub(super) fn close(&self) {
        match *self {}
    }

    pub(super) fn close_room(&self) {
        match *self {}
    }
}
