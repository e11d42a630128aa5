//! The store, the Modal app, the public address.

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::routing::get;
use events::{Secret, Timestamp};
use kiln::config;
use kiln::doctor::Level;
use kiln::fence::{Fence, Fences};
use nats::Log;

use super::{Clinic, expect, modal_at};
use crate::support::{nowhere, serve};

#[tokio::test]
async fn a_store_a_fence_an_app_and_an_address_that_will_not_do_are_told_apart() {
    let mut clinic = Clinic::new().await;
    let good = clinic.args.clone();
    let redirect = Router::new().fallback(|| async { (StatusCode::SEE_OTHER, [(header::LOCATION, "/later")]) });
    let (redirect, page) = (serve(redirect).await, serve(Router::new().fallback(|| async { "<html>hello" })).await);
    let (empty, dead) = (serve(Router::new()).await, nowhere().await);
    let rows = [(&redirect.url, "303"), (&page.url, "200"), (&empty.url, "no app"), (&dead, "does not answer")];
    for (url, word) in rows {
        clinic.args.modal = Some(modal_at(url));
        expect(&clinic.examine().await, "modal", Level::Wrong, word);
    }
    clinic.args.modal =
        Some(config::Modal { modal_key: Secret::new("other"), ..good.modal.clone().expect("it is set") });
    expect(&clinic.examine().await, "modal", Level::Wrong, "MODAL_KEY");
    clinic.args.modal = None;
    expect(&clinic.examine().await, "modal", Level::Skipped, "MODAL_ENDPOINT_URL");

    let rows = [(&dead, "error"), (&page.url, "something else"), (&empty.url, "404")];
    for (url, word) in rows {
        clinic.args.public.callback_url = Some(url.clone());
        expect(&clinic.examine().await, "webhook", Level::Wrong, word);
    }
    let careless = Router::new().route("/livez", get(|| async { "alive\n" })).fallback(|| async { "thanks" });
    let careless = serve(careless).await;
    clinic.args.public.callback_url = Some(careless.url.clone());
    expect(&clinic.examine().await, "webhook", Level::Wrong, "and not our 401");
    clinic.args.strictness.insecure_dev = false;
    expect(&clinic.examine().await, "webhook", Level::Wrong, "http://");
    clinic.args.public = config::Public { public_url: None, callback_url: None };
    expect(&clinic.examine().await, "webhook", Level::Skipped, "PUBLIC_URL");

    let fences = Fences::new(clinic.store.bucket.clone());
    let head = Log::new(clinic.operator().await).head().await.expect("an answer").expect("a log");
    let ahead = Fence { last_seq: 1000, ..Fence::of(&head, 0, Timestamp::from_unix_ms(0)) };
    fences.advance(&ahead).await.expect("written");
    expect(&clinic.examine().await, "fence", Level::Wrong, "kiln fence");

    let keys = config::Bucket { r2_secret_access_key: Secret::new("canary"), ..clinic.store.config.clone() };
    clinic.args.bucket = Some(keys);
    expect(&clinic.examine().await, "bucket", Level::Wrong, "R2_ENDPOINT");
    clinic.args.bucket = None;
    expect(&clinic.examine().await, "bucket", Level::Skipped, "R2_BUCKET_NAME");
}

#[tokio::test]
async fn rules_of_the_bucket_that_work_against_us_are_found() {
    let mut clinic = Clinic::new().await;
    let rules = |request: Request| async move {
        let days = if request.uri().path().contains("short") { 7 } else { 90 };
        match request.uri().query() {
            Some(query) if query.contains("cors") => {
                let method = if days == 7 { "GET" } else { "PUT" };
                format!(
                    "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>{method}\
                     </AllowedMethod></CORSRule></CORSConfiguration>"
                )
            }
            _ => format!(
                "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>renders/</Prefix></Filter>\
                 <Expiration><Days>{days}</Days></Expiration></Rule></LifecycleConfiguration>"
            ),
        }
    };
    let server = serve(Router::new().fallback(rules)).await;
    for (name, level, words) in
        [("short", [Level::Wrong, Level::Warning], ["7 days", "CORS"]), ("long", [Level::Ok; 2], ["", ""])]
    {
        let bucket = config::Bucket {
            r2_bucket_name: name.into(),
            r2_endpoint: Some(server.url.clone()),
            ..clinic.store.config.clone()
        };
        clinic.args.bucket = Some(bucket);
        let found = clinic.examine().await;
        expect(&found, "lifecycle", level[0], words[0]);
        expect(&found, "cors", level[1], words[1]);
    }
}
