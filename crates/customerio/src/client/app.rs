use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::{ApiLimit, Client, Error, Failures, Pages};
use crate::InvalidInput;
use crate::app::{
    Activity, ActivityQuery, AppRequest, FailureQuery, Filter, FoundPerson, Message, Sent, Trigger,
    TriggerErrors, TriggerStatus, Triggered,
};
use crate::response::not_json;

/// The App API of a [`Client`]: messages, triggers of broadcasts, and every other endpoint.
///
/// [`Client::app`] returns it. Cloning is cheap.
///
/// ```
/// use customerio::Person;
/// use customerio::app::Sms;
/// # use customerio::Client;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::disabled();
/// // let client = Client::from_env()?;
/// let app = client.app();
/// let sms = Sms::new("otp", &Person::id("u1")?, "+15551234567");
/// let sent = app.send(&sms).await?;
/// println!("{}", sent.delivery_id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct App(Client);

impl Client {
    /// Returns the App API. It needs App credentials, which the first request checks.
    #[must_use]
    pub fn app(&self) -> App {
        App(self.clone())
    }
}

/// Messages.
impl App {
    /// Sends a transactional message.
    ///
    /// The API has no id by which it could ignore a second copy. The message is sent again only
    /// after a 429, or if it was certainly not sent.
    ///
    /// # Errors
    ///
    /// The message was rejected or not sent, or its outcome is unknown: then it
    /// [may have been sent](Error::may_have_been_applied).
    pub async fn send(&self, message: &impl Message) -> Result<Sent, Error> {
        let request = message.to_request()?;
        self.typed(&request, Sent::from_response).await
    }
}

/// Triggers of broadcasts.
impl App {
    /// Triggers a broadcast. One trigger departs in 10 seconds; others wait in their order.
    ///
    /// It is sent again only after a 429, or if it was certainly not sent.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// ```
    /// use customerio::app::{Audience, Filter, Trigger};
    /// # use customerio::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::disabled();
    /// // let client = Client::from_env()?;
    /// let app = client.app();
    /// let audience = Audience::Recipients(Filter::segment(7));
    /// let triggered = app.trigger(&Trigger::new(5).audience(audience)).await?;
    /// let status = app.trigger_status(5, triggered.id).await?;
    /// if status.processed_at.is_some() {
    ///     let page = app.trigger_errors(5, triggered.id, None).await?;
    ///     println!("{} errors", page.errors.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn trigger(&self, trigger: &Trigger) -> Result<Triggered, Error> {
        let request = trigger.to_request()?;
        self.typed(&request, Triggered::from_response).await
    }

    /// Returns the status of a trigger.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn trigger_status(
        &self,
        broadcast: u64,
        trigger: u64,
    ) -> Result<TriggerStatus, Error> {
        let path = format!("/v1/campaigns/{broadcast}/triggers/{trigger}");
        let request = AppRequest::new(Method::GET, &path)?;
        self.typed(&request, TriggerStatus::from_response).await
    }

    /// Returns a page of the errors of a trigger: the first one, or the one that starts at
    /// [`next`](TriggerErrors::next) of the page before.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn trigger_errors(
        &self,
        broadcast: u64,
        trigger: u64,
        start: Option<&str>,
    ) -> Result<TriggerErrors, Error> {
        let path = format!("/v1/campaigns/{broadcast}/triggers/{trigger}/errors");
        let mut request = AppRequest::new(Method::GET, &path)?;
        if let Some(start) = start {
            request = request.query("start", start)?;
        }
        self.typed(&request, TriggerErrors::from_response).await
    }
}

