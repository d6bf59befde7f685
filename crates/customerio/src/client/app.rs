use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::{ApiLimit, Client, Error, Failures, Pages};
use crate::app::{
    Activity, ActivityQuery, AppRequest, Customer, Export, ExportStatus, FailureQuery, Filter,
    FoundPerson, Import, ImportStatus, Message, MessageQuery, MessageRecord, ObjectRelationship,
    OptOut, PersonOptOuts, Segment, Sent, SubscriptionPreferences, Trigger, TriggerErrors,
    TriggerStatus, Triggered, member,
};
use crate::error::{check_count, check_length, check_some};
use crate::response::not_json;
use crate::{InvalidInput, Person};

/// The App API of a [`Client`]: messages, triggers of broadcasts, and every other endpoint.
///
/// [`Client::app`] returns it. Cloning is cheap.
///
/// ```
/// use customerio::app::Sms;
/// use customerio::{Client, Person};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
/// # fn main() { simulated(async {
/// let app = Client::from_env()?.app();
/// let sms = Sms::new("otp", &Person::id("u1")?, "+15551234567");
/// let sent = app.send(&sms).await?;
/// println!("{}", sent.delivery_id);
/// # Ok(()) }) }
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
    /// use customerio::Client;
    /// use customerio::app::{Audience, Filter, Trigger};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let app = Client::from_env()?.app();
    /// let audience = Audience::Recipients(Filter::segment(7));
    /// let triggered = app.trigger(&Trigger::new(5).audience(audience)).await?;
    /// let status = app.trigger_status(5, triggered.id).await?;
    /// if status.processed_at.is_some() {
    ///     let page = app.trigger_errors(5, triggered.id, None).await?;
    ///     println!("{} errors", page.errors.len());
    /// }
    /// # assert!(status.processed_at.is_some());
    /// # Ok(()) }) }
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
    /// use customerio::Client;
    /// use customerio::app::Filter;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let app = Client::from_env()?.app();
    /// let mut people = app.search(&Filter::attribute_is("plan", "pro")?);
    /// # let mut found = 0;
    /// while let Some(person) = people.next().await {
    ///     println!("{:?}", person?.id);
    ///     # found += 1;
    /// }
    /// # assert_eq!(found, 1);
    /// # Ok(()) }) }
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

    /// Returns a person with their attributes and devices.
    ///
    /// ```
    /// use customerio::{Client, Person};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let app = Client::from_env()?.app();
    /// let customer = app.customer(&Person::id("u1")?).await?;
    /// assert_eq!(customer.attribute("plan"), Some("pro"));
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`]. A person who does not exist is rejected with the
    /// [status](Error::status) 404; this holds for all questions about one person.
    pub async fn customer(&self, person: &Person) -> Result<Customer, Error> {
        let request = AppRequest::of_person(Method::GET, person, "attributes")?;
        self.typed(&request, |response| member(response, "customer"))
            .await
    }

    /// Returns up to 100 people with their attributes and devices. The reply leaves out people who
    /// do not exist, so compare identifiers and not positions.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`]; or there are no people, more than 100, or they are identified in
    /// different ways.
    pub async fn customers(&self, people: &[Person]) -> Result<Vec<Customer>, Error> {
        #[derive(Deserialize)]
        struct Item {
            customer: Customer,
        }
        let request = customers_request(people)?;
        let items = self.typed(&request, |response| {
            member::<Option<Vec<Item>>>(response, "customers")
        });
        let items = items.await?.unwrap_or_default();
        Ok(items.into_iter().map(|item| item.customer).collect())
    }

    /// Returns the segments that a person is in.
    ///
    /// # Errors
    ///
    /// As for [`customer`](Self::customer).
    pub async fn segments_of(&self, person: &Person) -> Result<Vec<Segment>, Error> {
        let request = AppRequest::of_person(Method::GET, person, "segments")?;
        self.list(&request, |response| member(response, "segments"))
            .await
    }

    /// Returns the relationships of a person with objects, page by page as they are read.
    pub fn relationships_of(&self, person: &Person) -> Pages<ObjectRelationship> {
        // For this list, the API documents no parameter for the kind of the identifier.
        let request = match person.key() {
            "id" => {
                let path = format!("/v1/customers/{}/relationships", person.app_segment());
                AppRequest::new(Method::GET, &path)
            }
            _ => AppRequest::of_person(Method::GET, person, "relationships"),
        };
        let request = request.and_then(|request| request.query("limit", 100));
        Pages::new(self.clone(), request, "cio_relationships")
    }

    /// Returns the topics that a person subscribed to, with names and descriptions in a language,
    /// such as `fr`, or in that of the workspace.
    ///
    /// # Errors
    ///
    /// As for [`customer`](Self::customer).
    pub async fn subscription_preferences(
        &self,
        person: &Person,
        language: Option<&str>,
    ) -> Result<SubscriptionPreferences, Error> {
        let mut request = AppRequest::of_person(Method::GET, person, "subscription_preferences")?;
        if let Some(language) = language {
            request = request.query("language", language)?;
        }
        self.typed(&request, |response| member(response, "customer"))
            .await
    }

    /// Returns the senders whose messages a person does not want.
    ///
    /// # Errors
    ///
    /// As for [`customer`](Self::customer).
    pub async fn opt_outs(&self, person: &Person) -> Result<Vec<OptOut>, Error> {
        let request = AppRequest::of_person(Method::GET, person, "optouts")?;
        self.list(&request, |response| member(response, "optouts"))
            .await
    }

    /// Opts a person out of the messages of some senders.
    ///
    /// # Errors
    ///
    /// As for [`customer`](Self::customer); or there is no sender, or one is blank.
    pub async fn opt_out(&self, person: &Person, senders: &[OptOut]) -> Result<(), Error> {
        self.change_opt_outs(person, senders, true).await
    }

    /// Opts a person back in to the messages of some senders.
    ///
    /// # Errors
    ///
    /// As for [`opt_out`](Self::opt_out).
    pub async fn opt_in(&self, person: &Person, senders: &[OptOut]) -> Result<(), Error> {
        self.change_opt_outs(person, senders, false).await
    }

    async fn change_opt_outs(
        &self,
        person: &Person,
        senders: &[OptOut],
        optout: bool,
    ) -> Result<(), Error> {
        let request = OptOut::change(person, senders, optout)?;
        self.execute(&request).await.map(drop)
    }

    /// Returns all people who opted out of a sender, or of any sender, page by page as they are
    /// read.
    pub fn all_opt_outs(&self, from: Option<&str>) -> Pages<PersonOptOuts> {
        let mut request = AppRequest::new(Method::GET, "/v1/optouts")
            // The largest page that the API returns.
            .and_then(|request| request.query("limit", 1_000));
        if let Some(from) = from {
            request = request.and_then(|request| request.query("from", from));
        }
        Pages::new(self.clone(), request, "optouts")
    }

    /// Returns the activities of the workspace or of a person, page by page as they are read.
    ///
    /// ```
    /// use customerio::app::{ActivityQuery, PersonActivity};
    /// use customerio::{Client, Person};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let query = ActivityQuery::of(&Person::id("u1")?).activity_type(PersonActivity::Event);
    /// let mut activities = Client::from_env()?.app().activities(&query);
    /// # let mut names = Vec::new();
    /// while let Some(activity) = activities.next().await {
    ///     let activity = activity?;
    ///     println!("{:?}", activity.name);
    ///     # names.extend(activity.name);
    /// }
    /// # assert_eq!(names, ["paid"]);
    /// # Ok(()) }) }
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
    /// use customerio::app::FailureQuery;
    /// use customerio::{Client, Timestamp};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let started = Timestamp::new(1_767_225_600)?; // before the first request of an import
    /// let mut failures = Client::from_env()?.app().failures(&FailureQuery::since(started));
    /// # let mut types = Vec::new();
    /// while let Some(failure) = failures.next().await {
    ///     let failure = failure?;
    ///     println!("{} {:?}", failure.activity_type, failure.timestamp);
    ///     # types.push(failure.activity_type.to_string());
    /// }
    /// # assert_eq!(types, ["failed_event"]);
    /// # Ok(()) }) }
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
    /// use customerio::Client;
    /// use customerio::app::AppRequest;
    /// use http::Method;
    /// use serde_json::Value;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let request = AppRequest::new(Method::GET, "/v1/transactional/44/messages")?;
    /// let mut messages = Client::from_env()?.app().pages::<Value>(request, "messages");
    /// # let mut found = 0;
    /// while let Some(message) = messages.next().await {
    ///     println!("{}", message?["id"]);
    ///     # found += 1;
    /// }
    /// # assert_eq!(found, 1);
    /// # Ok(()) }) }
    /// ```
    pub fn pages<T>(&self, request: AppRequest, list: &'static str) -> Pages<T> {
        Pages::new(self.clone(), Ok(request), list)
    }
}

