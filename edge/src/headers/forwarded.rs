//! What Fly's proxy tells an instance about the visitor of a request.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{EXPECT, HeaderValue, VIA};

use super::{FLY_REPLAY_FAILED, FLY_REPLAY_SRC};

const FORWARDED: &str = "forwarded";
const FLY_REGION: &str = "fly-region";
const FLY_REQUEST_ID: &str = "fly-request-id";
const FLY_CLIENT_IP: &str = "fly-client-ip";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Sets the headers that describe the visitor. Values that the visitor sent for them are removed.
///
/// # Errors
/// When `place` cannot be a header's value. The code of every place of the edge can.
pub(crate) fn set(
    headers: &mut HeaderMap,
    visitor: IpAddr,
    place: &str,
) -> Result<(), hyper::http::Error> {
    // hyper's server sends `100 Continue` by itself once the body is read.
    headers.remove(EXPECT);
    // It says the same as `x-forwarded-…`, and an instance may prefer it.
    headers.remove(FORWARDED);
    headers.remove(FLY_REPLAY_SRC);
    headers.remove(FLY_REPLAY_FAILED);
    let visitor = visitor.to_string();
    let earlier = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let forwarded_for = earlier.chain([visitor.as_str()]).collect::<Vec<_>>().join(", ");
    let id = format!("{:032x}-{place}", rand::random::<u128>());
    headers.insert(FLY_REGION, HeaderValue::from_str(place)?);
    headers.insert(FLY_REQUEST_ID, HeaderValue::from_str(&id)?);
    headers.insert(FLY_CLIENT_IP, HeaderValue::from_str(&visitor)?);
    headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(&forwarded_for)?);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.append(VIA, HeaderValue::from_static("1.1 archipelago-edge"));
    Ok(())
}
