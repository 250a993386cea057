use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

use tokio::runtime::{Builder, Handle};

use super::request::guest_headers;
use super::{HttpError, HttpMethod, HttpRequest, HttpServices};
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

/// Answers on connections that stay open.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for _end_of_request in lines.map_while(Result::ok).filter(String::is_empty) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    address
}

fn get(services: &HttpServices, address: SocketAddr) -> u16 {
    let request = HttpRequest {
        method: HttpMethod::Get,
        url: format!("http://{address}/"),
        headers: Vec::new(),
        secret: None,
        body: bytes::Bytes::new(),
    };
    let service = services.service_of(&request.url).unwrap().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(services.send(service, &request, None));
    // This thread now computes, and its runtime stands still.
    std::mem::forget(runtime);
    answer.unwrap().status
}

#[test]
fn a_connection_does_not_stand_still_with_the_worker_that_opened_it() {
    let address = serve();
    let config = format!("[services.one]\norigin = \"http://{address}\"");
    let config = Config::parse(&config, "test").unwrap();
    let io = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let handle = io.handle().clone();
    let services = HttpServices::new(&config.services, &config.secrets, handle).unwrap();
    assert_eq!(get(&services, address), 200);
    // The second finds the connection that the first left.
    assert_eq!(get(&services, address), 200);
}
