use customerio_sim::{Server, Simulator, serve_connection};
use hyper::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpStream;

use crate::client::{Client, request};

#[tokio::test]
async fn a_server_serves_on_a_real_socket_until_it_is_dropped() {
    let simulator = Simulator::builder().build();
    let server = Server::bind("127.0.0.1:0", simulator.clone())
        .await
        .unwrap();
    let addr = server.local_addr();
    assert_eq!(server.url(), format!("http://{addr}"));
    let mut client = Client::over(TcpStream::connect(addr).await.unwrap()).await;
    assert_eq!(client.put("1").await.status, 200);
    assert_eq!(simulator.totals().people, 1);
    server.shutdown().await;
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_dropped_server_closes_its_connections() {
    let server = Server::bind("127.0.0.1:0", Simulator::builder().build())
        .await
        .unwrap();
    let mut client = Client::over(TcpStream::connect(server.local_addr()).await.unwrap()).await;
    client.put("1").await;
    drop(server);
    let closed = client
        .send(request(
            Method::PUT,
            "/api/v1/customers/1",
            &serde_json::json!({}),
        ))
        .await;
    assert!(closed.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_an_incomplete_request_is_closed() {
    const HALVES: [&str; 3] = [
        "",
        "PUT /api/v1/customers/1 HTTP/1.1\r\nhost: local",
        "PUT /api/v1/customers/1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{",
    ];
    for half in HALVES {
        let (mut near, far) = duplex(64 * 1024);
        let served = tokio::spawn(serve_connection(far, Simulator::builder().build()));
        near.write_all(half.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        near.read_to_end(&mut reply).await.unwrap();
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.is_empty() || reply.contains(" 408 "), "{reply}");
        served.await.unwrap();
    }
}

#[tokio::test]
async fn records_are_shown_to_this_machine_only() {
    let simulator = Simulator::builder().build();
    for (host, status) in [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("example.com", 403),
    ] {
        let mut client = Client::pipe(&simulator).await;
        let mut request = request(Method::GET, "/_sim/totals", &Value::Null);
        request.headers_mut().insert("host", host.parse().unwrap());
        let reply = client.send(request).await.unwrap();
        assert_eq!(reply.status, status, "{host}");
    }
    let mut client = Client::pipe(&simulator).await;
    let mut nameless = request(Method::GET, "/_sim/totals", &Value::Null);
    nameless.headers_mut().remove("host");
    assert_eq!(client.send(nameless).await.unwrap().status, 403);
}
