//! What an answer says of who served it, of a failure, and of where a write runs.

use archipelago_lab::World;

use super::visit::Visit;
use super::{CACHED, Door};

pub async fn a_read_says_who_served_it<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    let read = visit.get("/").await;
    assert_eq!(read.served_by(), "near; role=replica; reason=local", "{read:?}");
    assert!(read.header("server-timing").starts_with("db;dur="), "{read:?}");
    assert_eq!((read.positions().len(), read.set_cookies().len()), (1, 1), "{read:?}");
    assert_eq!(read.header("cache-control"), "private, no-cache", "{read:?}");
    let written = visit.post("/", "Ada").await;
    let user = visit.get("/user/1").await;
    assert_eq!(user.header("cache-control"), CACHED, "{user:?}");
    assert!(written.served_by().starts_with("home; role=primary"), "{written:?}");
    let missing = visit.get("/no/such/page").await;
    assert_eq!((missing.status, missing.served_by()), (404, ""), "{missing:?}");
    assert!(missing.set_cookies().is_empty() && missing.positions().is_empty(), "{missing:?}");
    assert_eq!(missing.header("cache-control"), "", "{missing:?}");
}

pub async fn a_cookie_is_secure_where_the_visitor_came_over_tls<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    for (header, is_secure) in [
        ("", false),
        ("x-forwarded-proto: https\r\n", true),
        ("x-forwarded-proto: http\r\n", false),
        ("forwarded: for=1.2.3.4;proto=https\r\n", true),
    ] {
        let read = visit.send("GET /", &format!("{header}\r\n")).await;
        let cookie = read.set_cookies()[0];
        assert_eq!(cookie.contains("; Secure"), is_secure, "{header}: {cookie}");
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
    }
}

pub async fn an_error_has_its_status<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    let division_by_zero = "/raise/22012";
    let deadlock = "/raise/40P01";
    for (path, status, retry_after, body) in [
        (division_by_zero, 500, "", "Internal Server Error"),
        (deadlock, 503, "5", "Service Unavailable"),
    ] {
        let failed = visit.send_body(path, "", "").await;
        assert_eq!((failed.status, failed.body.as_str()), (status, body), "{failed:?}");
        assert_eq!(failed.header("retry-after"), retry_after, "{failed:?}");
        assert!(failed.served_by().is_empty() && failed.set_cookies().is_empty(), "{failed:?}");
    }
    let missing = visit.get("/user/99").await;
    assert_eq!((missing.status, missing.body.as_str()), (404, "Not Found"), "{missing:?}");
    assert_eq!(missing.header("retry-after"), "");

    for server in world.servers() {
        server.kill().await.unwrap();
    }
    let away = visit.get("/").await;
    assert_eq!((away.status, away.header("retry-after")), (503, "5"), "{away:?}");
}

pub async fn a_write_from_afar_is_replayed_before_its_body_is_read<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    // The body does not come.
    let replayed = visit.send("POST /", "fly-region: near\r\ncontent-length: 3\r\n\r\n").await;
    assert_eq!(replayed.status, 409, "{replayed:?}");
    assert!(replayed.header("fly-replay").starts_with("region=home;"), "{replayed:?}");
    assert!(replayed.body.starts_with("writes run in home"), "{replayed:?}");
    assert!(replayed.served_by().is_empty() && replayed.set_cookies().is_empty(), "{replayed:?}");
    let read = visit.send("GET /", "fly-region: near\r\n\r\n").await;
    assert_eq!((read.status, read.body.as_str()), (200, ""), "a read runs here: {read:?}");
}

pub async fn what_cannot_be_replayed_is_written_here<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    let (from_afar, long) = ("fly-region: near\r\n", "x".repeat(1_000_001));
    let replayed_before = "fly-region: near\r\nfly-replay-src: instance=0;region=near\r\n";
    let chunked = format!("{from_afar}transfer-encoding: chunked\r\n\r\n3\r\nAda\r\n0\r\n\r\n");
    for answer in [
        visit.send_body("/", from_afar, &long).await,
        visit.send("POST /", &chunked).await,
        visit.send_body("/", replayed_before, "Ada").await,
        visit.send_body("/", "", "Ada").await,
    ] {
        assert_eq!((answer.status, answer.body.as_str()), (200, "created"), "{answer:?}");
        assert!(answer.served_by().starts_with("home;"), "{answer:?}");
    }
    assert_eq!(visit.get("/").await.body, format!("{long},Ada,Ada,Ada"));
}

pub async fn with_direct_writes_nothing_is_replayed<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    let written = visit.send_body("/other", "fly-region: near\r\n", "Ada").await;
    assert_eq!((written.status, written.body.as_str()), (200, "created"), "{written:?}");
}
