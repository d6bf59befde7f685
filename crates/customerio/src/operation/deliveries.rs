use super::Operation;
use super::body::{AboutDelivery, DeliveryId, DeviceToken};
use super::value::{Company, Replay};
use crate::device::check_token;
use crate::error::check_length;
use crate::json::to_bytes;
use crate::{InvalidInput, Lane, PushEvent};

/// No limit is documented; the identifiers of Customer.io are far shorter.
const MAX_DELIVERY_ID: usize = 1_000;

impl Operation {
    /// Reports what became of a push notification on a device. [`v1::metric`](crate::v1::metric) knows all channels.
    ///
    /// Whether a repetition counts twice is not documented, so it goes alone and is not replayed after a failure that
    /// leaves open whether it arrived.
    ///
    /// # Errors
    ///
    /// The delivery id is empty or takes more than 1,000 bytes, or the token is empty or takes more than 4,000.
    pub fn delivery_event(
        delivery_id: &str,
        event: PushEvent,
        device_token: &str,
    ) -> Result<Self, InvalidInput> {
        check_delivery_id(delivery_id)?;
        check_token(device_token)?;
        let body = AboutDelivery {
            r#type: "delivery",
            action: "event",
            identifiers: DeliveryId { id: delivery_id },
            name: event.name(),
            attributes: DeviceToken { device_token },
        };
        let lane = Lane::of(&("delivery", delivery_id));
        Self::new(to_bytes(&body), lane, Replay::Repeats, Company::Alone)
    }
}

pub(crate) fn check_delivery_id(delivery_id: &str) -> Result<(), InvalidInput> {
    check_length("delivery id", delivery_id, MAX_DELIVERY_ID)
}