/// People.
impl App {
    /// Searches for people, and returns them page by page as they are read.
    ///
    /// ```
    /// # use customerio::Client;
    /// use customerio::app::Filter;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::disabled().with_service(tower::service_fn(|_| async {
    /// #     let found = r#"{"identifiers":[{"cio_id":"a","id":"u1","email":null}],"next":""}"#;
    /// #     Ok::<_, std::io::Error>(http::Response::new(String::from(found)))
    /// # }));
    /// // let client = Client::from_env()?;
    /// let mut people = client.app().search(&Filter::attribute_is("plan", "pro")?);
    /// while let Some(person) = people.next().await {
    ///     println!("{:?}", person?.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn search(&self, filter: &Filter) -> Pages<FoundPerson> {
        let request = AppRequest::new(Method::POST, "/v1/customers")
            // The largest page that the API returns.
            .and_then(|request| request.query("limit", 1_000))
            .and_then(|request| request.json(&json!({ "filter": filter })))
            .map(|request| request.replay(true));
        Pages::new(self.clone(), request, "identifiers")
    }

    /// Returns the people with an email address: none, one, or several.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn people_with_email(&self, email: &str) -> Result<Vec<FoundPerson>, Error> {
        #[derive(Deserialize)]
        struct Found {
            results: Option<Vec<FoundPerson>>,
        }
        let search = self.request(Method::GET, "/v1/customers");
        let found: Found = search.query("email", email).send().await?.json()?;
        Ok(found.results.unwrap_or_default())
    }

    /// Returns the activities of the workspace or of a person, page by page as they are read.
    ///
    /// ```
    /// # use customerio::Client;
    /// use customerio::Person;
    /// use customerio::app::{ActivityQuery, PersonActivity};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::disabled().with_service(tower::service_fn(|_| async {
    /// #     let page = r#"{"activities":[{"id":"a","type":"event","name":"paid"}],"next":""}"#;
    /// #     Ok::<_, std::io::Error>(http::Response::new(String::from(page)))
    /// # }));
    /// // let client = Client::from_env()?;
    /// let query = ActivityQuery::of(&Person::id("u1")?).activity_type(PersonActivity::Event);
    /// let mut activities = client.app().activities(&query);
    /// while let Some(activity) = activities.next().await {
    ///     println!("{:?}", activity?.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn activities(&self, query: &ActivityQuery) -> Pages<Activity> {
        Pages::new(self.clone(), query.to_request(), "activities")
    }

    /// Returns the failed and skipped activities since a moment: data that the API accepted with a
    /// 200, and did not apply.
    ///
    /// Read them once the log is [complete](FailureQuery::complete_at). An empty result does not
    /// prove that everything was applied: see [`FailureQuery`].
    ///
    /// ```
    /// # use customerio::Client;
    /// use customerio::Timestamp;
    /// use customerio::app::FailureQuery;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::disabled().with_service(tower::service_fn(|_| async {
    /// #     let page = r#"{"activities":[{"id":"a","type":"failed_event","timestamp":1700000001}]}"#;
    /// #     Ok::<_, std::io::Error>(http::Response::new(String::from(page)))
    /// # }));
    /// // let client = Client::from_env()?;
    /// let started = Timestamp::new(1_700_000_000)?; // before the first request of an import
    /// let mut failures = client.app().failures(&FailureQuery::since(started));
    /// while let Some(failure) = failures.next().await {
    ///     let failure = failure?;
    ///     println!("{} {:?}", failure.activity_type, failure.timestamp);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn failures(&self, query: &FailureQuery) -> Failures {
        Failures::new(self.clone(), query)
    }

    /// Returns the items of a list that pages by `next`, page by page as they are read. `list` is
    /// the member of the reply that holds them.
    ///
    /// A list that pages by `page` or `offset`, such as the suppressions of an email provider, ends
    /// after its first page here. Request its pages one by one.
    ///
    /// ```
    /// # use customerio::Client;
    /// use customerio::app::AppRequest;
    /// use http::Method;
    /// use serde_json::Value;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::disabled().with_service(tower::service_fn(|_| async {
    /// #     let page = r#"{"messages":[{"id":"dgO="}],"next":""}"#;
    /// #     Ok::<_, std::io::Error>(http::Response::new(String::from(page)))
    /// # }));
    /// // let client = Client::from_env()?;
    /// let request = AppRequest::new(Method::GET, "/v1/broadcasts/5/messages")?;
    /// let mut messages = client.app().pages::<Value>(request, "messages");
    /// while let Some(message) = messages.next().await {
    ///     println!("{}", message?["id"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pages<T>(&self, request: AppRequest, list: &'static str) -> Pages<T> {
        Pages::new(self.clone(), Ok(request), list)
    }
}

/// Every other endpoint.
impl App {
    /// Begins a request to any endpoint. It has the same authentication, limits, retries and errors
    /// as the typed ones.
    ///
    /// Values in `path` must be percent-encoded: see [`segment`](crate::app::segment).
    ///
    /// ```
    /// # use customerio::Client;
    /// use http::Method;
    /// use serde_json::{Value, json};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::disabled().with_service(tower::service_fn(|_| async {
    /// #     let found = r#"{"identifiers":[{"cio_id":"a"}],"ids":[""],"next":""}"#;
    /// #     Ok::<_, std::io::Error>(http::Response::new(String::from(found)))
    /// # }));
    /// // let client = Client::from_env()?;
    /// let search = client.app().request(Method::POST, "/v1/customers");
    /// let found: Value = search
    ///     .query("limit", 100)
    ///     .json(&json!({"filter": {"segment": {"id": 7}}}))
    ///     .replay(true) // a search changes nothing
    ///     .send()
    ///     .await?
    ///     .json()?;
    /// assert_eq!(found["identifiers"][0]["cio_id"], "a");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Live notifications
    ///
    /// An update replaces the whole state, so updates must arrive in order: await each before the
    /// next. A start that is replayed would show a second notification, so it is sent once. An
    /// update and an end may be replayed.
    ///
    /// ```
    /// use customerio::client::{App, Error};
    /// use http::Method;
    /// use serde_json::{Value, json};
    ///
    /// async fn follow(app: &App, states: &[Value]) -> Result<(), Error> {
    ///     let start = json!({
    ///         "identifiers": {"id": "u1"},
    ///         "notification_type": "io.customer.livenotifications.segments",
    ///         "attributes": {"header": "Order 4711"},
    ///         "content_state": {"status": "packed", "segmentsTotal": 3, "segmentsComplete": 1},
    ///     });
    ///     let start = app.request(Method::POST, "/v1/live_notifications/start").json(&start);
    ///     let started: Value = start.send().await?.json()?;
    ///     for state in states {
    ///         let update = json!({"instance_id": started["instance_id"], "content_state": state});
    ///         let call = app.request(Method::POST, "/v1/live_notifications/update");
    ///         call.json(&update).replay(true).send().await?; // awaited: the order is kept
    ///     }
    ///     let end = json!({"instance_id": started["instance_id"]});
    ///     let call = app.request(Method::POST, "/v1/live_notifications/end");
    ///     call.json(&end).replay(true).send().await?;
    ///     Ok(())
    /// }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let client = customerio::Client::disabled();
    /// # follow(&client.app(), &[json!({"status": "sent"})]).await.unwrap();
    /// # assert_eq!(client.stats().requests, 3);
    /// # }
    /// ```
    pub fn request(&self, method: Method, path: &str) -> AppCall {
        AppCall {
            app: self.clone(),
            request: AppRequest::new(method, path),
        }
    }