/// Messages that were created, with their metrics.
impl App {
    /// Returns the messages of the workspace or of a person, page by page as they are read.
    ///
    /// ```
    /// use customerio::Client;
    /// use customerio::app::MessageQuery;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let bounced = MessageQuery::all().message_type("email").metric("bounced");
    /// let mut messages = Client::from_env()?.app().messages(&bounced);
    /// # let mut times = Vec::new();
    /// while let Some(message) = messages.next().await {
    ///     let message = message?;
    ///     println!("{:?}", message.metric("bounced"));
    ///     # times.extend(message.metric("bounced"));
    /// }
    /// # assert_eq!(times.len(), 1);
    /// # Ok(()) }) }
    /// ```
    pub fn messages(&self, query: &MessageQuery) -> Pages<MessageRecord> {
        Pages::new(self.clone(), query.to_request(), "messages")
    }

    /// Returns a message by its delivery id, as [`send`](Self::send) returned it.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn message(&self, delivery_id: &str) -> Result<MessageRecord, Error> {
        let request = MessageRecord::request(delivery_id)?;
        self.typed(&request, |response| member(response, "message"))
            .await
    }
}

/// Segments.
impl App {
    /// Returns all segments.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn segments(&self) -> Result<Vec<Segment>, Error> {
        let request = AppRequest::new(Method::GET, "/v1/segments")?;
        self.list(&request, |response| member(response, "segments"))
            .await
    }

    /// Returns a segment.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn segment(&self, id: u64) -> Result<Segment, Error> {
        let request = AppRequest::new(Method::GET, &format!("/v1/segments/{id}"))?;
        self.typed(&request, |response| member(response, "segment"))
            .await
    }

    /// Creates a manual segment. People are added with
    /// [`v1::add_to_segment`](crate::v1::add_to_segment).
    ///
    /// It is not sent again after a failure that leaves open whether it arrived: it would create a
    /// second segment.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`]; or the name is empty.
    pub async fn create_segment(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<Segment, Error> {
        check_length("segment's name", name, usize::MAX)?;
        let mut segment = json!({ "name": name });
        if let Some(description) = description {
            segment["description"] = description.into();
        }
        let request = AppRequest::new(Method::POST, "/v1/segments")?;
        let request = request.json(&json!({ "segment": segment }))?;
        self.typed(&request, |response| member(response, "segment"))
            .await
    }

    /// Deletes a manual segment.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn delete_segment(&self, id: u64) -> Result<(), Error> {
        let request = AppRequest::new(Method::DELETE, &format!("/v1/segments/{id}"))?;
        self.execute(&request).await.map(drop)
    }

    /// Returns how many people are in a segment.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn segment_size(&self, id: u64) -> Result<u64, Error> {
        let request = AppRequest::new(Method::GET, &format!("/v1/segments/{id}/customer_count"))?;
        self.typed(&request, |response| member(response, "count"))
            .await
    }

    /// Returns the people in a segment, page by page as they are read.
    pub fn segment_members(&self, id: u64) -> Pages<FoundPerson> {
        let request = AppRequest::new(Method::GET, &format!("/v1/segments/{id}/membership"))
            .and_then(|request| request.query("limit", 1_000));
        Pages::new(self.clone(), request, "identifiers")
    }
}

