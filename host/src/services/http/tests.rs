use std::collections::BTreeMap;

use tokio::runtime::Handle;

use super::request::guest_headers;
use super::{HttpError, HttpServices};
use crate::config::Config;

const CONFIG: &str = r#"
[services.gracedb]
origin = "https://gracedb.example"
[services.playground]
origin = "https://gracedb.example/api/playground"
[services.local]
origin = "http://127.0.0.1:8080"
"#;

#[track_caller]
fn check_service(url: &str, expected: Option<&str>) {
    let config = Config::parse(CONFIG, "test").unwrap();
    let services = HttpServices::new(&config.services, &BTreeMap::new(), Handle::current());
    let services = services.unwrap();
    let service = services.service_of(url).unwrap();
    assert_eq!(service.map(|service| service.name.as_str()), expected);
}

#[tokio::test]
async fn a_url_belongs_to_the_service_whose_origin_covers_it() {
    check_service("https://gracedb.example/api/events/", Some("gracedb"));
    check_service("https://GRACEDB.example:443/api", Some("gracedb"));
    check_service("https://gracedb.example:8443/", None);
    check_service("http://gracedb.example/", None);
    check_service("https://gracedb.example.evil.example/", None);
    check_service("https://gracedb.example@evil.example/", None);
    check_service("http://127.0.0.1:8080/x", Some("local"));
}

#[tokio::test]
async fn a_path_in_an_origin_ends_at_a_slash_and_cannot_be_climbed_out_of() {
    let playground = "https://gracedb.example/api/playground";
    check_service(playground, Some("playground"));
    check_service(&format!("{playground}/x"), Some("playground"));
    check_service(&format!("{playground}s/x"), Some("gracedb"));
    check_service(&format!("{playground}/../x"), Some("gracedb"));
    check_service(&format!("{playground}/%2e%2e/x"), Some("gracedb"));
}

#[test]
fn a_plugin_cannot_choose_the_host_behind_an_address() {
    for name in ["Host", "host", "Transfer-Encoding", "content-length"] {
        let error = guest_headers(&[(name.to_owned(), "x".to_owned())]).unwrap_err();
        assert!(matches!(error, HttpError::Invalid(_)), "{name}: {error}");
    }
}

#[test]
fn an_error_about_a_header_does_not_tell_its_value() {
    let secret = "swordfish\n";
    let error = guest_headers(&[("Authorization".to_owned(), secret.to_owned())]).unwrap_err();
    let text = crate::text::chain(&error);
    assert!(
        text.contains("Authorization") && !text.contains("swordfish"),
        "{text}"
    );
}
