// The Customer.io of the examples in the documentation. An example that sends something includes
// this file in a hidden line and calls `simulated`, so that it runs against a simulator.
//
// The example itself is what a program would contain. `Client::from_env` finds the simulator in the
// environment, which a process must not change once it has threads. The example therefore runs in a
// second process of its test.

/// Runs an example against a simulator that knows the person, the messages and the segment of
/// [`world`].
fn simulated(example: impl Future<Output = Result<(), Box<dyn std::error::Error>>>) {
    run_example(world, example);
}

/// Runs an example against a simulator with these settings, which knows nobody yet.
fn simulated_by(
    settings: customerio_sim::Builder,
    example: impl Future<Output = Result<(), Box<dyn std::error::Error>>>,
) {
    run_example(async || Ok(settings.build()), example);
}

/// Runs an example in a second process, whose environment names the simulator of this one.
fn run_example(
    simulator: impl AsyncFnOnce() -> Result<customerio_sim::Simulator, Box<dyn std::error::Error>>,
    example: impl Future<Output = Result<(), Box<dyn std::error::Error>>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has threads and sockets");
    if std::env::var_os("CUSTOMERIO_EXAMPLE").is_some() {
        return runtime.block_on(example).expect("the example succeeds");
    }
    let status = runtime.block_on(async {
        let simulator = simulator().await.expect("the simulator is set up");
        let server = customerio_sim::Server::bind("127.0.0.1:0", simulator).await;
        let server = server.expect("a port is free");
        let program = std::env::current_exe().expect("this process has a program");
        let mut process = std::process::Command::new(program);
        process.args(std::env::args_os().skip(1)).envs(ENVIRONMENT);
        process.env("CUSTOMERIO_BASE_URL", server.url()).env("CUSTOMERIO_EXAMPLE", "runs");
        for other in ["CUSTOMERIO_REGION", "HTTPS_PROXY", "https_proxy"] {
            process.env_remove(other);
        }
        let ended = tokio::task::spawn_blocking(move || process.status());
        ended.await.expect("waiting does not panic").expect("the process starts")
    });
    assert!(status.success(), "the example failed");
}

const ENVIRONMENT: [(&str, &str); 4] = [
    ("CUSTOMERIO_SITE_ID", "site"),
    ("CUSTOMERIO_TRACK_API_KEY", "key"),
    ("CUSTOMERIO_APP_API_KEY", "app-key"),
    ("CUSTOMERIO_WEBHOOK_SIGNING_KEY", "secret"),
];

/// Returns a simulator with a person, two messages of which one bounced, an event that failed, a
/// segment, a broadcast and the file of an import.
async fn world() -> Result<customerio_sim::Simulator, Box<dyn std::error::Error>> {
    use customerio::{Attributes, Channel, Event, Metric, Object, Operation, Person, Relationship};
    use customerio::{app, v1};
    let simulator = customerio_sim::Simulator::builder()
        .segment(7)
        .broadcast(5)
        .import_file("https://example.com/people.csv", "id,plan\nu3,free\nu4,pro\n")
        .build();
    let client = client_of(&simulator)?;
    let (ada, nobody) = (Person::id("u1")?, Person::cio_id("99")?);
    let mut attributes = Attributes::new();
    attributes.insert("email", "ada@example.com")?.insert("plan", "pro")?;
    client.identify(&ada, &attributes).await?;
    client.track(&ada, &Event::new("paid")?).await?;
    client.track(&nobody, &Event::new("paid")?).await?;
    let acme = [Relationship::with(Object::new(1, "acme")?)];
    client.submit(Operation::add_relationships(&ada, &acme)?).await?;
    client.submit(v1::add_to_segment(7, std::slice::from_ref(&ada))?).await?;
    for template in [44, 45] {
        let email = app::Email::new(template, &ada, "ada@example.com");
        let sent = client.app().send(&email).await?;
        if template == 44 {
            let bounced = Metric::new(Channel::Email, "bounced", sent.delivery_id)?;
            client.submit(v1::metric(&bounced)).await?;
        }
    }
    Ok(simulator)
}

/// Returns a client that sends to a simulator in this process.
fn client_of(
    simulator: &customerio_sim::Simulator,
) -> Result<customerio::Client, Box<dyn std::error::Error>> {
    let builder = customerio::Client::builder()
        .credentials(customerio::Credentials::new("site", "key")?)
        .app_credentials(customerio::app::AppCredentials::new("app-key")?);
    Ok(builder.build_with(simulator.router())?)
}

/// Delivers the event of a message to the receiver of an example, as Customer.io does.
async fn deliver_to(
    receiver: axum::Router,
    path: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let webhook = customerio_sim::Webhook::to_router(receiver, path, "secret");
    let simulator = customerio_sim::Simulator::builder().webhook(webhook).build();
    let ada = customerio::Person::id("u1")?;
    let email = customerio::app::Email::new(44, &ada, "ada@example.com");
    client_of(&simulator)?.app().send(&email).await?;
    let is_delivered = async {
        while simulator.totals().webhooks == 0 {
            assert_eq!(simulator.totals().webhook_failures, 0, "the receiver rejects the event");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = simulator.deliver_webhooks() => {}
        () = is_delivered => {}
    }
    Ok(())
}
