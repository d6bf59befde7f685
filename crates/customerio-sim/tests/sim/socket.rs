use customerio_sim::{Server, Simulator};
use tokio::net::TcpStream;

use crate::client::Client;

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
    assert_eq!(simulator.books().people, 1);
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
        .send(crate::client::request(
            hyper::Method::PUT,
            "/api/v1/customers/1",
            &serde_json::json!({}),
        ))
        .await;
    assert!(closed.is_err());
}
