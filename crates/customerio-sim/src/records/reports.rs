use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::api::{DeliveryReport, Subscription};

/// The reports about one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// How often each metric was reported.
    pub metrics: BTreeMap<String, u64>,
    /// Whether its recipient unsubscribed through it.
    pub unsubscribed: bool,
}

/// The submissions of one form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Form {
    /// How often it was submitted.
    pub submissions: u64,
    /// The data of the last submission, without the identifier.
    pub last: Map<String, Value>,
}

/// The records of deliveries and forms.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) deliveries: HashMap<String, Delivery>,
    pub(super) forms: HashMap<String, Form>,
}

impl Reports {
    pub(super) fn delivery(&mut self, id: String, report: DeliveryReport) {
        let delivery = self.deliveries.entry(id).or_default();
        match report {
            DeliveryReport::Metric { name, .. } => *delivery.metrics.entry(name).or_default() += 1,
            DeliveryReport::Subscription(subscription) => {
                delivery.unsubscribed = subscription == Subscription::Unsubscribed;
            }
        }
    }

    pub(super) fn form_submitted(&mut self, form: String, data: Map<String, Value>) {
        let form = self.forms.entry(form).or_default();
        form.submissions += 1;
        form.last = data;
    }
}
