//! The memory of a list of the App API that is read page by page: that of one page.

use std::io;

use bytes::Bytes;
use customerio::app::{AppCredentials, Filter};
use customerio::{Client, client::Limits};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::service_fn;

use crate::{counted, runtime};

const PAGE: usize = 1_000;

/// Returns a page of `people`, from the position in the query.
fn page(request: &Request<Full<Bytes>>, people: usize) -> Bytes {
    let query = request.uri().query().unwrap_or_default();
    let start = query.split_once("start=").map_or("0", |(_, start)| start);
    let start: usize = start.parse().unwrap();
    let found = (start..people.min(start + PAGE)).map(|number| {
        let id = format!("{number:08}");
        json!({"cio_id": id, "id": id, "email": format!("{id}@example.com")})
    });
    let next = match start + PAGE {
        next if next < people => next.to_string(),
        _ => String::new(),
    };
    let page = json!({"identifiers": found.collect::<Vec<_>>(), "ids": [], "next": next});
    page.to_string().into()
}

/// Returns the most bytes in use while `people` people are read.
fn most_bytes(people: usize) -> u64 {
    let used = counted(|| {
        runtime().block_on(async {
            let api = service_fn(move |request: Request<Full<Bytes>>| async move {
                Ok::<_, io::Error>(Response::new(Full::new(page(&request, people))))
            });
            let client = Client::builder()
                .app_credentials(AppCredentials::new("key").unwrap())
                .limits(Limits::documented())
                .build_with(api);
            let filter = Filter::segment(7);
            let mut found = client.unwrap().app().search(&filter);
            let mut count = 0;
            while let Some(person) = found.next().await {
                assert!(person.unwrap().email.is_some());
                count += 1;
            }
            assert_eq!(count, people);
        });
    });
    used.bytes_max
}

#[test]
fn ten_thousand_people_are_read_in_the_memory_of_one_page() {
    let (one, two, ten) = (
        most_bytes(PAGE),
        most_bytes(2 * PAGE),
        most_bytes(10 * PAGE),
    );
    println!("\nbytes at most: {one} for 1,000 people, {two} for 2,000, {ten} for 10,000");
    // A second page is read while the first one's emptied list is still there. No more is kept.
    assert!(ten <= two + two / 50, "{two} for two pages, {ten} for ten");
    assert!(ten <= one + one / 2, "{one} for one page, {ten} for ten");
}