/// Imports and exports of whole files, which Customer.io carries out later.
impl App {
    /// Starts an import of a file at a URL.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use customerio::Client;
    /// use customerio::app::{Import, ImportIdentifier};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let app = Client::from_env()?.app();
    /// let url = "https://example.com/people.csv";
    /// let import = Import::people("spring", url, ImportIdentifier::Id);
    /// let mut status = app.create_import(&import).await?;
    /// while !status.state.is_final() {
    ///     tokio::time::sleep(Duration::from_secs(10)).await;
    ///     status = app.import_status(status.id).await?;
    /// }
    /// println!("{:?}: {:?} rows", status.state, status.rows_imported);
    /// # assert_eq!(status.rows_imported, Some(2));
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`]; or the import is invalid: see [`Import::to_request`].
    pub async fn create_import(&self, import: &Import) -> Result<ImportStatus, Error> {
        let request = import.to_request()?;
        self.typed(&request, |response| member(response, "import"))
            .await
    }

    /// Returns the status of an import.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn import_status(&self, id: u64) -> Result<ImportStatus, Error> {
        let request = AppRequest::new(Method::GET, &format!("/v1/imports/{id}"))?;
        self.typed(&request, |response| member(response, "import"))
            .await
    }

    /// Starts an export.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn create_export(&self, export: &Export) -> Result<ExportStatus, Error> {
        let request = export.to_request()?;
        self.typed(&request, |response| member(response, "export"))
            .await
    }

    /// Returns the status of an export. Once it [is done](ExportStatus::is_done), `GET
    /// /v1/exports/{id}/download` returns a link to the file, which is valid for some time and
    /// needs no key: see [`request`](Self::request).
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn export_status(&self, id: u64) -> Result<ExportStatus, Error> {
        let request = AppRequest::new(Method::GET, &format!("/v1/exports/{id}"))?;
        self.typed(&request, |response| member(response, "export"))
            .await
    }

