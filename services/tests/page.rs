//! The page's files, as they are served. What the page does is tried in a real browser, by the target `browser`.

use std::path::Path;

use axum::http::header;
use reqwest::Response;

use crate::world::TestWorld;

async fn get(world: &TestWorld, path: &str) -> Response {
    world.http.get(world.url(path)).send().await.expect("it is answered")
}

#[tokio::test]
async fn every_file_of_the_page_is_served_with_a_tag_and_may_reach_nothing_but_the_api_and_the_store() {
    let world = TestWorld::start().await;
    let store = world.bucket().r2_endpoint.expect("the world's store has an address");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
    for entry in std::fs::read_dir(&folder).expect("the folder is there") {
        let file = entry.expect("it can be read").path();
        let name = file.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let path = if name == "index.html" { "/".to_owned() } else { format!("/page/{name}") };
        let response = get(&world, &path).await;
        assert_eq!(response.status(), 200, "{path} is not served");
        let headers = response.headers().clone();
        let told = |name: header::HeaderName| headers[name].to_str().expect("it is text").to_owned();
        let policy = told(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        for allowed in [format!("connect-src 'self' {store};"), format!("media-src 'self' {store};")] {
            assert!(policy.contains(&allowed), "{policy} lacks {allowed}");
        }
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(told(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(told(header::REFERRER_POLICY), "no-referrer");
        assert_eq!(told(header::CACHE_CONTROL), "no-cache");
        let text = response.text().await.expect("it is text");
        assert_eq!(text, std::fs::read_to_string(&file).expect("it can be read"));
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"), "{path} names another host");
        let again = world.http.get(world.url(&path)).header(header::IF_NONE_MATCH, told(header::ETAG));
        assert_eq!(again.send().await.expect("it is answered").status(), 304, "{path}");
    }
    let page = get(&world, "/").await.text().await.expect("a page");
    assert!(!page.contains("<style") && !page.contains(" style="), "the policy forbids styles in the page itself");
    let mut scripts = page.split("<script").skip(1);
    assert!(scripts.all(|script| script.contains("src=\"/page/")), "the policy forbids scripts in the page itself");
    assert_eq!(get(&world, "/page/none.js").await.status(), 404);
    world.stop().await;
}
