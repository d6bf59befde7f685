use std::str::FromStr;

use crate::setting::InvalidSetting;

/// Which records a simulator keeps.
///
/// # Counts only
///
/// With [`Records::CountsOnly`] the memory does not grow with the requests, apart from the status
/// of each import and export, and from segments that are created. Each request is checked, limited,
/// counted and answered as usual. Nothing that it changes is remembered, so the simulator does not
/// know
///
/// - which people exist: [`Totals::people`](crate::Totals::people) is 0, an event or an update
///   never meets a suppressed or an unknown person, and a trigger is accepted for any audience;
/// - whether the id of an event was seen before: each event counts in
///   [`Totals::events`](crate::Totals::events), none in
///   [`Totals::duplicate_events`](crate::Totals::duplicate_events), and [`Dedupe`](crate::Dedupe)
///   has no effect;
/// - the effect of any operation: the methods of [`Simulator`](crate::Simulator) that return a
///   record, the paths under `/_sim/` apart from `/_sim/totals`, and the App API's status of a
///   trigger, searches, activities and messages find nothing, and no webhook has an event. A
///   segment or a broadcast that was created exists, and stays empty. Every live notification
///   counts as active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// Keeps the record of each person, object, event, message, trigger, delivery and form.
    #[default]
    All,
    /// Keeps [`Totals`](crate::Totals) only.
    CountsOnly,
}

impl FromStr for Records {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        match text {
            "all" => Ok(Self::All),
            "counts-only" => Ok(Self::CountsOnly),
            _ => Err(InvalidSetting::new("records", text, "all or counts-only")),
        }
    }
}