    /// Returns all exports.
    ///
    /// # Errors
    ///
    /// As for [`AppCall::send`].
    pub async fn exports(&self) -> Result<Vec<ExportStatus>, Error> {
        let request = AppRequest::new(Method::GET, "/v1/exports")?;
        self.list(&request, |response| member(response, "exports"))
            .await
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
    /// use customerio::Client;
    /// use http::Method;
    /// use serde_json::{Value, json};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// let app = Client::from_env()?.app();
    /// let search = app.request(Method::POST, "/v1/customers");
    /// let found: Value = search
    ///     .query("limit", 100)
    ///     .json(&json!({"filter": {"segment": {"id": 7}}}))
    ///     .replay(true) // a search changes nothing
    ///     .send()
    ///     .await?
    ///     .json()?;
    /// assert_eq!(found["ids"][0], "u1");
    /// # Ok(()) }) }
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # fn main() { simulated(async {
    /// # let app = customerio::Client::from_env()?.app();
    /// # follow(&app, &[json!({"status": "sent"})]).await?;
    /// # Ok(()) }) }
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

    /// Sends a request and reads the list in its reply, which is `null` in place of empty.
    async fn list<T>(
        &self,
        request: &AppRequest,
        read: fn(&Response<Bytes>) -> Option<Option<Vec<T>>>,
    ) -> Result<Vec<T>, Error> {
        self.typed(request, read)
            .await
            .map(Option::unwrap_or_default)
    }

    /// Returns the state of a rate limit, which all clients of the workspace share. Messages count
    /// against [`ApiLimit::Ingress`].
    #[must_use]
    pub fn limit(&self, limit: ApiLimit) -> tower_pace::rate::Snapshot {
        self.0.limit_of(limit)
    }
}

/// Returns the request for the attributes of many people.
fn customers_request(people: &[Person]) -> Result<AppRequest, InvalidInput> {
    // The documented number of people in one request.
    const MAX_PEOPLE: usize = 100;
    check_some("people", people.len())?;
    check_count("people", people.len(), MAX_PEOPLE)?;
    let kind = people[0].key();
    if people.iter().any(|person| person.key() != kind) {
        return Err(InvalidInput::malformed(
            "people",
            "are identified in different ways; send one request for each kind of identifier",
        ));
    }
    let ids: Vec<_> = people.iter().map(Person::app_id).collect();
    let mut request = AppRequest::new(Method::POST, "/v1/customers/attributes")?;
    if kind != "id" {
        request = request.query("id_type", kind)?;
    }
    // A question, though it is a POST.
    Ok(request.json(&json!({ "ids": ids }))?.replay(true))
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
