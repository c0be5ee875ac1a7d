//! Traces, received as a collector of OpenTelemetry receives them.

use std::collections::HashMap;
use std::time::Duration;

use archipelago_lab::World;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Code};
use prost::Message;
use reqwest::StatusCode;
use tokio::io::AsyncBufReadExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::process::{Serving, output, program, vars};
use super::program::LISTENING;
use super::site::{
    DEADLINE, PRIMARY, Page, REPLICAS, environment, first_replica, primary, until, visitor,
};

/// A trace and a span of the visitor, as the example of W3C's recommendation has them.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector, and what it has received.
struct Collector {
    endpoint: String,
    exports: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (sender, exports) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(receive(BufReader::new(stream), sender.clone()));
            }
        });
        Self { endpoint, exports }
    }

    /// All that has been received. Call it once the program has ended: it sends the rest first.
    fn received(mut self) -> Vec<ExportTraceServiceRequest> {
        std::iter::from_fn(|| self.exports.try_recv().ok()).collect()
    }
}

/// Takes the requests of one connection.
async fn receive(
    mut stream: BufReader<tokio::net::TcpStream>,
    sender: mpsc::UnboundedSender<ExportTraceServiceRequest>,
) {
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let begun = head.len();
            if stream.read_line(&mut head).await.unwrap() == 0 {
                return;
            }
            let line = head[begun..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        sender.send(ExportTraceServiceRequest::decode(&*body).unwrap()).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }
}

/// Attributes as text, by their names.
fn texts(attributes: &[KeyValue]) -> HashMap<&str, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => format!("int {number}"),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.as_str(), text(attribute))).collect()
}

#[track_caller]
fn assert_has(attributes: &HashMap<&str, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(
            attributes.get(name).map(String::as_str),
            Some(*value),
            "{name}: {attributes:?}"
        );
    }
}

fn spans(received: &[ExportTraceServiceRequest]) -> Vec<Span> {
    let resources = received.iter().flat_map(|export| &export.resource_spans);
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|it| it.spans.clone()).collect()
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_visitors_trace_goes_on_to_the_query(world: World) {
    let collector = Collector::start().await;
    let mut vars = environment(&world).await;
    vars.extend(super::process::vars(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint),
        // The log shows less than what is sent.
        ("RUST_LOG", "error"),
    ]));
    let mut serving = Serving::start(&[], &vars, LISTENING).await;
    let browser = visitor();
    let local = format!("{}; role=replica; reason=local", first_replica());
    until(|| browser.get(serving.url("/users")), |page| page.served_by() == local).await;
    let traced = |path: &str| {
        let request = browser.get(serving.url(path)).header("x-request-id", "traced");
        request.header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
    };
    assert_eq!(Page::of(traced("/users?secret=1")).await.served_by(), local);
    let form = [("user[name]", "Hedy"), ("user[age]", "86")];
    let create = || browser.post(serving.url("/users")).form(&form);
    until(create, |page| page.status == StatusCode::SEE_OTHER).await;
    // What has not been sent yet is sent at the end.
    serving.signal("TERM").await;
    assert!(serving.child.wait().await.unwrap().success());

    let received = collector.received();
    let resource = received[0].resource_spans[0].resource.as_ref().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        ("service.name", "archipelago"),
        ("cloud.region", first_replica()),
        ("service.version", version),
    ];
    assert_has(&texts(&resource.attributes), &expected);

    let spans = spans(&received);
    let trace = hex::decode(TRACE).unwrap();
    let of_visitor: Vec<_> = spans.iter().filter(|span| span.trace_id == trace).collect();
    let request = of_visitor.iter().find(|span| span.kind == SpanKind::Server as i32).unwrap();
    assert_eq!(
        (request.name.as_str(), &*hex::encode(&request.parent_span_id)),
        ("GET /users", PARENT)
    );
    assert_has(
        &texts(&request.attributes),
        &[
            ("http.request.method", "GET"),
            ("http.route", "/users"),
            ("http.response.status_code", "int 200"),
            ("url.path", "/users"),
            ("url.scheme", "http"),
            ("archipelago.request_id", "traced"),
        ],
    );
    let queries: Vec<_> =
        of_visitor.iter().filter(|span| span.kind == SpanKind::Client as i32).collect();
    assert!(!queries.is_empty() && queries.len() + 1 == of_visitor.len(), "{of_visitor:?}");
    for query in queries {
        assert_eq!(query.parent_span_id, request.span_id, "{query:?}");
        assert!(query.name.starts_with("SELECT "), "{}", query.name);
        assert!(query.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(query.end_time_unix_nano <= request.end_time_unix_nano);
        let attributes = texts(&query.attributes);
        assert_has(
            &attributes,
            &[
                ("db.system.name", "postgresql"),
                ("db.operation.name", "SELECT"),
                ("server.address", "127.0.0.1"),
                ("archipelago.region", first_replica()),
                ("archipelago.role", "replica"),
                ("archipelago.reason", "local"),
            ],
        );
        assert!(attributes["archipelago.position"].starts_with("v1-"), "{attributes:?}");
        assert!(attributes["server.port"].starts_with("int "), "{attributes:?}");
    }

    let write = spans.iter().find(|span| {
        texts(&span.attributes).get("archipelago.role").is_some_and(|role| role == "primary")
            && span.status.as_ref().is_none_or(|status| status.code != Code::Error as i32)
            && span.name.starts_with("INSERT ")
    });
    assert_has(&texts(&write.unwrap().attributes), &[("archipelago.region", primary())]);
    let sent = format!("{spans:?}");
    assert!(!sent.contains("Hedy") && !sent.contains("secret"), "{sent}");
}

/// The collector takes connections and answers nothing.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_collector_that_stalls_stops_no_page(world: World) {
    let stalled = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", stalled.local_addr().unwrap());
    let mut vars = environment(&world).await;
    vars.extend(super::process::vars(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "users"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ]));
    let mut serving = Serving::spawn(program(&[], &vars), LISTENING).await;
    let browser = visitor();
    until(|| browser.get(serving.url("/users")), |page| page.status == StatusCode::OK).await;
    timeout(DEADLINE, stalled.accept()).await.expect("something is sent").unwrap();
    for _ in 0..50 {
        let page = timeout(Duration::from_secs(5), Page::of(browser.get(serving.url("/users"))));
        assert_eq!(page.await.expect("an answer in time").status, StatusCode::OK);
    }
    serving.signal("TERM").await;
    let ended = timeout(DEADLINE, serving.child.wait()).await.expect("it ends all the same");
    assert!(ended.unwrap().success());
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_stops_the_start() {
    let vars = vars(&[
        ("DATABASE_URL", "postgres://localhost/app"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url"),
    ]);
    let (is_ok, _, error) = output(&[], &vars).await;
    assert!(!is_ok && error.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
}