    /// Sends a request that was made before. [`request`](Self::request) makes and sends one.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn execute(&self, request: &AppRequest) -> Result<AppResponse, Error> {
        let (outcome, response) = Call::new(&self.0.0, None).send_app(request).await;
        Error::check_app(outcome, request.method())?;
        let response = response.expect("an accepted request has a response");
        Ok(AppResponse(response))
    }

    /// Sends a request and reads its reply.
    async fn typed<T>(
        &self,
        request: &AppRequest,
        read: fn(&Response<Bytes>) -> Option<T>,
    ) -> Result<T, Error> {
        let AppResponse(response) = self.execute(request).await?;
        // The effect of a success without the promised members is not known.
        let unread = || Error::of_app(not_json(&response), request.method());
        read(&response).ok_or_else(unread)
    }

    /// Returns the state of a rate limit, which all clients of the workspace share. Messages count
    /// against [`ApiLimit::Ingress`].
    #[must_use]
    pub fn limit(&self, limit: ApiLimit) -> tower_pace::rate::Snapshot {
        self.0.limit_of(limit)
    }
}

/// A request to the App API that is being built. [`App::request`] begins one.
///
/// An invalid setting is the error of [`send`](Self::send).
#[derive(Clone, Debug)]
#[must_use = "a request is sent by `send`"]
pub struct AppCall {
    app: App,
    request: Result<AppRequest, InvalidInput>,
}

impl AppCall {
    /// Adds a parameter to the query. Name and value are percent-encoded.
    pub fn query(self, name: &str, value: impl fmt::Display) -> Self {
        self.change(|request| request.query(name, value))
    }

    /// Sets the body to a value, serialized as JSON.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.change(|request| request.json(body))
    }

    /// Sets a body that is not JSON, such as the multipart form of an upload.
    pub fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.change(|request| request.body(content_type, body))
    }

    /// Sets whether the request may be sent again after a failure that leaves open whether it
    /// arrived. By default, requests of an idempotent method may: see [`AppRequest::replay`].
    pub fn replay(self, may_replay: bool) -> Self {
        self.change(|request| Ok(request.replay(may_replay)))
    }

    fn change(self, change: impl FnOnce(AppRequest) -> Result<AppRequest, InvalidInput>) -> Self {
        Self {
            request: self.request.and_then(change),
            ..self
        }
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// The request was rejected or not sent, its outcome is unknown, or the daily quota of the
    /// endpoint is used up: see [`Error::is_daily_quota`].
    pub async fn send(self) -> Result<AppResponse, Error> {
        self.app.execute(&self.request?).await
    }
}

/// A success of the App API. Its body is JSON or empty, and at most 16 MiB long.
///
/// `Debug` shows the status only: the body holds people's data.
#[derive(Clone)]
pub struct AppResponse(Response<Bytes>);

impl AppResponse {
    /// Returns the status: 2xx.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the header fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.0.body()
    }

    /// Returns how many requests of today's quota remain, if the endpoint has one.
    #[must_use]
    pub fn quota_remaining(&self) -> Option<u64> {
        let remaining = self.0.headers().get("x-ratelimit-remaining")?;
        remaining.to_str().ok()?.trim().parse().ok()
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// The body has another structure than `T`. The request itself succeeded, so
    /// [`Error::may_have_been_applied`] is true. The error contains nothing of the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let json = serde_json::from_slice(self.0.body());
        json.map_err(|error| Error::unread(self.status(), &error))
    }
}

impl fmt::Debug for AppResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppResponse")
            .field("status", &self.0.status())
            .finish_non_exhaustive()
    }
}
