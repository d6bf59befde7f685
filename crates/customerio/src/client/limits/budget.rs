/// Names what is limited apart from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Budget {
    /// Requests to the App API, apart from triggers and sends.
    App,
    /// Requests to the Track API, both versions together.
    Ingress,
    /// Operations to the Track API, of which a request carries one or, as a batch, several. It holds beside
    /// [`Budget::Ingress`], on the same turn.
    Records,
    /// Requests that trigger a broadcast. Each takes one of [`Budget::App`] as well: put the layers of both over them.
    Trigger,
}

impl Budget {
    /// Returns the budget whose limiter keeps this one.
    pub(super) const fn limiter(self) -> Self {
        match self {
            Self::Ingress | Self::Records => Self::Ingress,
            Self::App | Self::Trigger => self,
        }
    }
}
