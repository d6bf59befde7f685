/// Names what is limited apart from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Budget {
    /// Requests to the App API, apart from triggers and sends.
    App,
    /// Requests to the Track API, both versions together.
    Ingress,
    /// Requests that trigger a broadcast. Each takes one of [`Budget::App`] as well.
    Trigger,
}
