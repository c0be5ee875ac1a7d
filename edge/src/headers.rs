//! What the edge adds to a request and to an answer, and what it takes away.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue, TRANSFER_ENCODING, UPGRADE, VIA,
};

pub(crate) const FLY_REPLAY: &str = "fly-replay";
pub(crate) const FLY_REPLAY_SRC: &str = "fly-replay-src";
pub(crate) const FLY_REPLAY_FAILED: &str = "fly-replay-failed";
pub(crate) const FLY_PREFER_REGION: &str = "fly-prefer-region";
pub(crate) const FLY_FORCE_REGION: &str = "fly-force-region";
const FLY_REGION: &str = "fly-region";
const FLY_REQUEST_ID: &str = "fly-request-id";
/// What the edge has done: `from=syd; instance=syd; replayed=nrt; ms=137`.
pub(crate) const X_EDGE: &str = "x-edge";

const FLY_CLIENT_IP: &str = "fly-client-ip";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Of this connection only (RFC 9110, section 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Removes what concerns one connection only.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // With both, the length is a lie (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let of_connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> = of_connection
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// What an instance is told of a visitor by Fly's proxy; what the visitor said of that is removed.
///
/// # Errors
/// When the place's name cannot stand in a header; the names of places that the edge knows can.
pub(crate) fn tell(
    headers: &mut HeaderMap,
    visitor: IpAddr,
    place: &str,
) -> Result<(), hyper::http::Error> {
    // The server underneath has answered it when the body was asked for.
    headers.remove(EXPECT);
    headers.remove(FLY_REPLAY_SRC);
    headers.remove(FLY_REPLAY_FAILED);
    let visitor = visitor.to_string();
    let said = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let forwarded_for = said.chain([visitor.as_str()]).collect::<Vec<_>>().join(", ");
    let id = format!("{:032x}-{place}", rand::random::<u128>());
    headers.insert(FLY_REGION, HeaderValue::from_str(place)?);
    headers.insert(FLY_REQUEST_ID, HeaderValue::from_str(&id)?);
    headers.insert(FLY_CLIENT_IP, HeaderValue::from_str(&visitor)?);
    headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(&forwarded_for)?);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.append(VIA, HeaderValue::from_static("1.1 archipelago-lab"));
    Ok(())
}

/// Whether a visitor wants another protocol than HTTP. An upgrade to HTTP/2 is an offer, and may be passed over.
pub(crate) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
